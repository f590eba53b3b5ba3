"""Looks at a tool's definition for what is meant for the model and not for the person: a pure function, `screen`.

What it finds is a reason to look, not a verdict. It is measured on real tools and on poisoned ones (tests/corpus.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from webapp.services.screening import characters, disguises, shadows
from webapp.services.screening.flags import REASONS, TITLES, Flag, passage
from webapp.services.screening.lookalikes import Neighbours, plain
from webapp.services.screening.orders import RULES, SIGNS
from webapp.services.screening.texts import texts_of

__all__ = ["REASONS", "TITLES", "VERSION", "Flag", "Neighbours", "in_words", "screen"]

# Goes up with the rules: the next sync of each server looks at its known tools again.
VERSION = 3
MOST_FLAGS = 6
# Rules look at so much of a text at once: no text takes them long.
WINDOW, OVERLAP = 2000, 300
SHORTEST, LONGEST = 20, 60_000
LONGEST_KNOWN, MOST_KNOWN = 500, 5000


def screen(definition: Mapping[str, Any], neighbours: Neighbours | None = None) -> list[Flag]:
    """What is suspicious, the first of each kind; empty for nothing."""
    found: dict[str, Flag] = {}
    name = definition.get("name")
    if neighbours is not None and isinstance(name, str):
        found = {flag.kind: flag for flag in neighbours.flags_of(name)}
    for where, text in texts_of(definition):
        if not _is_word(text):
            for flag in _found_in(where, text, neighbours):
                found.setdefault(flag.kind, flag)
    return list(found.values())[:MOST_FLAGS]


def _is_word(text: str) -> bool:
    """Too short and plain for any rule, as most names of arguments are."""
    return len(text) < SHORTEST and text.isascii() and text.isidentifier()


def _found_in(where: str, text: str, neighbours: Neighbours | None) -> Iterable[Flag]:
    """The tools of a server describe the same arguments in the same words: those are looked at once."""
    if neighbours is None or len(text) > LONGEST_KNOWN:
        return _flags_in(where, text, neighbours)
    found = neighbours.seen.get((where, text))
    if found is None:
        found = tuple(_flags_in(where, text, neighbours))
        if len(neighbours.seen) < MOST_KNOWN:
            neighbours.seen[where, text] = found
    return found


def _flags_in(where: str, text: str, neighbours: Neighbours | None) -> Iterator[Flag]:
    if len(text) > LONGEST:
        yield Flag("unseen", where, f"{text[:100]}… ({len(text)} characters: nobody reads that)")
        text = text[:LONGEST]
    yield from characters.flags_in(where, text)
    yield from disguises.flags_in(where, text)
    read = " ".join(plain(text).split()).replace("’", "'")
    if neighbours is not None and where != "its name":
        yield from shadows.flags_in(where, read, neighbours)
    if " " not in read:
        read = read.replace("_", " ").replace("-", " ")
    if len(read) < SHORTEST:
        return
    has = read.lower().__contains__
    rules = [(kind, rule) for kind, rule in RULES.items() if any(map(has, SIGNS[kind]))]
    for start in range(0, len(read), WINDOW):
        part = read[start : start + WINDOW + OVERLAP]
        for kind, rule in rules:
            if match := rule.search(part):
                yield Flag(kind, where, passage(part, *match.span()))


def in_words(flag: Flag) -> str:
    """For the log."""
    said = f"{TITLES[flag.kind]} in {flag.where}"
    return f"{said}: {flag.quote}" if flag.quote else said
