"""What we remember: database, models, secrets. Knows nothing of networks or Flask."""
