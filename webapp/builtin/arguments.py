"""Arguments held against a tool's input schema; what does not fit is named in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry

from webapp.builtin.results import printable

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
# Keyword of the schema → the end of the sentence “port” …
_WORDS: dict[str, Callable[[Any], str]] = {
    "type": lambda kind: f"must be {_KINDS.get(str(kind), kind)}",
    "enum": lambda values: f"must be one of {', '.join(str(value) for value in values)}",
    "minLength": lambda least: "must not be empty" if least == 1 else f"needs at least {least} characters",
    "maxLength": lambda most: f"may have {most:,} characters at most",
    "pattern": lambda form: f"must have the form {form}",
    "minimum": lambda least: f"must be {least} or more",
    "maximum": lambda most: f"must be {most} or less",
    "minItems": lambda least: (
        f"needs at least {least} entry" if least == 1 else f"needs at least {least} entries"
    ),
    "maxItems": lambda most: f"may have {most} entries at most",
}


def mistake(arguments: dict[str, Any], schema: dict[str, Any]) -> str:
    """One sentence about the first thing that does not fit; empty when all is well.

    The schema is one of ours. The empty registry makes sure that none can ever be fetched.
    """
    validator = Draft202012Validator(schema, registry=Registry())
    # The first one only: a hostile list may have a million.
    error = next(iter(validator.iter_errors(arguments)), None)
    if error is not None:
        return _sentence(error, sorted(schema.get("properties", {})))
    return next(
        (f"“{name}” has a broken character in it." for name in arguments if _is_broken(arguments[name])), ""
    )


def _is_broken(value: object) -> bool:
    """JSON can hold half a pair of surrogates, which nothing further on can write."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _sentence(error: ValidationError, known: list[str]) -> str:
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"The argument “{missing}” is missing."
    if error.validator == "additionalProperties":
        stranger = next(name for name in error.instance if name not in known)
        return f"There is no argument “{printable(stranger, 60)}”. Known are: {', '.join(known)}."
    place = "".join(f"[{part}]" if isinstance(part, int) else part for part in error.absolute_path)
    return f"“{place or 'arguments'}” {complaint(error)}."


def complaint(error: ValidationError) -> str:
    """How a sentence goes on that began with the name of what does not fit."""
    words = _WORDS.get(str(error.validator))
    return words(error.validator_value) if words else "does not fit"
