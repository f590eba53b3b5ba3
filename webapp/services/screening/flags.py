"""What screening can find, and its words."""

from __future__ import annotations

from dataclasses import dataclass

TITLES = {"hidden": "Hidden characters"}
REASONS = {"hidden": "a model reads them, a person does not see them."}
AROUND = 60
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Flag:
    """`kind`: a key of TITLES. `where`: which text. `quote`: the passage, cut."""

    kind: str
    where: str
    quote: str


def passage(text: str, start: int, end: int) -> str:
    """What was found, with a little of what stands around it."""
    first, last = max(0, start - AROUND), min(len(text), max(start + 1, end) + AROUND)
    last = min(last, first + LONGEST)
    return ("…" if first else "") + " ".join(text[first:last].split(" ")) + ("…" if last < len(text) else "")
