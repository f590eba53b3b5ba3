"""One part of a JSON Schema, seen simply: references followed, “or null” left away, choices listed."""

from __future__ import annotations

from typing import Any

DEEPEST = 10  # references to references; a circle ends here too
SCALARS = (str, int, float, bool)
Shape = dict[str, Any]


def shape_of(part: Any, root: Shape) -> Shape:
    """Never raises; what can't be understood is {}, which allows anything."""
    for _ in range(DEEPEST):
        if not isinstance(part, dict):
            return {}
        simpler = _followed(part, root) or _only_one(part)
        if simpler is None:
            return _with_one_type(part)
        part = simpler
    return {}


def choices_of(shape: Shape) -> list[tuple[Any, str]] | None:
    """(value, label) of each, null left away; None where the schema does not name its values."""
    if isinstance(values := shape.get("enum"), list):
        found = [(value, "") for value in values]
    elif "const" in shape:
        found = [(shape["const"], "")]
    elif titled := _constants(shape):
        found = titled
    elif shape.get("type") == "boolean":
        return [(True, "Yes"), (False, "No")]
    else:
        return None
    return [(value, label) for value, label in found if value is not None]


def text_in(shape: Shape, key: str) -> str:
    value = shape.get(key)
    return value if isinstance(value, str) else ""


def whole_number_in(shape: Shape, key: str) -> int | None:
    """For lengths: nothing negative, nothing absurd."""
    value = shape.get(key)
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
    return value if fits else None


def number_in(shape: Shape, key: str) -> float | None:
    value = shape.get(key)
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 10**15
    return value if fits else None


def _followed(part: Shape, root: Shape) -> Shape | None:
    if not isinstance(reference := part.get("$ref"), str):
        return None
    beside = {key: value for key, value in part.items() if key != "$ref"}
    return _at(reference, root) | beside


def _at(reference: str, root: Shape) -> Shape:
    """Only within this document: nothing is ever fetched."""
    place: Any = root if reference.startswith("#") else {}
    for step in reference.removeprefix("#").split("/")[1:]:
        place = place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else {}


def _only_one(part: Shape) -> Shape | None:
    """`anyOf` of one thing and null, or `allOf` of one thing: that thing, under the words beside it."""
    for keyword in ("anyOf", "oneOf", "allOf"):
        if isinstance(given := part.get(keyword), list):
            real = [one for one in given if not _is_null(one)]
            if len(real) == 1 and isinstance(real[0], dict):
                return real[0] | {key: value for key, value in part.items() if key != keyword}
    return None


def _is_null(one: Any) -> bool:
    return isinstance(one, dict) and (one.get("type") == "null" or ("const" in one and one["const"] is None))


def _constants(shape: Shape) -> list[tuple[Any, str]]:
    for keyword in ("oneOf", "anyOf"):
        given = shape.get(keyword)
        if isinstance(given, list) and all(isinstance(one, dict) and "const" in one for one in given):
            return [(one["const"], text_in(one, "title")) for one in given]
    return []


def _with_one_type(part: Shape) -> Shape:
    if not isinstance(kinds := part.get("type"), list):
        return part
    real = [kind for kind in kinds if kind != "null"]
    return part | {"type": real[0] if len(real) == 1 else None}
