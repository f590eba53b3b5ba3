"""Calls that wait for a person, and who is told of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from peewee import BigIntegerField, BooleanField, ForeignKeyField, IntegerField, ModelSelect, fn

from webapp.store.fields import CharField, Json, Moment, Sealed, TextField, now
from webapp.store.models.agents import Agent
from webapp.store.models.integrations import Integration
from webapp.store.models.people import User
from webapp.store.models.table import Table
from webapp.store.models.tools import Tool


class Standing(Table):
    """One person's approval of the same call for a while. `key` is the digest that Approval calls `open_key`."""

    key = CharField(index=True)
    agent = ForeignKeyField(Agent, null=True, index=False, on_delete="SET NULL")
    agent_name = CharField()
    tool = ForeignKeyField(Tool, null=True, index=False, on_delete="SET NULL")
    catalogue_name = CharField()
    approval = CharField()  # the call that was decided
    by = CharField()
    by_user = ForeignKeyField(User, null=True, index=False, on_delete="SET NULL")
    created_at = Moment(default=now)
    expires_at = Moment()
    ended_at = Moment(null=True)
    ended_by = CharField(default="")
    uses = IntegerField(default=0)  # further calls that ran under it

    @classmethod
    def open_ones(cls) -> ModelSelect:
        return cls.select().where(cls.ended_at.is_null(), cls.expires_at > now()).order_by(cls.id)


class Approval(Table):
    """A call that waits for a person.

    `state`: waiting → approved → running → done · failed · unknown, or waiting → denied · expired · withdrawn.
    `open_key` is the digest of agent, tool, arguments and definition while the approval can still serve a
    repeated call, and null afterwards: the unique index makes parallel repeats meet one row.
    """

    id = CharField(primary_key=True)  # apr_…, random
    open_key = CharField(null=True, unique=True)
    agent = ForeignKeyField(Agent, null=True, on_delete="SET NULL")
    agent_name = CharField()
    tool = ForeignKeyField(Tool, null=True, on_delete="SET NULL")
    catalogue_name = CharField()
    arguments = Sealed()
    arguments_digest = CharField()
    asked_with = Sealed(null=True)  # {meta, capabilities, another_round, rounds}: see gateway.calls
    definition_digest = CharField()
    reason = TextField(default="")  # the agent's own words
    state = CharField(default="waiting")
    created_at = Moment(default=now)
    expires_at = Moment()
    decided_by = CharField(default="")
    decided_at = Moment(null=True)
    note = TextField(default="")
    standing = ForeignKeyField(Standing, null=True, index=False, on_delete="SET NULL")  # given, or used
    worker = CharField(default="")  # which worker claimed the run
    finished_at = Moment(null=True)
    asked_by = ForeignKeyField(
        User, null=True, index=False, on_delete="SET NULL"
    )  # a person, where no agent asks
    log_row = BigIntegerField(null=True)  # id of the entry that tells how it ended
    result = Sealed(null=True)
    result_delivered_at = Moment(null=True)
    agent_waits_until = Moment(
        default=now
    )  # while it holds the line this lies ahead; else when it was last here
    frozen_at = Moment(null=True)  # paused since: it can't run, and its clock stands still

    class Meta:
        indexes = ((("state", "created_at"), False), (("created_at",), False))

    @property
    def agent_is_waiting(self) -> bool:
        return bool(self.agent_waits_until > now())

    @property
    def late(self) -> bool:
        return bool(self.state == "waiting" and self.frozen_at is None and self.expires_at <= now())

    @classmethod
    def in_time(cls) -> Any:
        """The condition for a clock that has not run out, or stands still."""
        return (cls.expires_at > now()) | cls.frozen_at.is_null(False)

    @classmethod
    def waiting(cls) -> ModelSelect:
        return cls.select().where(cls.state == "waiting", cls.in_time()).order_by(cls.created_at)

    @classmethod
    def inbox(cls, still_shown: timedelta, most_over: int, shown: Iterable[str] = ()) -> ModelSelect:
        """What waits, what was decided just now (the last `most_over` of it) and what is on somebody's page (`shown`),
        in the order it came: nothing moves under the pointer."""
        recent, ended = now() - still_shown, fn.COALESCE(cls.finished_at, cls.decided_at)
        decided = (cls.state != "waiting") & ((cls.decided_at > recent) | (cls.finished_at > recent))
        last = cls.select(cls.id).where(decided).order_by(ended.desc(), cls.id.desc()).limit(most_over)
        wanted = (cls.state == "waiting") | cls.id.in_(last) | cls.id.in_(list(shown))
        return cls.select().where(wanted).order_by(cls.created_at, cls.id)

    @classmethod
    def over(cls) -> ModelSelect:
        return cls.select().where(cls.state != "waiting").order_by(cls.created_at.desc(), cls.id.desc())


class NoticeChannel(Table):
    """Where people are told that a call waits. `kind`: mail or webhook; one row of each at most.

    `settings` of mail: {host, port, security, user, sender, recipients}; nothing secret. `secret`: its password,
    or the webhook's address.
    """

    kind = CharField(unique=True)
    on = BooleanField(default=True)
    settings = Json(default=dict)
    secret = Sealed(null=True)
    allowances = Json(default=list)  # exceptions of the egress guard, as of an integration
    changed_at = Moment(default=now)
    next_at = Moment(default=now)  # not before; whoever moves it sends
    sent_at = Moment(null=True)
    failures = IntegerField(default=0)
    problem = TextField(default="")  # why the last notice was not sent


class Notice(Table):
    """One approval told on one channel. Without `sent_at` long after `claimed_at`, its worker died on the way."""

    channel = ForeignKeyField(NoticeChannel, on_delete="CASCADE")
    approval = ForeignKeyField(Approval, index=False, on_delete="CASCADE")
    claimed_at = Moment(default=now)
    sent_at = Moment(null=True)

    class Meta:
        indexes = ((("approval", "channel"), True),)


class SignInNotice(Table):
    """One lost sign-in told on one channel, until somebody has signed in again. `sent_at` as in Notice."""

    channel = ForeignKeyField(NoticeChannel, on_delete="CASCADE")
    integration = ForeignKeyField(Integration, index=False, on_delete="CASCADE")
    claimed_at = Moment(default=now)
    sent_at = Moment(null=True)

    class Meta:
        indexes = ((("integration", "channel"), True),)
