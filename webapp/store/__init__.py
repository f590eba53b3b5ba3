"""What we remember: database, models, secrets."""
