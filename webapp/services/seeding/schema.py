"""Looks into an input schema for an action parameter that offers a write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from webapp.services.seeding.cutting import cut
from webapp.services.seeding.finding import NOTHING, Finding, Says
from webapp.services.seeding.name import read_name
from webapp.services.seeding.things import ACTION_PARAMETERS, CONFIRMATIONS, DESTINATIONS, RAW_PARAMETERS

MOST_PROPERTIES = 200
MOST_VALUES = 100
MOST_VARIANTS = 100

# These name an action even where no values are listed.
ALWAYS_ACTIONS = frozenset(("action", "operation"))


def read_schema(input_schema: object) -> Finding:
    """What its action parameters offer: one write is enough for one; for a read, all must be listed reads."""
    found = NOTHING
    for parameter, definition in _properties(input_schema):
        if _plain(parameter) in CONFIRMATIONS:
            return Finding(Says.WRITE, f"it asks for “{parameter}”")
        if _plain(parameter) in ACTION_PARAMETERS:
            offered = _offered(parameter, definition)
            if offered.says is Says.WRITE:
                return offered
            found = found if found.says is Says.EITHER or offered is NOTHING else offered
    return found


def _offered(parameter: str, definition: object) -> Finding:
    values = list(islice(_values(definition), MOST_VALUES + 1))
    for value in values:
        if read_name(cut(value)).says is Says.WRITE:
            return Finding(Says.WRITE, f"its “{parameter}” can be “{value}”")
    if len(values) > MOST_VALUES or (not values and _plain(parameter) in ALWAYS_ACTIONS):
        return Finding(Says.EITHER, parameter)
    if values and all(read_name(cut(value)).says is Says.READ for value in values):
        return Finding(Says.READ, f"all that its “{parameter}” can be are reads")
    return NOTHING


def names_a_destination(input_schema: object) -> bool:
    return any(_plain(parameter) in DESTINATIONS for parameter, _ in _properties(input_schema))


def raw_parameter(input_schema: object) -> str:
    """The parameter that takes code, SQL or commands, if there is one."""
    return next((p for p, _ in _properties(input_schema) if _plain(p) in RAW_PARAMETERS), "")


def _plain(parameter: str) -> str:
    return parameter.replace("_", "").replace("-", "").lower()


def _properties(input_schema: object) -> Iterator[tuple[str, object]]:
    """Those of the schema and of the variants it may offer at its top."""
    if not isinstance(input_schema, Mapping):
        return
    for schema in [input_schema, *_variants(input_schema)]:
        properties = schema.get("properties")
        if isinstance(properties, Mapping):
            for parameter, definition in islice(properties.items(), MOST_PROPERTIES):
                if isinstance(parameter, str):
                    yield parameter, definition


def _variants(schema: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    for key in ("anyOf", "oneOf", "allOf"):
        several = schema.get(key)
        if isinstance(several, list):
            yield from (one for one in islice(several, MOST_VARIANTS) if isinstance(one, Mapping))


def _values(definition: object) -> Iterator[str]:
    """What a parameter may be: `const`, `enum`, and the same inside its variants and `items`."""
    if not isinstance(definition, Mapping):
        return
    items = definition.get("items")
    for one in [definition, *_variants(definition), *([items] if isinstance(items, Mapping) else [])]:
        listed = one.get("enum")
        for value in [one.get("const"), *(listed if isinstance(listed, list) else [])]:
            if isinstance(value, str):
                yield value
