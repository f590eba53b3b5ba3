"""The tools that ship with Gatehouse."""
