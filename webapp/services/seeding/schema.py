"""Looks into an input schema for an action parameter that offers a write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from webapp.services.seeding.cutting import cut
from webapp.services.seeding.finding import NOTHING, Finding, Says
from webapp.services.seeding.name import read_name
from webapp.services.seeding.things import ACTION_PARAMETERS, CONFIRMATIONS, DESTINATIONS, RAW_PARAMETERS

MOST_PROPERTIES = 200
MOST_VALUES = 100


def read_schema(input_schema: object) -> Finding:
    """What an action parameter offers: one write is enough for one; for a read, all must be reads."""
    offers_reads = unknown = ""
    for parameter, definition in _properties(input_schema):
        if _plain(parameter) in CONFIRMATIONS:
            return Finding(Says.WRITE, f"it asks for “{parameter}”")
        if _plain(parameter) not in ACTION_PARAMETERS:
            continue
        found = [(value, read_name(cut(value)).says) for value in islice(_values(definition), MOST_VALUES)]
        for value, says in found:
            if says is Says.WRITE:
                return Finding(Says.WRITE, f"its “{parameter}” can be “{value}”")
        if found and all(says is Says.READ for _, says in found):
            offers_reads = parameter
        elif not found and _plain(parameter) in ("action", "operation"):
            unknown = parameter
    if unknown:
        return Finding(Says.EITHER, unknown)
    return Finding(Says.READ, f"all that its “{offers_reads}” can be are reads") if offers_reads else NOTHING


def names_a_destination(input_schema: object) -> bool:
    return any(_plain(parameter) in DESTINATIONS for parameter, _ in _properties(input_schema))


def raw_parameter(input_schema: object) -> str:
    """The parameter that takes code, SQL or commands, if there is one."""
    return next((p for p, _ in _properties(input_schema) if _plain(p) in RAW_PARAMETERS), "")


def _plain(parameter: str) -> str:
    return parameter.replace("_", "").replace("-", "").lower()


def _properties(input_schema: object) -> Iterator[tuple[str, Any]]:
    properties = input_schema.get("properties") if isinstance(input_schema, Mapping) else None
    if isinstance(properties, Mapping):
        for parameter, definition in islice(properties.items(), MOST_PROPERTIES):
            if isinstance(parameter, str):
                yield parameter, definition


def _values(definition: object) -> Iterator[str]:
    """What the parameter may be: `enum`, `const`, and the same inside `anyOf`, `oneOf` and `items`."""
    if not isinstance(definition, Mapping):
        return
    offered = definition.get("enum")
    choices = definition.get("anyOf"), definition.get("oneOf")
    yield from (v for v in [definition.get("const")] if isinstance(v, str))
    if isinstance(offered, list):
        yield from (value for value in offered if isinstance(value, str))
    for several in choices:
        for choice in several if isinstance(several, list) else []:
            if isinstance(choice, Mapping):
                yield from _values({"enum": choice.get("enum"), "const": choice.get("const")})
    if isinstance(items := definition.get("items"), Mapping):
        yield from _values({"enum": items.get("enum")})
