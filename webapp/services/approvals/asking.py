"""A call asks for a person: one approval serves it and its repeats, or one that was given ahead."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from webapp.errors import TooMany
from webapp.services import audit
from webapp.services.approvals import endings, freezing, record, standing
from webapp.services.audit import Actor
from webapp.services.redaction import digest_of, keep
from webapp.store import generation
from webapp.store.fields import now
from webapp.store.models import Approval, Standing


@dataclass(frozen=True)
class Asked:
    """What an agent, or a person where `asked_by` is set, wants to do, as far as an approval is bound to it."""

    agent_id: int | None
    agent_name: str
    tool_id: int
    catalogue_name: str
    integration: str
    definition_digest: str
    arguments: dict[str, Any]
    reason: str = ""
    asked_by: int | None = None
    asked_with: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        if self.agent_id is None:  # nobody repeats it to fetch the answer: each time it is a new question
            return secrets.token_hex(32)
        said = [self.arguments, self._round] if self._round else self.arguments
        return key_of(self.agent_id, self.tool_id, digest_of(said), self.definition_digest)

    @property
    def _round(self) -> dict[str, Any]:
        """What goes back to a server that asked: part of what is decided, its own state included, which an agent may
        have made up."""
        return self.asked_with.get("another_round") or {}


def key_of(agent_id: int | None, tool_id: int, arguments_digest: str, definition_digest: str) -> str:
    parts = (str(agent_id), str(tool_id), arguments_digest, definition_digest)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def ask(asked: Asked, *, minutes: int, most_open: int, log_arguments: str) -> str:
    """The id of the approval that serves this call: the open one for a repeat, else a new one.

    Runs in the caller's transaction. Raises TooMany when the agent has `most_open` already.
    """
    known = Approval.get_or_none(Approval.open_key == asked.key)
    if known and not known.late and known.state != "expired":
        return str(known.id)
    if known:  # whoever asks again after that asks anew, whether or not upkeep was here before
        endings.expire(known)
        endings.close(known.id)
    if given := standing.serving(asked.key):
        return _create_given(asked, given)
    mine = Approval.waiting().where(Approval.agent == asked.agent_id).count()
    if mine >= most_open:
        raise TooMany(
            f"This agent already has {mine} calls waiting for approval.",
            retry_after=60,
            next_step="Wait until some of them are decided.",
        )
    return _create_waiting(asked, minutes, log_arguments)


def _create_waiting(asked: Asked, minutes: int, log_arguments: str) -> str:
    approval = _create(asked, now() + timedelta(minutes=minutes))
    if freezing.scope_of(approval):  # it was on its way here when that was paused
        freezing.freeze(approval)
    record.write_down(approval, "waiting", keep(asked.arguments, log_arguments))
    generation.raise_by_one(tools=())
    return str(approval.id)


def _create_given(asked: Asked, given: Standing) -> str:
    """Approved already, by whoever approved the same call for a while; from here on it runs like any other. Without
    what its agent sends along, though, which may be other than what that person saw."""
    meta = {key: value for key, value in (asked.asked_with.get("meta") or {}).items() if record.is_usual(key)}
    asked = replace(asked, asked_with=asked.asked_with | {"meta": meta})
    decided = {"state": "approved", "decided_by": given.by, "decided_at": now(), "standing": given}
    approval = _create(asked, given.expires_at, **decided)
    standing.use(given)
    agent = Actor("agent", asked.agent_name, asked.agent_id)
    details = {"by": given.by, "first": given.approval}
    audit.record("standing.used", agent, integration=asked.integration, tool=asked.catalogue_name,
                 approval=approval.id, details=details, tools=())  # fmt: skip
    return str(approval.id)


def _create(asked: Asked, expires_at: datetime, **decided: Any) -> Approval:
    approval_id, moment = "apr_" + secrets.token_hex(8), now()
    created: Approval = Approval.create(
        id=approval_id,
        open_key=asked.key,
        agent=asked.agent_id,
        agent_name=asked.agent_name,
        asked_by=asked.asked_by,
        tool=asked.tool_id,
        catalogue_name=asked.catalogue_name,
        arguments=Approval.arguments.seal(approval_id, asked.arguments),
        arguments_digest=digest_of(asked.arguments),
        asked_with=Approval.asked_with.seal(approval_id, asked.asked_with) if asked.asked_with else None,
        definition_digest=asked.definition_digest,
        reason=asked.reason,
        created_at=moment,
        expires_at=expires_at,
        agent_waits_until=moment,
        **decided,
    )
    return created


def attend(approval_id: str, until: datetime) -> None:
    """Its agent holds the line until then, or has just let go. In the caller's transaction."""
    Approval.update(agent_waits_until=until).where(Approval.id == approval_id).execute()


def give_reason(approval_id: str, reason: str) -> None:
    """The agent's own words, while somebody may still read them. In the caller's transaction."""
    waiting = (Approval.id == approval_id) & (Approval.state == "waiting")
    Approval.update(reason=reason[:2000]).where(waiting).execute()


def delivered(approval_id: str) -> None:
    """The agent has its answer: an identical call from now on is a new question. In the caller's transaction."""
    (
        Approval.update(result_delivered_at=now(), open_key=None)
        .where(Approval.id == approval_id, Approval.state.in_(record.FINISHED))
        .execute()
    )
