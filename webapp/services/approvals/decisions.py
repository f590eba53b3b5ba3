"""A person decides: once for a call, for the same call for a while, for several of a kind, or later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from webapp.errors import InvalidInput, Stale
from webapp.services import audit
from webapp.services.approvals import freezing, record, runs, second_person, standing
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Approval

# What a decision makes of a waiting call, and how the log calls it.
DECISIONS = {
    "approve": ("approved", "approval.approve"),
    "approve-same": ("approved", "approval.approve_same"),
    "deny": ("denied", "approval.deny"),
}
# Why not, in the words that are used most; own words may follow.
REASONS = {
    "not-needed": "This is not needed.",
    "wrong-target": "This is the wrong ticket, client or device.",
    "ask-first": "Ask the client first.",
    "office-hours": "Not during office hours.",
    "too-much": "This changes too much at once: ask for less.",
}
LONGEST_NOTE = 2000
PAUSED = {
    "calls": "all calls are stopped",
    "writes": "all writes are stopped",
    "server": "its server is paused",
    "agent": "its agent is paused",
}
MORE_TIME = timedelta(minutes=30)
LONGEST_LIFE = timedelta(hours=24)
MOST_AT_ONCE = 100


def decide(approval_id: str, decision: str, actor: Actor, note: str = "", *, reason: str = "") -> Approval:
    """Approve (the call runs at once) or deny. Raises Stale, saying who was first, when it is too late."""
    needs(actor, "technician")
    if decision not in DECISIONS:
        raise InvalidInput("A decision is approve or deny.", field="decision")
    words = _note(reason if decision == "deny" else "", note)
    with writing():
        approval = record.get(approval_id)
        if decision != "deny":
            second_person.check(approval, actor)
            _check_can_run(approval)
        changed = (
            Approval.update(state=DECISIONS[decision][0], decided_by=actor.name, decided_at=now(), note=words)
            .where(Approval.id == approval_id, Approval.state == "waiting", Approval.in_time())
            .execute()
        )
        if not changed:
            raise Stale(too_late(approval), next_step="If the call is still wanted, the agent can ask again.")
        _write_down(approval, decision, actor, words)
    return record.get(approval_id)


def _check_can_run(approval: Approval) -> None:
    """A person hears at once what would only stop the run."""
    if approval.state == "waiting" and (scope := freezing.scope_of(approval)):
        raise Stale(
            f"This call can't run: {PAUSED[scope]}.", next_step="Resume first. You can still deny it."
        )
    if approval.state == "waiting" and (why := runs.hindrance(approval)):
        raise Stale(
            f"This call can't run: {why}",
            next_step="Deny it. If it is still wanted, the agent can ask again.",
        )


def _write_down(approval: Approval, decision: str, actor: Actor, note: str) -> None:
    integration = approval.tool.integration.name if approval.tool else ""
    details = {"agent": approval.agent_name, "note": note}
    if decision == "approve-same":
        given = standing.give(approval, actor)
        Approval.update(standing=given).where(Approval.id == approval.id).execute()
        details["until"] = given.expires_at.isoformat(timespec="seconds")
    audit.record(DECISIONS[decision][1], actor, integration=integration, tool=approval.catalogue_name,
                 approval=approval.id, details=details, tools=())  # fmt: skip
    if decision == "deny":
        row = record.write_down(approval, "denied", {})
        Approval.update(log_row=row).where(Approval.id == approval.id).execute()


def _note(reason: str, note: str) -> str:
    return " ".join(part for part in (REASONS.get(reason, ""), note.strip()) if part)[:LONGEST_NOTE]


def too_late(approval: Approval) -> str:
    """Who was first, as a sentence; not an error, a fact."""
    if approval.state == "waiting":
        return "This approval expired before anybody decided."
    if approval.decided_by:
        verb = "denied" if approval.state == "denied" else "approved"
        return f"Already {verb} by {approval.decided_by}."
    return {
        "expired": "This approval expired.",
        "withdrawn": f"This call was withdrawn: {approval.note or 'nobody waits for it any more'}.",
    }.get(approval.state, "This call was decided already.")


@dataclass
class Batch:
    """What became of several at once: each was decided by itself."""

    decided: list[Approval] = field(default_factory=list)
    too_late: list[str] = field(default_factory=list)


def decide_all(ids: Sequence[str], decision: str, actor: Actor, note: str = "", *, reason: str = "") -> Batch:
    """Calls of one agent and one tool. Raises InvalidInput, and decides nothing, for a mixture."""
    wanted = list(dict.fromkeys(ids))[:MOST_AT_ONCE]
    kinds = {(one.agent_name, one.agent_id, one.catalogue_name) for one in map(record.get, wanted)}
    if not kinds:
        raise InvalidInput("No call is ticked.", field="approval", next_step="Tick the calls you mean.")
    if len(kinds) > 1:
        raise InvalidInput(
            "These calls are of different kinds, so nothing was decided.",
            field="approval",
            why="Only calls of one agent and one tool are decided together.",
            next_step="Tick calls of one agent and one tool.",
        )
    if decision not in ("approve", "deny"):
        raise InvalidInput("A decision is approve or deny.", field="decision")
    batch = Batch()
    for approval_id in wanted:
        try:
            batch.decided.append(decide(approval_id, decision, actor, note, reason=reason))
        except Stale as late:
            batch.too_late.append(late.what)
    return batch


def extend(approval_id: str, until: datetime, actor: Actor) -> Approval:
    """Leave a waiting call open until then: half an hour more each time, a day in all. Posting it twice does
    no more than once."""
    needs(actor, "technician")
    with writing():
        approval = record.get(approval_id)
        if approval.frozen_at is not None:
            raise Stale("Its clock stands still while it is paused.", next_step="Resume first.")
        if approval.state != "waiting" or approval.late:
            raise Stale(too_late(approval), next_step="If the call is still wanted, the agent can ask again.")
        expires_at: datetime = approval.expires_at
        created_at: datetime = approval.created_at
        latest = min(expires_at + MORE_TIME, created_at + LONGEST_LIFE)
        if until > latest:
            raise InvalidInput(
                "A call can wait half an hour more at a time, and a day in all.",
                field="until", next_step="Decide it, or let the agent ask again.",
            )  # fmt: skip
        if until > expires_at:
            Approval.update(expires_at=until).where(Approval.id == approval_id).execute()
            integration = approval.tool.integration.name if approval.tool else ""
            details = {"agent": approval.agent_name, "until": until.isoformat(timespec="seconds")}
            audit.record("approval.extended", actor, integration=integration, tool=approval.catalogue_name,
                         approval=approval_id, details=details, tools=())  # fmt: skip
    return record.get(approval_id)
