"""Calls that wait for a person: asked, decided, claimed, run once, answered.

Every step is one conditional update, so that of two people, two workers or two repeats exactly one wins.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from webapp.errors import InvalidInput, NotFound, Stale, TooMany
from webapp.services import audit
from webapp.services.accounts import needs
from webapp.services.audit import Actor, Row
from webapp.services.redaction import digest_of, keep
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, AgentIntegration, Approval, Integration, Tool

# An approved call that no worker could start (all were down) is not run hours later behind everybody's back.
START_WITHIN = timedelta(minutes=2)
# How long an outcome is kept for an agent that never came back for it.
KEEP_OUTCOME = timedelta(hours=24)
OPEN = ("waiting", "approved", "running")
DECIDED = ("approved", "running")
FINISHED = ("done", "failed", "denied", "expired", "withdrawn", "unknown")
CANNOT_FIND = "There is no such approval."


@dataclass(frozen=True)
class Asked:
    """What an agent wants to do, as far as an approval is bound to it."""

    agent_id: int
    agent_name: str
    tool_id: int
    catalogue_name: str
    integration: str
    definition_digest: str
    arguments: dict[str, Any]
    reason: str = ""

    @property
    def key(self) -> str:
        parts = (str(self.agent_id), str(self.tool_id), digest_of(self.arguments), self.definition_digest)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def ask(asked: Asked, *, minutes: int, most_open: int, log_arguments: str) -> str:
    """The id of the approval that serves this call: the open one for a repeat, else a new one.

    Runs in the caller's transaction. Raises TooMany when the agent has `most_open` already.
    """
    known = Approval.get_or_none(Approval.open_key == asked.key)
    if known and not (known.state == "waiting" and known.expires_at <= now()):
        return str(known.id)
    if known:
        _expire(known)
        _close(known.id)
    mine = Approval.waiting().where(Approval.agent == asked.agent_id).count()
    if mine >= most_open:
        raise TooMany(f"This agent already has {mine} calls waiting for approval.", retry_after=60)
    return _create(asked, minutes, log_arguments)


def _create(asked: Asked, minutes: int, log_arguments: str) -> str:
    approval_id = "apr_" + secrets.token_hex(8)
    moment = now()
    Approval.create(
        id=approval_id,
        open_key=asked.key,
        agent=asked.agent_id,
        agent_name=asked.agent_name,
        tool=asked.tool_id,
        catalogue_name=asked.catalogue_name,
        arguments=Approval.arguments.seal(approval_id, asked.arguments),
        arguments_digest=digest_of(asked.arguments),
        definition_digest=asked.definition_digest,
        reason=asked.reason,
        created_at=moment,
        expires_at=moment + timedelta(minutes=minutes),
        agent_waits_until=moment,
    )
    details = keep(asked.arguments, log_arguments)
    audit.append(
        [_row(asked.agent_name, asked.catalogue_name, approval_id, "waiting", details, asked.integration)]
    )
    audit.bump_generation()
    return approval_id


def decide(approval_id: str, decision: str, actor: Actor, note: str = "") -> Approval:
    """Approve (the call runs at once) or deny. Raises Stale, saying who was first, when it is too late."""
    needs(actor, "technician")
    if decision not in ("approve", "deny"):
        raise InvalidInput("A decision is approve or deny.", field="decision")
    state = "approved" if decision == "approve" else "denied"
    with writing():
        approval = get(approval_id)
        changed = (
            Approval.update(state=state, decided_by=actor.name, decided_at=now(), note=note.strip()[:2000])
            .where(Approval.id == approval_id, Approval.state == "waiting", Approval.expires_at > now())
            .execute()
        )
        if not changed:
            raise Stale(too_late(approval), next_step="If the call is still wanted, the agent can ask again.")
        integration = approval.tool.integration.name if approval.tool else ""
        details = {"agent": approval.agent_name, "note": note.strip()[:2000]}
        audit.record(f"approval.{decision}", actor, integration=integration, tool=approval.catalogue_name,
                     approval=approval_id, details=details)  # fmt: skip
        if state == "denied":
            row = _row(approval.agent_name, approval.catalogue_name, approval_id, "denied", {}, integration)
            audit.append([row])
    return get(approval_id)


def too_late(approval: Approval) -> str:
    """Who was first, as a sentence; not an error, a fact."""
    if approval.state == "waiting":
        return "This approval expired before anybody decided."
    if approval.decided_by:
        verb = "denied" if approval.state == "denied" else "approved"
        return f"Already {verb} by {approval.decided_by}."
    return {
        "expired": "This approval expired.",
        "withdrawn": "Its server was disconnected, or its agent's key revoked.",
    }.get(approval.state, "This call was decided already.")


def get(approval_id: str) -> Approval:
    approval: Approval | None = Approval.get_or_none(Approval.id == approval_id)
    if approval is None:
        raise NotFound(CANNOT_FIND)
    return approval


def arguments_of(approval: Approval) -> dict[str, Any]:
    arguments: dict[str, Any] = Approval.arguments.open(approval.id, approval.arguments)
    return arguments


def result_of(approval: Approval) -> dict[str, Any] | None:
    result: dict[str, Any] | None = Approval.result.open(approval.id, approval.result)
    return result


def states_of(ids: Iterable[str]) -> dict[str, str]:
    query = Approval.select(Approval.id, Approval.state).where(Approval.id.in_(list(ids)))
    return dict(query.tuples())


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
    approval = get(approval_id)
    why = _may_not_run(approval)
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
    _finish(approval, "failed", {"content": [{"type": "text", "text": text}], "isError": True})
    audit.append([_row(approval.agent_name, approval.catalogue_name, approval.id, "refused", {"why": why})])
    audit.bump_generation()


def lost(worker: str, ids: Iterable[str]) -> None:
    """These were forwarded by a worker that died: nobody knows their outcome. In the caller's transaction."""
    (
        Approval.update(state="unknown", finished_at=now())
        .where(Approval.state == "running", Approval.worker == worker, Approval.id.in_(list(ids)))
        .execute()
    )
    audit.bump_generation()


def put_back(worker: str) -> None:
    """What a dead worker had claimed but, for want of a committed intent, can't have started: to the others."""
    Approval.update(state="approved", worker="").where(
        Approval.state == "running", Approval.worker == worker
    ).execute()


def _may_not_run(approval: Approval) -> str:
    tool, agent = approval.tool, approval.agent
    if tool is None or tool.missing_since:
        return "the tool is gone."
    if tool.policy == "disabled":
        return "the tool was disabled meanwhile."
    if tool.definition_digest != approval.definition_digest:
        return "the tool's definition changed after it was asked for."
    if tool.integration.state in ("paused", "draft"):
        return "the integration is paused."
    if agent is None or not agent.usable:
        return "the agent's key was revoked or has expired."
    if not agent.every_integration and not _granted(agent, tool.integration):
        return "the agent may no longer use this integration."
    return ""


def _granted(agent: Agent, integration: Integration) -> bool:
    return bool(
        AgentIntegration.select()
        .where(AgentIntegration.agent == agent, AgentIntegration.integration == integration)
        .exists()
    )


def finish(approval_id: str, state: str, result: dict[str, Any]) -> None:
    """Keep the outcome of a claimed call, sealed, for the agent. In the transaction that logs the call."""
    _finish(get(approval_id), state, result)
    audit.bump_generation()


def _finish(approval: Approval, state: str, result: dict[str, Any]) -> None:
    (
        Approval.update(state=state, finished_at=now(), result=Approval.result.seal(approval.id, result))
        .where(Approval.id == approval.id, Approval.state == "running")
        .execute()
    )


def delivered(approval_id: str) -> None:
    """The agent has its answer: an identical call from now on is a new question. In the caller's transaction."""
    (
        Approval.update(result_delivered_at=now(), open_key=None)
        .where(Approval.id == approval_id, Approval.state.in_(FINISHED))
        .execute()
    )


def attend(approval_id: str, until: datetime) -> None:
    """Its agent holds the line until then, or has just let go. In the caller's transaction."""
    Approval.update(agent_waits_until=until).where(Approval.id == approval_id).execute()


def of_agent(approval_id: str, agent_id: int) -> Approval:
    """Raises NotFound for another agent's approval too: an id is no credential."""
    approval = get(approval_id)
    if approval.agent_id != agent_id:
        raise NotFound(CANNOT_FIND)
    return approval


def give_reason(approval_id: str, reason: str) -> None:
    """The agent's own words, while somebody may still read them. In the caller's transaction."""
    waiting = (Approval.id == approval_id) & (Approval.state == "waiting")
    Approval.update(reason=reason[:2000]).where(waiting).execute()


def expire_old() -> int:
    """Close what nobody decided in time, and forget outcomes nobody fetched. In the caller's transaction."""
    late = list(Approval.select().where(Approval.state == "waiting", Approval.expires_at <= now()))
    for approval in late:
        _expire(approval)
    _forget_unfetched()
    return len(late)


def _forget_unfetched() -> None:
    limit = now() - KEEP_OUTCOME
    (
        Approval.update(open_key=None)
        .where(
            Approval.open_key.is_null(False), Approval.state.in_(FINISHED), Approval.agent_waits_until < limit
        )
        .execute()
    )


def _expire(approval: Approval) -> None:
    changed = (
        Approval.update(state="expired", finished_at=now())
        .where(Approval.id == approval.id, Approval.state == "waiting")
        .execute()
    )
    if changed:
        audit.append([_row(approval.agent_name, approval.catalogue_name, approval.id, "expired", {})])
        audit.bump_generation()


def _close(approval_id: str) -> None:
    Approval.update(open_key=None).where(Approval.id == approval_id).execute()


def withdraw(tools: Iterable[Tool]) -> int:
    """The integration goes: what waits for its tools is over. In the caller's transaction."""
    return _withdraw(Approval.tool.in_([tool.id for tool in tools]), "the server was disconnected")


def withdraw_of(agent: Agent) -> int:
    """The agent's key is revoked: nobody needs to decide about its calls any more. In the caller's transaction."""
    return _withdraw(Approval.agent == agent.id, "the agent's key was revoked")


def _withdraw(which: Any, why: str) -> int:
    waiting = list(Approval.select().where(which, Approval.state.in_(("waiting", "approved"))))
    ids = [approval.id for approval in waiting]
    changes = {"state": "withdrawn", "open_key": None, "finished_at": now()}
    Approval.update(**changes).where(Approval.id.in_(ids)).execute()
    audit.append(_row(a.agent_name, a.catalogue_name, a.id, "refused", {"why": why}) for a in waiting)
    return len(waiting)


def _row(
    agent: str, tool: str, approval_id: str, outcome: str, details: dict[str, Any], integration: str = ""
) -> Row:
    return Row("call", Actor("agent", agent), "call", integration or _integration_in(tool), tool,
               policy="approval", outcome=outcome, approval=approval_id, details=details)  # fmt: skip


def _integration_in(catalogue_name: str) -> str:
    return catalogue_name.split(":", 2)[1] if catalogue_name.count(":") >= 2 else ""
