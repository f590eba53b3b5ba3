"""How a call that waits ends without a run: nobody decided, its server or its agent goes, nobody fetches it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from webapp.services.approvals import record
from webapp.store import generation
from webapp.store.fields import now
from webapp.store.models import Agent, Approval, Tool, User

# How long an outcome is kept for an agent that never came back for it.
KEEP_OUTCOME = timedelta(hours=24)
CHANGED = "the definition of its tool changed while it waited"


def expire_old() -> int:
    """Close what nobody decided in time, and forget outcomes nobody fetched. In the caller's transaction."""
    late = list(Approval.select().where(Approval.state == "waiting", ~Approval.in_time()))
    for approval in late:
        expire(approval)
    _forget_unfetched()
    return len(late)


def _forget_unfetched() -> None:
    limit = now() - KEEP_OUTCOME
    (
        Approval.update(open_key=None)
        .where(
            Approval.open_key.is_null(False),
            Approval.state.in_(record.FINISHED),
            Approval.agent_waits_until < limit,
        )
        .execute()
    )


def expire(approval: Approval) -> None:
    changed = (
        Approval.update(state="expired", finished_at=now())
        .where(Approval.id == approval.id, Approval.state == "waiting")
        .execute()
    )
    if changed:
        row = record.write_down(approval, "expired", {})
        Approval.update(log_row=row).where(Approval.id == approval.id).execute()
        generation.raise_by_one(tools=())


def close(approval_id: str) -> None:
    Approval.update(open_key=None).where(Approval.id == approval_id).execute()


def withdraw(tools: Iterable[Tool]) -> int:
    """The integration goes: what waits for its tools is over. In the caller's transaction."""
    return _withdraw(Approval.tool.in_([tool.id for tool in tools]), "the server was disconnected")


def withdraw_of(agent: Agent, why: str) -> int:
    """The key is gone that these calls were asked for with. In the caller's transaction."""
    return _withdraw(Approval.agent == agent.id, why)


def withdraw_asked_by(person: User) -> int:
    """They have left, and may try nothing any more. In the caller's transaction."""
    return _withdraw(Approval.asked_by == person.id, "whoever asked for it has left")


def withdraw_changed(tool_ids: Iterable[int]) -> int:
    """The tools are not what they were when these calls were asked for. In the caller's transaction."""
    return _withdraw(Approval.tool.in_(list(tool_ids)), CHANGED)


def withdraw_all(why: str) -> int:
    """In the caller's transaction."""
    return _withdraw(True, why)


def _withdraw(which: Any, why: str) -> int:
    """`why` is for the card, the log and the agent, as a part of a sentence."""
    waiting = list(Approval.select().where(which, Approval.state.in_(("waiting", "approved"))))
    ids = [approval.id for approval in waiting]
    changes = {"state": "withdrawn", "note": why, "open_key": None, "finished_at": now()}
    Approval.update(**changes).where(Approval.id.in_(ids)).execute()
    for approval in waiting:
        record.write_down(approval, "refused", {"why": why})
    return len(waiting)
