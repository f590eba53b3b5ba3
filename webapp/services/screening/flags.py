"""What screening can find, and its words."""

from __future__ import annotations

from dataclasses import dataclass

TITLES = {
    "order": "Orders for the model",
    "secrecy": "Secrecy",
    "theft": "Reaching for secrets",
    "takeover": "Rule over other tools",
    "shadow": "Another server’s tools",
    "hidden": "Hidden characters",
    "unseen": "Hidden text",
    "encoded": "Encoded text",
    "lookalike": "Look-alike name",
}
REASONS = {
    "order": "it speaks to the model, and not of what the tool does.",
    "secrecy": "it wants something kept from people.",
    "theft": "it asks for files, keys or conversations, or sends things elsewhere.",
    "takeover": "it gives orders about other tools or about asking people.",
    "shadow": "it speaks of tools that are not its own, which a model may then use otherwise.",
    "hidden": "a model reads them, a person does not see them.",
    "unseen": "a page would not show it, a model reads it.",
    "encoded": "a person can’t read it, a model can.",
    "lookalike": "it can be taken for something it is not.",
}
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
