"""A server's tool list, read tool by tool: what can be used, and what is set aside with its reason."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp.shared.inbound import find_invalid_x_mcp_header

from webapp.upstream.strict import canonical, in_order

MAX_NAME = 128
MAX_SCHEMA_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_DESCRIPTION_BYTES = 16 * 1024
# A picture beside a tool's name can't tell a model or a program what to do, and its address often carries a version or
# a signature that differs every day: whoever had to look at each would soon look at nothing. Everything else that a
# server says of a tool counts, `_meta` too: programs act on it (it names pages to show, and tools to hide), and what
# a later protocol adds may mean more still.
_LOOKS = frozenset({"icons"})
_FIELDS = frozenset({"name", "title", "description", "inputSchema", "outputSchema", "annotations"})
_UNORDERED_KEYWORDS = frozenset({"required", "enum", "type", "anyOf", "oneOf", "allOf"})


@dataclass(frozen=True)
class ToolDefinition:
    """`raw` is the tool as received. `description` is cut at 16 KB; `digest` covers all of it, and everything else
    that a person must have seen. `received` differs with anything in `raw` but the order of keys."""

    name: str
    title: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    annotations: dict[str, Any]
    raw: dict[str, Any] = field(repr=False)
    digest: str
    received: str


@dataclass(frozen=True)
class Quarantined:
    """`name` and `reason` are fit for a page; `name` is not always the exact name (see `_shown`)."""

    name: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """`complete` is False when not everything was seen, with `problem` saying why. Then nothing is gone."""

    tools: list[ToolDefinition]
    quarantined: list[Quarantined]
    complete: bool
    problem: str = ""


class _SetAside(Exception):
    """The reason why one tool can't be used."""


def definition_digest(
    *,
    name: str,
    title: str = "",
    description: str = "",
    input_schema: dict[str, Any],
    output_schema: dict[str, Any] | None = None,
    annotations: dict[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> str:
    """SHA-256 in hex. The order of keys and of lists that mean a set (`required`, `anyOf`) changes nothing.

    `more` are the parts without a name here. A tool that has none keeps the digest that it had before they counted.
    """
    meaning = {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": _unordered(input_schema),
        "outputSchema": _unordered(output_schema),
        "annotations": annotations or {},
        **({"more": more} if more else {}),
    }
    return hashlib.sha256(canonical(meaning)).hexdigest()


def digest_of(raw: dict[str, Any]) -> str:
    """The same, of a tool as received that was found usable."""
    return _parse(raw).digest


def parse_tools(raw_tools: list[object]) -> tuple[list[ToolDefinition], list[Quarantined]]:
    tools: list[ToolDefinition] = []
    quarantined: list[Quarantined] = []
    seen: set[str] = set()
    for number, raw in enumerate(raw_tools, start=1):
        try:
            tool = _parse(raw)
            if tool.name in seen:
                raise _SetAside("Another tool of this server has the same name; the first one is used.")
        except _SetAside as reason:
            quarantined.append(Quarantined(_shown(raw, number), str(reason)))
        else:
            seen.add(tool.name)
            tools.append(tool)
    return tools, quarantined


def _parse(raw: object) -> ToolDefinition:
    if not isinstance(raw, dict):
        raise _SetAside("It is not an object with a name and an input schema.")
    if _deeper_than(raw, MAX_DEPTH + 1):
        raise _SetAside(f"It is nested more than {MAX_DEPTH} levels deep.")
    whole = _text_of(raw)
    name = _name(raw)
    input_schema = _input_schema(raw)
    output_schema = _object_or_none(raw, "outputSchema", "output schema")
    annotations = _object_or_none(raw, "annotations", "annotations") or {}
    title = _text(raw, "title", "title") or _hinted_title(annotations)
    description = _text(raw, "description", "description")
    return ToolDefinition(
        name=name,
        title=title,
        description=_cut(description, MAX_DESCRIPTION_BYTES),
        input_schema=input_schema,
        output_schema=output_schema,
        annotations=annotations,
        raw=raw,
        digest=definition_digest(
            name=name,
            title=title,
            description=description,
            input_schema=input_schema,
            output_schema=output_schema,
            annotations=annotations,
            more=more_in(raw),
        ),
        received=hashlib.sha256(whole).hexdigest(),
    )


def more_in(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a server says of a tool beside the parts that have a field of their own, such as `_meta`. Not its looks."""
    rest = sorted(raw.keys() - _FIELDS - _LOOKS)
    return {name: raw[name] for name in rest if raw[name] not in (None, {}, [])}


def _name(raw: dict[str, Any]) -> str:
    name = raw.get("name")
    if not isinstance(name, str):
        raise _SetAside("It has no name.")
    if not name.strip():
        raise _SetAside("Its name is empty.")
    if len(name) > MAX_NAME:
        raise _SetAside(f"Its name has {len(name)} characters; {MAX_NAME} are allowed.")
    if not name.isprintable():
        raise _SetAside("Its name has invisible characters, which can pass one tool off as another.")
    return name


def _input_schema(raw: dict[str, Any]) -> dict[str, Any]:
    if "inputSchema" not in raw:
        raise _SetAside("It has no input schema, so nobody can know its arguments.")
    schema = _object_or_none(raw, "inputSchema", "input schema")
    if schema is None:
        raise _SetAside("Its input schema is empty (null).")
    if schema.get("type") != "object":
        raise _SetAside('Its input schema is not of type "object", which MCP demands.')
    if speaks_of_headers(schema) and (invalid := find_invalid_x_mcp_header(schema)):
        raise _SetAside(f"It asks for a request header in a way MCP forbids: {invalid[:200]}.")
    return schema


def speaks_of_headers(schema: Mapping[str, Any]) -> bool:
    """Whether a walk through it for `x-mcp-header` can find any: to search its text is faster, and most have none."""
    return b'"x-mcp-header"' in in_order(schema)


def _object_or_none(raw: dict[str, Any], key: str, words: str) -> dict[str, Any] | None:
    value = raw.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _SetAside(f"Its {words} can't be read: not a JSON object.")
    if len(in_order(value)) > MAX_SCHEMA_BYTES:
        raise _SetAside(f"Its {words} is larger than {MAX_SCHEMA_BYTES // 1024} KB.")
    return value


def _text(raw: dict[str, Any], key: str, words: str) -> str:
    value = raw.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _SetAside(f"Its {words} can't be read: not text.")
    return value


def _hinted_title(annotations: dict[str, Any]) -> str:
    title = annotations.get("title")
    return title if isinstance(title, str) else ""


def _text_of(raw: dict[str, Any]) -> bytes:
    """All of it, its keys in order."""
    try:
        whole = in_order(raw)
        whole.decode("utf-8")
    except UnicodeDecodeError:
        raise _SetAside("It has text that is not valid Unicode.") from None
    except ValueError:
        raise _SetAside("It has a number too large to read.") from None
    return whole


def _deeper_than(value: object, limit: int) -> bool:
    """Counts without recursion, so that no nesting can break it."""
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return any(isinstance(node, dict | list) for node in level)


def _unordered(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _as_set(value) if key in _UNORDERED_KEYWORDS else _unordered(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_unordered(item) for item in node]
    return node


def _as_set(value: Any) -> Any:
    if isinstance(value, list):
        return sorted((_unordered(item) for item in value), key=canonical)
    return _unordered(value)


def _shown(raw: object, number: int) -> str:
    """The name made harmless for a page, or the tool's place in the list where it has none."""
    name = raw.get("name") if isinstance(raw, dict) else None
    if not isinstance(name, str) or not name.strip():
        return f"tool no. {number}"
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name[:MAX_NAME])
    return shown if len(name) <= MAX_NAME else f"{shown}…"


def _cut(text: str, limit: int) -> str:
    encoded = text.encode("utf-8")
    return text if len(encoded) <= limit else encoded[:limit].decode("utf-8", "ignore")
