"""A text that reaches for what belongs to another server: its tools by their full names, or orders about them.

A model reads the definitions of all servers together, so that one server's words can change what it does with the
tools of another. Names of one word and those that the server has itself are left alone: everybody has a `search`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from webapp.services.screening.flags import Flag, passage
from webapp.services.screening.lookalikes import Neighbours

# As people and as agents see them; the first is nobody else's way to write, the second has to be a server's name.
CATALOGUE_NAME = re.compile(r"\b(?:mcp|builtin):([\w-]{1,32}):\w")
WIRE_NAME = re.compile(r"\b([a-z0-9][a-z0-9-]{0,31})__\w", re.I)
TOOL = re.compile(r"\b[A-Za-z][A-Za-z0-9]*(?:[_.-][A-Za-z0-9]+)+|\b[a-z]+(?:[A-Z][a-z0-9]+)+")
SERVERS = (
    re.compile(r"\b([a-z0-9-]{3,32})(?:'s)?[ -](?:mcp\b|servers?\b|tools?\b|integration\b)", re.I),
    re.compile(
        r"\b(?:servers?|tools? (?:of|from|on|in)|integration) (?:the )?[\"“']?([a-z0-9-]{3,32})", re.I
    ),
)
ORDER = re.compile(
    r"\b(?:before|after|instead|rather than|replac\w*|supersed\w*|must|always|never|do not|don't|first|every time|"
    r"whenever|when you|deprecated|obsolete|(?:result|output|answer)s? of)\b",
    re.I,
)
NEAR = 60


def flags_in(where: str, read: str, neighbours: Neighbours) -> Iterator[Flag]:
    """`read`: the text without twins and line breaks. One finding is enough."""
    if place := _full_name(read, neighbours) or _order_about(read, neighbours):
        yield Flag("shadow", where, passage(read, *place))


def _full_name(read: str, neighbours: Neighbours) -> tuple[int, int] | None:
    if ":" in read:
        for found in CATALOGUE_NAME.finditer(read):
            if found[1].lower() != neighbours.server:
                return found.span()
    if "__" in read:
        for found in WIRE_NAME.finditer(read):
            if neighbours.is_server(found[1]):
                return found.span()
    return None


def _order_about(read: str, neighbours: Neighbours) -> tuple[int, int] | None:
    """Cheap first: most texts order nothing."""
    if not ORDER.search(read):
        return None
    named = [found.span() for found in TOOL.finditer(read) if neighbours.is_tool(found[0])]
    for rule in SERVERS:
        named += [found.span() for found in rule.finditer(read) if neighbours.is_server(found[1])]
    for start, end in named:
        if ORDER.search(read, max(0, start - NEAR), end + NEAR):
            return start, end
    return None
