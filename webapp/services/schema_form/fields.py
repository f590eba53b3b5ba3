"""What each argument is typed into: a line, a text, a number, a choice, a list, or JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from dataclasses import field as part
from typing import Any

from webapp.services.schema_form import patterns
from webapp.services.schema_form.shapes import (
    SCALARS,
    Shape,
    choices_of,
    number_in,
    shape_of,
    text_in,
    whole_number_in,
)
from webapp.upstream.strict import pretty

MOST_FIELDS = 100
MOST_CHOICES = 200
LONGEST_HINT = 600
LONGEST_DEFAULT = 4000
LONGEST_SCHEMA = 3000
LONG_TEXT = 200  # from so many allowed characters on, a text gets several lines
LONG_NAMES = {
    "text", "body", "content", "description", "message", "note", "comment", "html", "markdown", "query_text", "sql",
    "code", "prompt", "script", "instructions", "summary_text", "details",
}  # fmt: skip
INPUT_TYPES = {"email": "email", "uri": "url", "url": "url", "date": "date"}
FORMATS = {
    "email": "an e-mail address", "uri": "a whole address, like https://example.com/",
    "url": "a whole address, like https://example.com/", "date": "a date, like 2026-11-23",
    "date-time": "a moment, like 2026-11-23T09:30:00Z", "time": "a time, like 09:30:00Z", "uuid": "a UUID",
    "ipv4": "an IPv4 address", "ipv6": "an IPv6 address", "hostname": "a host name",
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """`kind`: text, long (several lines), integer, number, choice, lines (one item each) or json.

    `key` names the input; the argument's own name may be anything. `item` is what one line of `lines` is.
    """

    key: str
    name: str
    kind: str
    required: bool = False
    title: str = ""
    description: str = ""
    hints: tuple[str, ...] = ()
    choices: tuple[tuple[Any, str], ...] = ()
    default: str = ""
    schema: str = ""  # of json: what the schema says, for people
    attributes: dict[str, str] = part(default_factory=dict)
    item: Field | None = None

    @property
    def options(self) -> list[tuple[str, str]]:
        """(what the form sends, label): JSON keeps 1 and "1" apart."""
        return [(json.dumps(value), label) for value, label in self.choices]


@dataclass(frozen=True)
class Form:
    fields: tuple[Field, ...]
    left_out: int = 0  # arguments beyond MOST_FIELDS: they are written as JSON


def form_for(schema: Any) -> Form:
    root = schema if isinstance(schema, dict) else {}
    shape = shape_of(root, root)
    given = shape.get("properties")
    properties: dict[str, Any] = given if isinstance(given, dict) else {}
    listed = shape.get("required")
    required = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    names = sorted(properties, key=lambda name: name not in required)  # stable: else in the schema's order
    shown = names[:MOST_FIELDS]
    return Form(
        tuple(
            _field(f"a{number}", name, shape_of(properties[name], root), root, name in required)
            for number, name in enumerate(shown)
        ),
        len(names) - len(shown),
    )


def _field(key: str, name: str, shape: Shape, root: Shape, required: bool) -> Field:
    choices = choices_of(shape)
    kind = _kind(name, shape, choices)
    item = _item(shape, root) if kind == "json" else None
    kind = "lines" if item else kind
    return Field(
        key,
        name,
        kind,
        required,
        title=_title(shape, name),
        description=_cut(text_in(shape, "description"), LONGEST_HINT),
        hints=_hints(kind, shape, choices, item),
        choices=tuple((value, label or _label(value)) for value, label in choices or ())
        if kind == "choice"
        else (),
        default=_default(shape.get("default"), kind),
        schema=_cut(pretty(shape), LONGEST_SCHEMA) if kind == "json" and shape else "",
        attributes=_attributes(kind, shape, required),
        item=item,
    )


def _title(shape: Shape, name: str) -> str:
    """Empty where it only says the name again."""
    title = text_in(shape, "title")[:200]
    return "" if title.casefold().replace(" ", "_") == name.casefold() else title


def _kind(name: str, shape: Shape, choices: list[tuple[Any, str]] | None) -> str:
    if choices is not None:
        if (
            choices
            and len(choices) <= MOST_CHOICES
            and all(isinstance(value, SCALARS) for value, _ in choices)
        ):
            return "choice"
        return "text" if choices and all(isinstance(value, str) for value, _ in choices) else "json"
    match shape.get("type"):
        case "string":
            longest = whole_number_in(shape, "maxLength")
            long = longest > LONG_TEXT if longest is not None else name.lower() in LONG_NAMES
            plain = "format" not in shape and "pattern" not in shape
            return "long" if long and plain else "text"
        case "integer":
            return "integer"
        case "number":
            return "number"
    return "json"


def _item(shape: Shape, root: Shape) -> Field | None:
    """Of a list of simple things: one of them."""
    if shape.get("type") != "array" or not isinstance(shape.get("items"), dict) or "prefixItems" in shape:
        return None
    inner = shape_of(shape["items"], root)
    choices = choices_of(inner)
    kind = _kind("", inner, choices)
    if kind not in ("text", "long", "integer", "number", "choice"):
        return None
    known = (
        tuple((value, label or _label(value)) for value, label in choices or ()) if kind == "choice" else ()
    )
    return Field("", "", kind, choices=known, hints=_hints(kind, inner, choices, None))


def _hints(
    kind: str, shape: Shape, choices: list[tuple[Any, str]] | None, item: Field | None
) -> tuple[str, ...]:
    """What the schema demands, in words."""
    hints = [
        _range(shape, "minLength", "maxLength", "characters"),
        _range(shape, "minItems", "maxItems", "items"),
    ]
    hints += [_limits(shape)] if kind in ("integer", "number") else []
    if kind == "lines" and item:
        hints.insert(0, "One per line.")
        known = [label for _, label in item.choices]
        hints += [f"Each is one of {_some(known)}."] if known else list(item.hints)
    if choices and kind in ("text", "json"):
        hints.append(f"One of {_some([_label(value) for value, _ in choices])}.")
    if kind == "text" and (words := FORMATS.get(text_in(shape, "format"))):
        hints.append(f"Must be {words}.")
    if kind in ("text", "long") and (pattern := text_in(shape, "pattern")):
        hints.append(f"Pattern: {_cut(pattern, 120)}")
    if isinstance(examples := shape.get("examples"), list) and examples and kind != "choice":
        hints.append(f"For example: {_cut(_label(examples[0]), 200)}")
    return tuple(hint for hint in hints if hint)


def _range(shape: Shape, least: str, most: str, unit: str) -> str:
    low, high = whole_number_in(shape, least), whole_number_in(shape, most)
    if low and high is not None:
        return f"{low:,} to {high:,} {unit}."
    if high is not None:
        return f"At most {high:,} {unit}."
    return f"At least {low:,} {unit}." if low and low > 1 else ""


def _limits(shape: Shape) -> str:
    low, high = number_in(shape, "minimum"), number_in(shape, "maximum")
    if low is not None and high is not None:
        return f"{low:,} to {high:,}."
    if low is not None:
        return f"{low:,} or more."
    return f"{high:,} or less." if high is not None else ""


def _attributes(kind: str, shape: Shape, required: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    shortest = whole_number_in(shape, "minLength") or 0
    if required and (kind not in ("text", "long") or shortest):
        found["required"] = "required"  # a text that may be empty can still be given as JSON
    if kind in ("text", "long"):
        if shortest > 1:
            found["minlength"] = str(shortest)
        if kind == "text":
            found["type"] = INPUT_TYPES.get(text_in(shape, "format"), "text")
        if (
            kind == "text"
            and found["type"] == "text"
            and (pattern := patterns.for_html(shape.get("pattern")))
        ):
            found["pattern"] = pattern
            found["title"] = f"Pattern: {shape['pattern']}"
    if kind in ("integer", "number"):
        found |= {"type": "number", "step": "1" if kind == "integer" else "any"}
        limits = {"min": number_in(shape, "minimum"), "max": number_in(shape, "maximum")}
        found |= {
            name: f"{limit:g}" if limit % 1 else str(int(limit))
            for name, limit in limits.items()
            if limit is not None
        }
    return found


def _default(value: Any, kind: str) -> str:
    """As it would be typed; empty where there is none or it does not fit the input."""
    if value is None:
        return ""
    match kind:
        case "text" | "long":
            typed = value if isinstance(value, str) else ""
        case "integer" | "number":
            typed = (
                json.dumps(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
            )
        case "lines":
            simple = isinstance(value, list) and all(isinstance(one, SCALARS) for one in value)
            typed = "\n".join(map(_label, value)) if simple else ""
        case "choice":
            typed = json.dumps(value)
        case _:
            typed = pretty(value)
    return typed if len(typed) <= LONGEST_DEFAULT else ""


def _label(value: Any) -> str:
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 200)


def _some(labels: list[str], most: int = 12) -> str:
    rest = len(labels) - most
    return ", ".join(_cut(label, 60) for label in labels[:most]) + (
        f" … and {rest:,} more" if rest > 0 else ""
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"
