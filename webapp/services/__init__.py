"""What Gatehouse does: verbs. No Flask, no HTML. Only services write."""
