"""The run of an approved call: claimed by one worker, looked at once more, kept with its outcome.

Every step is one conditional update, so that of two workers or two repeats exactly one wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from webapp.services.agent_errors import failure
from webapp.services.approvals import freezing, record
from webapp.store import generation
from webapp.store.fields import now
from webapp.store.models import Agent, AgentIntegration, Approval, Integration, User

# An approved call that no worker could start (all were down) is not run hours later behind everybody's back.
START_WITHIN = timedelta(minutes=2)


def startable() -> list[Approval]:
    return list(Approval.select().where(Approval.state == "approved").order_by(Approval.decided_at))


def claim(approval_id: str, worker: str) -> Approval | None:
    """Take an approved call to run it: None when another worker was faster or it may no longer run.

    The claim is the committed intent. Policy, definition and agent are looked at again here, in the same
    transaction, so that what runs is what the person saw. Runs in the caller's transaction.
    """
    taken = (
        Approval.update(state="running", worker=worker)
        .where(Approval.id == approval_id, Approval.state == "approved")
        .execute()
    )
    if not taken:
        return None
    approval = record.get(approval_id)
    if freezing.scope_of(approval):
        freezing.freeze(approval)
        return None
    why = hindrance(approval)
    if not why and now() - approval.decided_at > START_WITHIN:
        why = "Gatehouse was down when it was approved."
    if why:
        fail(approval, why)
        return None
    return approval


def is_claimed(approval_id: str, worker: str) -> bool:
    """False when this worker was taken for dead meanwhile, and another may run the call. In the caller's
    transaction, which commits the intent."""
    mine = Approval.select().where(
        Approval.id == approval_id, Approval.state == "running", Approval.worker == worker
    )
    return bool(mine.exists())


def release(approval_id: str, worker: str) -> None:
    """Claimed, but its intent could not be committed, so it did not start: whoever can shall take it."""
    Approval.update(state="approved", worker="").where(
        Approval.id == approval_id, Approval.state == "running", Approval.worker == worker
    ).execute()


def fail(approval: Approval, why: str) -> None:
    """A claimed call that was not started and will not be. In the caller's transaction."""
    if not is_claimed(approval.id, approval.worker):
        return
    text = f"The approved call was not run: {why}"
    row = record.write_down(approval, "refused", {"why": why})
    _finish(approval, "failed", failure(text, "not_run", "later", approval_id=approval.id), row)
    generation.raise_by_one(tools=())


def lost(worker: str, ids: Iterable[str]) -> None:
    """These were forwarded by a worker that died: nobody knows their outcome. In the caller's transaction."""
    (
        Approval.update(state="unknown", finished_at=now())
        .where(Approval.state == "running", Approval.worker == worker, Approval.id.in_(list(ids)))
        .execute()
    )
    generation.raise_by_one(tools=())


def put_back(worker: str) -> None:
    """What a dead worker had claimed but, for want of a committed intent, can't have started: to the others."""
    Approval.update(state="approved", worker="").where(
        Approval.state == "running", Approval.worker == worker
    ).execute()


def hindrance(approval: Approval) -> str:
    """Why it can't run as things are, as a part of a sentence; empty when it can."""
    tool, agent = approval.tool, approval.agent
    if tool is None or tool.missing_since:
        return "the tool is gone."
    if tool.policy == "disabled":
        return "the tool was disabled meanwhile."
    if tool.definition_digest != approval.definition_digest:
        return "the tool's definition changed after it was asked for."
    if (
        tool.integration.state == "draft"
        or tool.integration.kind == "builtin"
        and tool.integration.state == "paused"
    ):
        return "the integration is switched off."
    if approval.asked_by_id:
        return _asker_may_not(approval.asked_by)
    if agent is None or not agent.usable:
        return "the agent's key was revoked or has expired."
    if not agent.every_integration and not _granted(agent, tool.integration):
        return "the agent may no longer use this integration."
    return ""


def _asker_may_not(person: User) -> str:
    if person.disabled_at or person.role != "admin":
        return "whoever asked for it may not try tools any more."
    return ""


def _granted(agent: Agent, integration: Integration) -> bool:
    return bool(
        AgentIntegration.select()
        .where(AgentIntegration.agent == agent, AgentIntegration.integration == integration)
        .exists()
    )


def finish(approval_id: str, state: str, result: dict[str, Any]) -> None:
    """Keep the outcome of a claimed call, sealed, for the agent. In the transaction that has just logged it."""
    _finish(record.get(approval_id), state, result, record.last_row())
    generation.raise_by_one(tools=())


def _finish(approval: Approval, state: str, result: dict[str, Any], row: int) -> None:
    sealed = Approval.result.seal(approval.id, result)
    (
        Approval.update(state=state, finished_at=now(), result=sealed, log_row=row)
        .where(Approval.id == approval.id, Approval.state == "running")
        .execute()
    )
