"""JSON as its standard has it, both ways: no NaN, no number without end. One coder of each kind serves all."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def _finite(number: str) -> float:
    """1e400 would become infinity, which we could not pass on."""
    if math.isinf(value := float(number)):
        raise ValueError(f"{number[:40]} is too large")
    return value


def _no_such_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_such_number, parse_float=_finite)
_plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_escaped = json.JSONEncoder(separators=(",", ":"))


def decoded(body: str | bytes) -> Any:
    """Raises ValueError, or RecursionError for bottomless nesting."""
    return _decoder.decode(body if isinstance(body, str) else body.decode())


def encoded(message: object) -> bytes:
    """UTF-8; a lone surrogate goes on as it came: as an escape."""
    try:
        return _plain.encode(message).encode()
    except UnicodeEncodeError:
        return ascii_encoded(message)


def ascii_encoded(message: object) -> bytes:
    """For servers that get the character set wrong."""
    return _escaped.encode(message).encode("ascii")
