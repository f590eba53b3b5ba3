"""What a check thinks of one thing: a word for it, a sentence, and what was seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["ok", "unknown", "warning", "problem"]
_ORDER: tuple[State, ...] = ("ok", "unknown", "warning", "problem")
STATES = {"enum": list(_ORDER)}


@dataclass(frozen=True)
class Verdict:
    """`notes` are further sentences, the worst first; `facts` are data for the structured answer."""

    state: State
    summary: str
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def explanation(self) -> str:
        return " ".join((self.summary, *self.notes))

    def as_json(self) -> dict[str, Any]:
        return {"verdict": self.state, "explanation": self.explanation} | self.facts


def worst(states: Iterable[State]) -> State:
    return max(states, key=_ORDER.index, default="ok")
