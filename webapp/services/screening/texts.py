"""Every text of a definition that an agent is given, with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NAMED = {"name": "its name", "title": "its title", "description": "its description"}
PLACES = {
    "inputSchema": "its input schema",
    "outputSchema": "its output schema",
    "annotations": "its annotations",
}
_NESTED = (dict, list)


def texts_of(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(where, text). Keys are texts too: a model reads the name of an argument like everything else."""
    for key, value in definition.items():
        if key in NAMED and isinstance(value, str):
            yield NAMED[key], value
        else:
            yield from _within(value, PLACES.get(key, key))


def _within(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield where, key  # a generator for each plain value would take a fifth longer
            if isinstance(inner, str):
                yield f"{where} › {key}", inner
            elif isinstance(inner, _NESTED):
                yield from _within(inner, f"{where} › {key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _within(inner, where)
