"""Looks at a tool's definition for what is meant for the model and not for the person: a pure function, `screen`.

What it finds is a reason to look, not a verdict. It is measured on real tools and on poisoned ones (tests/corpus.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from webapp.services.screening import characters
from webapp.services.screening.flags import REASONS, TITLES, Flag
from webapp.services.screening.texts import texts_of

__all__ = ["REASONS", "TITLES", "VERSION", "Flag", "Neighbours", "in_words", "screen"]

# Goes up with the rules: the next sync of each server looks at its known tools again.
VERSION = 1
MOST_FLAGS = 6


class Neighbours:
    def __init__(self, server: str, tools: Iterable[tuple[str, str]]) -> None:
        self.server = server


def screen(definition: Mapping[str, Any], neighbours: Neighbours | None = None) -> list[Flag]:
    """What is suspicious, the first of each kind; empty for nothing."""
    found: dict[str, Flag] = {}
    for where, text in texts_of(definition):
        for flag in characters.flags_in(where, text):
            found.setdefault(flag.kind, flag)
    return list(found.values())[:MOST_FLAGS]


def in_words(flag: Flag) -> str:
    """For the log."""
    said = f"{TITLES[flag.kind]} in {flag.where}"
    return f"{said}: {flag.quote}" if flag.quote else said
