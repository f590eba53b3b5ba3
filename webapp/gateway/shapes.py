"""What servers say, in shapes that agents' programs can read.

The SDKs check a list of tools as a whole, and throw all of it away for one part of one tool that is not as MCP has it:
a server that says `"icons": null` would take the tools of all others along. So what no program could read is left out
of what agents see; people see a definition as it came, and so do digests.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from webapp.upstream import strict

KINDS = ("text", "image", "audio", "resource_link", "resource")
Checks = Mapping[str, Callable[[Any], bool]]


def _text(value: object) -> bool:
    return isinstance(value, str)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _yes_or_no(value: object) -> bool:
    return isinstance(value, bool)


def _object(value: object) -> bool:
    return isinstance(value, dict)


_TOOL: Checks = {
    "title": _text, "description": _text, "outputSchema": _object, "annotations": _object, "execution": _object,
    "icons": lambda icons: isinstance(icons, list), "_meta": _object,
}  # fmt: skip
# PHP says [] for no properties.
_SCHEMA: Checks = {"$schema": _text, "properties": _object, "required": _texts}
_HINTS: Checks = {
    "title": _text, "readOnlyHint": _yes_or_no, "destructiveHint": _yes_or_no, "idempotentHint": _yes_or_no,
    "openWorldHint": _yes_or_no,
}  # fmt: skip
_ICON: Checks = {"mimeType": _text, "sizes": _texts, "theme": ("light", "dark").__contains__}
_EXECUTION: Checks = {"taskSupport": ("forbidden", "optional", "required").__contains__}


def tool(definition: dict[str, Any]) -> dict[str, Any]:
    """For both eras. The same object where there is nothing to repair."""
    fit = _without_odd(definition, _TOOL)
    parts = {name: repair(fit[name]) for name, repair in _REPAIRS.items() if name in fit}
    return fit if all(fit[name] is part for name, part in parts.items()) else fit | parts


def tool_of_old(definition: dict[str, Any]) -> dict[str, Any]:
    """For the handshake era, where structured content is an object or nothing."""
    schema = definition.get("outputSchema")
    if schema is None or schema.get("type") == "object":
        return definition
    return {name: part for name, part in definition.items() if name != "outputSchema"}


def result(given: dict[str, Any], modern: bool) -> dict[str, Any]:
    """A finished call's. What programs of the handshake era can't read of it they get as text. The same object where
    there is nothing to repair."""
    told = given.get("structuredContent")
    odd = {"isError"} if given.get("isError", False) is None else set()
    if not modern and "structuredContent" in given and not isinstance(told, dict):
        odd.add("structuredContent")
    content = _content(given.get("content"))
    if not odd and content is given.get("content"):
        return given
    if told is not None and not content and ("structuredContent" in odd or given.get("content") is None):
        content = [_as_text(strict.encoded(told).decode())]
    return {name: part for name, part in given.items() if name not in odd} | {"content": content}


def _content(content: object) -> list[Any]:
    if isinstance(content, str):
        return [_as_text(content)]
    return _or_same([_block(one) for one in content], content) if isinstance(content, list) else []


def _as_text(value: object) -> dict[str, Any]:
    text = value if isinstance(value, str) else strict.encoded(value).decode()
    return {"type": "text", "text": text}


def _block(block: Any) -> dict[str, Any]:
    """Java and Go write null for what they leave out; of a kind that MCP does not know a program would read nothing."""
    if not isinstance(block, dict) or block.get("type") not in KINDS:
        return _as_text(block)
    if block["type"] == "text" and not isinstance(text := block.get("text"), str):
        return _as_text("" if text is None else text)
    fit, resource = _without_nulls(block), block.get("resource")
    if isinstance(resource, dict) and None in resource.values():
        return fit | {"resource": _without_nulls(resource)}
    return fit


def _without_nulls(part: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in part.items() if one is not None} if None in part.values() else part


def _without_odd(value: dict[str, Any], checks: Checks) -> dict[str, Any]:
    odd = [name for name, fits in checks.items() if name in value and not fits(value[name])]
    return {name: part for name, part in value.items() if name not in odd} if odd else value


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    fit = _without_odd(schema, _SCHEMA)
    properties = fit.get("properties", {})
    if all(map(_object, properties.values())):
        return fit
    return fit | {"properties": {name: _as_object(one) for name, one in properties.items()}}


def _as_object(schema: object) -> dict[str, Any]:
    """`true` and `false` are schemas too, which the handshake era does not know: Go's SDK says `true` for any."""
    if isinstance(schema, dict):
        return schema
    return {"not": {}} if schema is False else {}


def _icons(icons: list[Any]) -> list[Any]:
    fit = [_without_odd(icon, _ICON) for icon in icons if isinstance(icon, dict) and _text(icon.get("src"))]
    return _or_same(fit, icons)


def _or_same(repaired: list[Any], given: list[Any]) -> list[Any]:
    """The list that was given, where nothing in it had to be repaired."""
    same = len(repaired) == len(given) and all(map(operator.is_, repaired, given))
    return given if same else repaired


_REPAIRS: Mapping[str, Callable[[Any], Any]] = {
    "inputSchema": _schema,
    "outputSchema": _schema,
    "annotations": lambda annotations: _without_odd(annotations, _HINTS),
    "execution": lambda execution: _without_odd(execution, _EXECUTION),
    "icons": _icons,
}
