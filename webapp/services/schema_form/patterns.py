"""Patterns of a schema that are safe to run, here and in the browser: plain ones that can't go on for ever."""

from __future__ import annotations

import re
from typing import Any

LONGEST_PATTERN = 100
LONGEST_TEXT = 300
# Without groups, alternatives and look-around, and with few elastic parts, backtracking stays short.
MOST_ELASTIC = 2
_ATOM = r"(?:\w|[ ,:;@#=_%-]|\\[dws.+*?/-]|\.|\[\^?(?:\w-\w|\w|\\[dws])+\])"
_PLAIN = re.compile(rf"\^(?:{_ATOM}(?:[*+?]|\{{\d{{1,3}}(?:,\d{{0,3}})?\}})?)*\$", re.ASCII)
_ELASTIC = re.compile(r"(?<!\\)[*+?]|\{\d+,\d*\}")


def plain(pattern: Any) -> re.Pattern[str] | None:
    if not isinstance(pattern, str) or len(pattern) > LONGEST_PATTERN or not _PLAIN.fullmatch(pattern):
        return None
    if len(_ELASTIC.findall(pattern)) > MOST_ELASTIC:
        return None
    try:
        return re.compile(pattern)
    except re.error:
        return None


def for_html(pattern: Any) -> str:
    """The same for an input's `pattern`, which is anchored by itself; empty where it is not safe."""
    return str(pattern)[1:-1] if plain(pattern) else ""


def fits(pattern: Any, text: str) -> bool:
    """True also where the pattern or the text is too much to find out: the server decides then."""
    known = plain(pattern)
    return known is None or len(text) > LONGEST_TEXT or bool(known.search(text))
