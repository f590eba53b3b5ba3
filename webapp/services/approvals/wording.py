"""A call in words: what its tool's name and its arguments say it does, and to what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
LONGEST_ID = 40
# Arguments that say which one, by the last word of their name.
ID_WORDS = frozenset(
    "id ids key number no nr slug uuid guid sha code name path email mail username login domain hostname host".split()
)


def words_of(name: str) -> list[str]:
    """ "updateTicket", "update_ticket" → update, ticket; empty for names that can't be read."""
    return [word.lower() for word in WORD.findall(name)] if name.isascii() else []


def says_which(argument: str) -> bool:
    """Whether an argument of this name points at one thing."""
    words = words_of(argument)
    return bool(words) and words[-1] in ID_WORDS


def in_words(tool_name: str, arguments: dict[str, Any], declared: Sequence[str] = ()) -> str:
    """ "update ticket T-1042": as the tool names itself, and the first thing it is pointed at. `declared`: the
    arguments that it has, in its own order; the agent must not choose what comes first, nor add some of its own."""
    if declared:
        arguments = {name: arguments[name] for name in declared if name in arguments}
    said = " ".join(words_of(tool_name)) or tool_name
    return f"{said} {which}" if (which := _first_id(arguments)) else said


def _first_id(arguments: dict[str, Any]) -> str:
    for name, value in arguments.items():
        if not says_which(name) or isinstance(value, bool) or not isinstance(value, (str, int)):
            continue
        if 0 < len(text := str(value)) <= LONGEST_ID:
            return text
    return ""
