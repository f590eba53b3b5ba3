"""What a change of many policies would do: step by step, what is left out and why, and how it is counted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from webapp.services import policies
from webapp.services.policies import POLICIES, looser
from webapp.services.tools import Candidate

MANY = 10
NOT_REVIEWED = "It changed, is new or was flagged, and nobody has looked at it yet."


@dataclass(frozen=True)
class Step:
    """One tool, from which policy to which. `why_not`: what keeps it from being done."""

    tool: Candidate
    after: str
    why_not: str = ""

    @property
    def loosens(self) -> bool:
        return looser(self.after, self.tool.policy)

    @property
    def loosens_write(self) -> bool:
        return self.loosens and self.tool.kind != "read"


@dataclass(frozen=True)
class Plan:
    """`same` counts the tools that are as wished already."""

    steps: list[Step]
    left_out: list[Step] = field(default_factory=list)
    same: int = 0

    @property
    def loosened_writes(self) -> list[Step]:
        return [step for step in self.steps if step.loosens_write]

    @property
    def others(self) -> list[Step]:
        return [step for step in self.steps if not step.loosens_write]

    @property
    def needs_preview(self) -> bool:
        return len(self.steps) > MANY or bool(self.loosened_writes)

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        """(from, to, how many), the loosest targets first."""
        counted = Counter((step.tool.policy, step.after) for step in self.steps)
        ordered = sorted(counted, key=lambda pair: (POLICIES.index(pair[1]), POLICIES.index(pair[0])))
        return [(before, after, counted[before, after]) for before, after in ordered]

    @property
    def digest(self) -> str:
        """The same for the same plan: what a person saw is what is done."""
        lines = [f"{s.tool.id} {s.tool.policy} {s.after} {s.tool.definition_digest}" for s in self.steps]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:32]


def nothing(planned: Plan) -> str:
    """Why a plan does nothing."""
    if planned.left_out:
        return planned.left_out[0].why_not
    return "They have this policy already." if planned.same else "No tool was selected."


def draw(pairs: Iterable[tuple[Candidate, str]], role: str) -> Plan:
    steps: list[Step] = []
    left_out: list[Step] = []
    same = 0
    for tool, after in pairs:
        if after == tool.policy:
            same += 1
        elif why := _hindrance(tool, after, role):
            left_out.append(Step(tool, after, why))
        else:
            steps.append(Step(tool, after))
    return Plan(steps, left_out, same)


def _hindrance(tool: Candidate, after: str, role: str) -> str:
    """Nobody looks at each tool of many: one that waits for a look gets no more permission this way."""
    if policies.unreviewed(tool.waits, tool.policy, after):
        return NOT_REVIEWED
    return policies.hindrance(tool.kind, after, role)
