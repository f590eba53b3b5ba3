"""What was typed, as the arguments of a call; what can't be read is said by field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from webapp.services.schema_form.fields import Field, Form

MORE = "more"  # the input for further arguments, as one JSON object; they win over the fields
WHOLE = re.compile(r"[+-]?\d{1,300}", re.ASCII)
MOST_LINES = 5000


class _Unreadable(ValueError):
    """`str(error)` goes on where the name of the argument ends."""


@dataclass(frozen=True)
class Reading:
    """`errors` by the key of a field, or MORE."""

    arguments: dict[str, Any]
    errors: dict[str, str] = field(default_factory=dict)


def read(form: Form, typed: Mapping[str, str]) -> Reading:
    arguments: dict[str, Any] = {}
    errors: dict[str, str] = {}
    more = _more(typed.get(MORE, ""), errors)
    for one in form.fields:
        if one.name in more:
            continue
        text = typed.get(one.key, "").replace("\r\n", "\n")
        try:
            if text.strip() or (text and one.kind in ("text", "long")):
                arguments[one.name] = _value(one, text)
            elif one.required:
                raise _Unreadable("is needed.")
        except _Unreadable as why:
            errors[one.key] = f"“{one.name[:100]}” {why}"
    return Reading(arguments | more, errors)


def _more(text: str, errors: dict[str, str]) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        value = _json(text)
        if not isinstance(value, dict):
            raise _Unreadable('must be one JSON object, like {"name": "value"}.')
    except _Unreadable as why:
        errors[MORE] = f"More arguments: this {why}"
        return {}
    return value


def _value(one: Field, text: str) -> Any:
    match one.kind:
        case "text" | "long":
            return text
        case "integer" | "number":
            return _number(text.strip(), whole=one.kind == "integer")
        case "choice":
            return _choice(one, text)
        case "lines":
            return _lines(one, text)
    return _json(text)


def _number(text: str, *, whole: bool) -> int | float:
    if WHOLE.fullmatch(text):
        return int(text)
    try:
        value = float(text)
    except ValueError as error:
        raise _Unreadable("must be a whole number." if whole else "must be a number.") from error
    if not math.isfinite(value):
        raise _Unreadable("must be a number that is not endless.")
    if whole:
        if value % 1:
            raise _Unreadable("must be a whole number.")
        return int(value)
    return value


def _choice(one: Field, text: str) -> Any:
    for (value, _), (sent, _) in zip(one.choices, one.options, strict=True):
        if sent == text:
            return value
    raise _Unreadable("must be one of those that the list offers.")


def _lines(one: Field, text: str) -> list[Any]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) > MOST_LINES:
        raise _Unreadable(f"has more than {MOST_LINES:,} lines; that many can't be tried from a form.")
    values = []
    for number, line in enumerate(lines, start=1):
        try:
            values.append(_line(one.item, line) if one.item else line)
        except _Unreadable as why:
            raise _Unreadable(f"line {number}: “{line[:60]}” {why}") from why
    return values


def _line(item: Field, line: str) -> Any:
    if item.kind != "choice":
        return _value(item, line)
    for value, label in item.choices:
        if line in (label, value) or line == json.dumps(value):
            return value
    raise _Unreadable("is not one of those that the schema names.")


def _json(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()  # half of a pair of surrogates is no text
    except RecursionError as error:
        raise _Unreadable("is nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise _Unreadable(f"is not JSON: {_words(error)}.") from error
    except ValueError as error:
        raise _Unreadable("is not JSON: it has a number or a character that JSON can't carry.") from error
    return value


def _words(error: json.JSONDecodeError) -> str:
    return f"line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _finite(number: str) -> float:
    if math.isinf(value := float(number)):
        raise ValueError(number)
    return value
