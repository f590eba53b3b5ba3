"""What changed in a tool's definition, line by line, for the person who reviews it."""

from __future__ import annotations

import json
from difflib import unified_diff
from typing import Any

PARTS = {
    "title": "Title",
    "description": "Description",
    "inputSchema": "Input schema",
    "outputSchema": "Output schema",
    "annotations": "Annotations",
}
MOST_LINES = 120
LONGEST_LINE = 400
# Comparing grows with the square of the lines; what is longer is named, not shown.
MOST_COMPARED = 1500


def describe(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """[{part, lines}] for each part that differs; lines begin with +, - or a space."""
    return [
        {"part": words, "lines": _difference(before.get(part), after.get(part))}
        for part, words in PARTS.items()
        if before.get(part) != after.get(part)
    ]


def _difference(before: Any, after: Any) -> list[str]:
    old, new = _lines(before), _lines(after)
    if max(len(old), len(new)) > MOST_COMPARED:
        return [" (too long to compare)"]
    lines = list(unified_diff(old, new, n=2, lineterm=""))[2:]
    shown = [line[:LONGEST_LINE] for line in lines[:MOST_LINES] if not line.startswith("@@")]
    return shown + ([" …"] if len(lines) > MOST_LINES else [])


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    return (value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)).splitlines()
