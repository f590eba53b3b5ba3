"""What is other than in the last call of this tool that somebody approved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from webapp.services.approvals import record
from webapp.store.models import Approval
from webapp.upstream.strict import canonical

APPROVED = ("approved", "running", "done", "failed", "unknown")


@dataclass(frozen=True)
class Argument:
    """`mark`: empty, new (the earlier call had none) or changed; `before` is what it was."""

    name: str
    value: Any
    mark: str = ""
    before: Any = None


@dataclass(frozen=True)
class Difference:
    arguments: list[Argument]
    earlier: Approval | None = None
    left_out: tuple[str, ...] = ()

    @property
    def changed(self) -> int:
        return sum(bool(argument.mark) for argument in self.arguments) + len(self.left_out)


def last_approved(approval: Approval) -> Approval | None:
    """The newest approved call of the same tool that was decided before this one was asked."""
    if approval.tool_id is None:
        return None
    found: Approval | None = (
        Approval.select()
        .where(
            Approval.tool == approval.tool_id,
            Approval.state.in_(APPROVED),
            Approval.id != approval.id,
            Approval.decided_at.is_null(False),
            Approval.created_at <= approval.created_at,
        )
        .order_by(Approval.created_at.desc())
        .first()
    )
    return found


def difference(arguments: dict[str, Any], earlier: Approval | None) -> Difference:
    if earlier is None:
        return Difference([Argument(name, value) for name, value in arguments.items()])
    before = record.arguments_of(earlier)
    marked = [_marked(name, value, before) for name, value in arguments.items()]
    return Difference(marked, earlier, tuple(name for name in before if name not in arguments))


def _marked(name: str, value: Any, before: dict[str, Any]) -> Argument:
    if name not in before:
        return Argument(name, value, "new")
    same = canonical(before[name]) == canonical(value)  # to Python, 1 and true are equal
    return Argument(name, value) if same else Argument(name, value, "changed", before[name])
