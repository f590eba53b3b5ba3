"""Agents: what they may do, what they have done of it, and what their programs said beside their calls."""

from __future__ import annotations

from peewee import JOIN, BigIntegerField, BooleanField, ForeignKeyField, IntegerField, ModelSelect, fn

from webapp.store.fields import CharField, Moment, Sealed, TextField, now
from webapp.store.models.integrations import Integration
from webapp.store.models.people import User
from webapp.store.models.table import Table


class Agent(Table):
    name = CharField(unique=True)
    key_prefix = CharField(unique=True)  # gh_xxxxxxxx: recognisable, not secret
    key_hash = CharField(unique=True)  # SHA-256 of the whole key
    key_by = ForeignKeyField(
        User, null=True, index=False, backref="+", on_delete="SET NULL"
    )  # who was shown it
    owner = ForeignKeyField(User, null=True, on_delete="SET NULL")
    every_integration = BooleanField(default=True)
    tool_search = CharField(default="off")  # off, on, or auto: above so many tools
    tool_search_above = IntegerField(default=60)
    # Its quota; null: as for every agent (config). Of calls, 0 is no limit.
    calls_per_minute = IntegerField(null=True)
    calls_at_once = IntegerField(null=True)
    hold_seconds = IntegerField(null=True)
    created_at = Moment(default=now)
    expires_at = Moment(null=True)
    revoked_at = Moment(null=True)
    last_used_at = Moment(null=True)

    @property
    def usable(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now())

    @classmethod
    def listed(cls) -> ModelSelect:
        """With their owners; revoked ones last."""
        rows = cls.select(cls, User).join(User, JOIN.LEFT_OUTER, on=cls.owner)
        return rows.order_by(cls.revoked_at.is_null(False), fn.LOWER(cls.name))


class AgentIntegration(Table):
    """What a limited agent may use."""

    agent = ForeignKeyField(Agent, backref="grants", on_delete="CASCADE")
    integration = ForeignKeyField(Integration, on_delete="CASCADE")

    class Meta:
        indexes = ((("agent", "integration"), True),)


class Spent(Table):
    """Calls that an agent has made in the last minute, or that a worker has set aside for it: see services/quotas."""

    agent = ForeignKeyField(Agent, on_delete="CASCADE")
    at = Moment()
    calls = IntegerField()


class Word(Table):
    """What an agent's program said beside its calls, for the worker that it concerns: nobody knows which that is.

    `kind`: cancelled (`about` is the id of a call, as JSON) or answer (`about` is the id of a server's question).
    """

    number = BigIntegerField(primary_key=True)  # counts on, whatever was removed
    agent = ForeignKeyField(Agent, on_delete="CASCADE")
    session = CharField(default="")
    kind = CharField()
    about = CharField()
    said = Sealed(null=True)
    at = Moment(default=now)


class LogLevel(Table):
    """From which level on a program of the handshake era wants to see what servers log during its calls."""

    agent = ForeignKeyField(Agent, index=False, on_delete="CASCADE")
    session = CharField(default="")
    level = CharField()
    at = Moment(default=now)

    class Meta:
        indexes = ((("agent", "session"), True),)


class Pause(Table):
    """Something stands still until somebody resumes it. `scope`: server, agent, writes or calls (of everything)."""

    key = CharField(unique=True)  # server:<name>, agent:<id>, or everything
    scope = CharField()
    integration = ForeignKeyField(Integration, null=True, on_delete="CASCADE")
    agent = ForeignKeyField(Agent, null=True, on_delete="CASCADE")
    at = Moment(default=now)
    by = CharField()
    by_role = CharField()
    reason = TextField()
