"""What a person can ask for: one file per noun. Parse, call one service, answer."""
