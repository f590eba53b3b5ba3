"""Sessions of the handshake era without anything to keep: the id is a word that the agent carries with it.

It tells the programs that share an agent's key apart, and says what each can be asked, as it said when it shook hands.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

HEADER = "mcp-session-id"
_FORM = re.compile(r"gs-([a-z]*)-[0-9a-f]{24}")
# A letter for each thing a server may ask of a client, and of it a special kind.
_LETTERS = {
    "e": ("elicitation", "form"),
    "u": ("elicitation", "url"),
    "s": ("sampling", ""),
    "t": ("sampling", "tools"),
    "r": ("roots", ""),
}


def issue(capabilities: object) -> str:
    return f"gs-{letters(capabilities)}-{secrets.token_hex(12)}"


def letters(capabilities: object) -> str:
    """What a program with these capabilities can be asked."""
    declared = capabilities if isinstance(capabilities, dict) else {}
    return "".join(letter for letter, (name, kind) in _LETTERS.items() if _has(declared.get(name), kind))


def read(headers: Mapping[str, str]) -> str:
    """Empty where there is none, or none of ours: nothing depends on it but what is said between calls."""
    word = headers.get(HEADER, "")
    return word if _FORM.fullmatch(word) else ""


def asks(session: str) -> str:
    """What the program said it can be asked, in letters."""
    found = _FORM.fullmatch(session)
    return found[1] if found else ""


@lru_cache(maxsize=64)
def capabilities(asks: str) -> dict[str, Any]:
    """The same as MCP has it. Not to be changed: everybody gets the same."""
    told: dict[str, Any] = {}
    for letter in asks:
        name, kind = _LETTERS.get(letter, ("", ""))
        if name:
            told.setdefault(name, {}).update({kind: {}} if kind else {})
    return told


def _has(declared: object, kind: str) -> bool:
    """An empty elicitation means forms: other kinds came later."""
    if not isinstance(declared, dict):
        return False
    return not kind or kind in declared or (kind == "form" and not declared)
