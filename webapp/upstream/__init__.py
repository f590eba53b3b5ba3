"""How we talk to other people's servers: plain values in, dataclasses out. No store, no Flask."""
