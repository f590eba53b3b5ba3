"""Cuts a tool's name into words: snake, kebab, dots, camel case, and names that were run together."""

from __future__ import annotations

import re

from webapp.services.seeding.inflection import VERBS
from webapp.services.seeding.things import THINGS, THINGS_OF_TWO
from webapp.services.seeding.verbs import EVERYDAY, PHRASES

LONGEST_NAME = 128
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
LONGEST_PIECE = 14
SHORTEST_RUN, LONGEST_RUN = 6, 60
EVERYDAY_EDGES = tuple(EVERYDAY)


def cut(name: str) -> list[str]:
    """The words of a name in small letters; empty where the name can't be read with confidence.

    Letters outside ASCII may look like others ("gеt" with a Cyrillic е), so such a name is not read at all.
    """
    if len(name) > LONGEST_NAME or not name.isascii():
        return []
    found: list[str] = []
    for raw in WORD.findall(name):
        word = raw.lower()
        found.extend([word] if word in VERBS or word in THINGS else _apart(word))
    return _joined(found)


def _joined(found: list[str]) -> list[str]:
    """Two words that are one become one: "sign", "in" → "signin"; "pull", "request" → "pullrequest"."""
    out: list[str] = []
    for word in found:
        if out and (phrase := PHRASES.get((out[-1], word))):
            out[-1] = phrase
        elif out and (out[-1], word) in THINGS_OF_TWO:
            out[-1] += word
        elif not word.isdigit():
            out.append(word)
    return out


def _apart(word: str) -> list[str]:
    """ "getuserbyid" → get, user, by, id; what isn't an everyday verb and known things stays whole."""
    if not SHORTEST_RUN <= len(word) <= LONGEST_RUN:
        return [word]
    if not (word.startswith(EVERYDAY_EDGES) or word.endswith(EVERYDAY_EDGES)):
        return [word]
    pieces = _fewest_pieces(word)
    return pieces if pieces and (pieces[0] in EVERYDAY or pieces[-1] in EVERYDAY) else [word]


def _fewest_pieces(word: str) -> list[str] | None:
    ways: list[list[str] | None] = [[]] + [None] * len(word)
    for end in range(2, len(word) + 1):
        for start in range(max(0, end - LONGEST_PIECE), end - 1):
            before, best, piece = ways[start], ways[end], word[start:end]
            if before is None or not (piece in THINGS or piece in EVERYDAY):
                continue
            if best is None or len(before) + 1 < len(best):
                ways[end] = [*before, piece]
    return ways[-1]
