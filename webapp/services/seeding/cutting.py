"""Cuts a tool's name into words: snake, kebab, dots, camel case, and names that were run together."""

from __future__ import annotations

import re

from webapp.services.seeding.inflection import VERBS
from webapp.services.seeding.words import EVERYDAY_VERBS, PHRASES, THINGS, THINGS_OF_TWO

LONGEST_NAME = 128
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
LONGEST_PIECE = 14
LONGEST_RUN = 60
EVERYDAY = tuple(EVERYDAY_VERBS)


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
    if not 6 <= len(word) <= LONGEST_RUN or not (word.startswith(EVERYDAY) or word.endswith(EVERYDAY)):
        return [word]
    ways: list[list[str] | None] = [[]] + [None] * len(word)
    for end in range(2, len(word) + 1):
        for start in range(max(0, end - LONGEST_PIECE), end - 1):
            before, piece = ways[start], word[start:end]
            if before is None or not (piece in THINGS or piece in EVERYDAY_VERBS):
                continue
            known = ways[end]
            if known is None or len(before) + 1 < len(known):
                ways[end] = [*before, piece]
    pieces = ways[-1]
    return pieces if pieces and (pieces[0] in EVERYDAY_VERBS or pieces[-1] in EVERYDAY_VERBS) else [word]
