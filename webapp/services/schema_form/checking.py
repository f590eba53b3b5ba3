"""Arguments held against the input schema of somebody else, within a budget: a schema may be made to go on for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import UnknownType, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from webapp.builtin.arguments import complaint
from webapp.services.schema_form import patterns

MOST_STEPS = 20_000
MOST_UNIQUE = 500  # to find doubles takes the square of the time
MOST_MISTAKES = 20
# They run patterns of the schema over names of the schema; or are no demand but a remark.
LEFT_OUT = ("patternProperties", "unevaluatedProperties", "unevaluatedItems", "format")
Rule = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]
# What a schema that contradicts itself, or JSON Schema, makes the checker stumble over.
STUMBLES = (
    UnknownType,
    Unresolvable,
    TypeError,
    AttributeError,
    LookupError,
    ValueError,
    ArithmeticError,
    RecursionError,
)


class _TooMuch(ValueError):
    pass


def mistakes(arguments: dict[str, Any], schema: Any) -> list[tuple[str, str]]:
    """(name of the argument, or empty for all of them; a sentence) for each thing that does not fit.

    From where the schema can't be followed on there are none: the server has the last word anyway.
    """
    if not isinstance(schema, dict):
        return []
    told: list[tuple[str, str]] = []
    try:
        for error in islice(
            _validator(schema)(schema, registry=Registry()).iter_errors(arguments), MOST_MISTAKES
        ):
            told.append(_told(error))
    except STUMBLES:
        return told
    return told


def _validator(schema: dict[str, Any]) -> Any:
    known = validators.validator_for(schema, default=Draft202012Validator)
    steps = iter(range(MOST_STEPS))
    rules = {**known.VALIDATORS, **dict.fromkeys(LEFT_OUT, _nothing), "pattern": _pattern}
    rules["additionalProperties"] = _additional(rules.get("additionalProperties", _nothing))
    rules["uniqueItems"] = _unique(rules.get("uniqueItems", _nothing))
    return validators.extend(known, {name: _counted(rule, steps) for name, rule in rules.items()})


def _counted(rule: Rule, steps: Iterator[int]) -> Rule:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        if next(steps, None) is None:
            raise _TooMuch
        return rule(validator, value, instance, schema)

    return counted


def _nothing(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    return None


def _pattern(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not patterns.fits(value, instance):
        yield ValidationError("pattern")


def _additional(rule: Rule) -> Rule:
    def additional(
        validator: Any, value: Any, instance: Any, schema: Any
    ) -> Iterator[ValidationError] | None:
        return None if "patternProperties" in schema else rule(validator, value, instance, schema)

    return additional


def _unique(rule: Rule) -> Rule:
    def unique(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        small = isinstance(instance, list) and len(instance) <= MOST_UNIQUE
        return rule(validator, value, instance, schema) if small else None

    return unique


def _told(error: ValidationError) -> tuple[str, str]:
    path = list(error.absolute_path)
    if error.validator == "required" and not path:
        missing = next((name for name in error.validator_value if name not in error.instance), "")
        return missing, f"“{str(missing)[:100]}” is needed."
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    words = complaint(error)[:300]
    return (str(path[0]), f"“{place[:100]}” {words}.") if path else ("", f"The arguments: this {words}.")
