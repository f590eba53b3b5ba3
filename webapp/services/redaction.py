"""What the log keeps of a call's arguments: full, redacted, or only their digest."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Any

from webapp.upstream.strict import canonical

SECRET_NAME = re.compile(
    r"pass(word|phrase|wd)?$|secret|token|api_?key|authori[sz]ation|credential|private_?key|cookie|otp|pin$",
    re.I,
)
LONGEST = 200
MOST_ITEMS = 30
DEEPEST = 6
LONGEST_KNOWN = 64  # names of arguments that are remembered; whoever calls chooses them


def digest_of(arguments: Any) -> str:
    """SHA-256, hex, over canonical JSON: what an approval is bound to."""
    return hashlib.sha256(canonical(arguments)).hexdigest()


def keep(arguments: Any, mode: str) -> dict[str, Any]:
    """The `details` a log row carries for these arguments. `mode` is the setting LOG_ARGUMENTS."""
    kept: dict[str, Any] = {"arguments_digest": digest_of(arguments)}
    if mode == "full":
        kept["arguments"] = arguments
    elif mode == "redacted":
        kept["arguments"] = redact(arguments)
    return kept


def redact(value: Any, depth: int = 0) -> Any:
    """Secrets masked by the name of their field, long texts and lists cut, deep nesting folded."""
    if depth > DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {
            k: "•••" if _secret(k, v) else redact(v, depth + 1) for k, v in list(value.items())[:MOST_ITEMS]
        }
    if isinstance(value, list):
        rest = [f"… {len(value) - MOST_ITEMS} more"] if len(value) > MOST_ITEMS else []
        return [redact(item, depth + 1) for item in value[:MOST_ITEMS]] + rest
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]}… ({len(value)} characters)"
    return value


def _secret(name: str, value: Any) -> bool:
    named = _names_secret(name) if len(name) <= LONGEST_KNOWN else bool(SECRET_NAME.search(name))
    return named and isinstance(value, (str, int, list, dict)) and value not in ("", 0)


@lru_cache(maxsize=4096)
def _names_secret(name: str) -> bool:
    return bool(SECRET_NAME.search(name))
