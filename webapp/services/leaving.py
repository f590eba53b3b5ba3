"""Somebody leaves: what their login is used for, who takes it over, and the end of their account."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from peewee import JOIN

from webapp.errors import InvalidInput, Stale
from webapp.services import accounts, approvals, audit, notices, sessions
from webapp.services.approvals import second_person, standing
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.models import (
    Agent,
    Approval,
    Connection,
    Integration,
    Invite,
    Session,
    Standing,
    Tool,
    User,
)


@dataclass(frozen=True)
class Uses:
    """What hangs on one person's login. `servers` they added; `sign_ins` are theirs, or tokens that they gave; `asked`
    are waiting calls of their own; `alone` are waiting calls that nobody else may approve as things are."""

    agents: list[Agent]
    servers: list[Integration]
    drafts: list[Integration]
    sign_ins: list[Connection]
    asked: list[Approval]
    alone: list[Approval]
    standing: list[Standing]
    invites: list[Invite]
    notified: bool
    sessions: int

    @property
    def any(self) -> bool:
        return any(self.__dict__.values())

    @property
    def movable(self) -> bool:
        """Something that somebody else can have."""
        return bool(self.agents or self.servers or self.drafts or self.notified)


@dataclass(frozen=True)
class Handover:
    """What would be done. `stuck`: waiting calls that nobody might approve afterwards."""

    person: User
    heir: User
    uses: Uses
    stuck: list[Approval]

    @property
    def digest(self) -> str:
        """Of what is decided about: not of calls and sessions, which come and go by the minute."""
        uses = self.uses
        rows: tuple[Iterable[Any], ...] = (
            uses.agents,
            uses.servers,
            uses.drafts,
            uses.sign_ins,
            uses.invites,
        )
        seen = [self.person.id, self.heir.id, uses.notified, [[row.id for row in kind] for kind in rows]]
        return hashlib.sha256(repr(seen).encode()).hexdigest()


def uses_of(person: User) -> Uses:
    added = Integration.select().where(Integration.created_by == person).order_by(Integration.title)
    waiting = _waiting()
    deciders = _deciders()
    return Uses(
        agents=list(
            Agent.select().where(Agent.owner == person, Agent.revoked_at.is_null()).order_by(Agent.name)
        ),
        servers=[one for one in added if one.finished_at],
        drafts=[one for one in added if not one.finished_at],
        sign_ins=list(
            Connection.select(Connection, Integration)
            .join(Integration)
            .where(Connection.given_by == person, Connection.kind != "none")
            .order_by(Integration.title)
        ),
        asked=[one for one in waiting if one.asked_by_id == person.id],
        alone=[one for one in waiting if _approvers(one, deciders) == {person.id}],
        standing=list(Standing.open_ones().where(Standing.by_user == person)),
        invites=list(Invite.select().where(Invite.invited_by == person).order_by(Invite.email)),
        notified=notices.tells(person.email),
        sessions=Session.select().where(Session.user == person).count(),
    )


def heirs(person: User) -> list[User]:
    """Who can take over."""
    able = User.role.in_(standing.MAY_DECIDE) & User.disabled_at.is_null()
    return list(User.select().where(able, User.id != person.id).order_by(User.email))


def plan(person: User, heir: User) -> Handover:
    """Raises Stale for the last admin."""
    if person.disabled_at is None:
        accounts.refuse_last_admin(person)
    if heir.id not in {one.id for one in heirs(person)}:
        raise InvalidInput(
            f"{heir.email} can’t take this over.", field="heir",
            next_step="Choose a technician or an admin whose account is open.",
        )  # fmt: skip
    return Handover(person, heir, uses_of(person), _stuck(person, heir))


def leave(person: User, heir: User, seen: str, actor: Actor) -> Handover:
    """Everything goes over and the account is closed, or nothing is done. Raises Stale where the plan is not the one
    with the digest `seen`, and for the last admin."""
    needs(actor, "admin")
    with writing():
        person = accounts.get_user(person.id)
        done = plan(person, accounts.get_user(heir.id))
        if seen != done.digest:
            raise Stale(
                "Something has changed here since you looked.", next_step="Look at what would be done now."
            )
        _hand_over(done, actor)
        if person.disabled_at is None:
            accounts.set_disabled(person, True, actor)
        sessions.sign_out_everywhere(person)
    return done


def _hand_over(done: Handover, actor: Actor) -> None:
    person, heir, uses = done.person, done.heir, done.uses
    Agent.update(owner=heir).where(Agent.owner == person).execute()
    Integration.update(created_by=heir).where(Integration.created_by == person).execute()
    Invite.delete().where(Invite.invited_by == person).execute()
    notices.tell_instead(person.email, heir.email)
    withdrawn, ended = approvals.withdraw_asked_by(person), standing.end_of(person, actor)
    details = {
        "email": person.email, "to": heir.email, "agents": [one.name for one in uses.agents],
        "servers": [one.name for one in (*uses.servers, *uses.drafts)],
        "sign_ins_left": [one.integration.name for one in uses.sign_ins],
        "invites_withdrawn": [one.email for one in uses.invites], "calls_withdrawn": withdrawn,
        "approvals_ended": ended, "notices": uses.notified,
    }  # fmt: skip
    audit.record("user.handed_over", actor, details=details)


def _waiting() -> list[Approval]:
    """With all that says who may approve them."""
    rows = Approval.waiting().select(Approval, Tool, Agent).join(Tool, JOIN.LEFT_OUTER)
    return list(rows.switch(Approval).join(Agent, JOIN.LEFT_OUTER))


def _deciders() -> set[int]:
    able = User.role.in_(standing.MAY_DECIDE) & User.disabled_at.is_null()
    return {one for (one,) in User.select(User.id).where(able).tuples()}


def _approvers(approval: Approval, people: set[int]) -> set[int]:
    return {one for one in people if not second_person.hindrance(approval, one)}


def _stuck(person: User, heir: User) -> list[Approval]:
    left, waiting = _deciders() - {person.id}, _waiting()
    for approval in waiting:
        if approval.agent and approval.agent.owner_id == person.id:
            approval.agent.owner = heir  # as it would be; these rows are not saved
    return [one for one in waiting if one.asked_by_id != person.id and not _approvers(one, left)]
