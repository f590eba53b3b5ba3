"""Scopes as servers and sign-in services name them: somebody else's words, for addresses and pages of ours."""

from __future__ import annotations

import re

# RFC 6749 §3.3
WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
LONGEST = 2000


def proper(named: str) -> str:
    """Each word once, without those that can't be a scope, and no more of them than an address can hold."""
    kept = ""
    for word in dict.fromkeys(filter(WORD.fullmatch, named.split())):
        if len(kept) + len(word) >= LONGEST:
            break
        kept = f"{kept} {word}".lstrip()
    return kept
