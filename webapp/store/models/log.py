"""The log, what is on its way there, and what is counted from it."""

from __future__ import annotations

from datetime import datetime

from peewee import SQL, BigAutoField, BigIntegerField, BlobField, FloatField, IntegerField, ModelSelect, fn

from webapp.store.fields import CharField, Json, Moment, TextField, now
from webapp.store.models.table import Table


class Worker(Table):
    """A process that runs calls. One that stops beating is dead, and its intents are settled by another."""

    id = CharField(primary_key=True)
    started_at = Moment(default=now)
    seen_at = Moment(default=now)
    key_ids = TextField(default="")  # of the keys in its key file, when it was last seen


class Intent(Table):
    """A write that was, or is about to be, forwarded. It goes when its outcome is in the log."""

    id = CharField(primary_key=True)
    worker = CharField(index=True)
    created_at = Moment(default=now)
    entry = Json()  # the log row it becomes if nobody comes back: outcome unknown


class Entry(Table):
    """The log: every call and every change, append-only, each row chained to the one before.

    `kind`: call or change. `outcome` of a call: ok · tool_error · refused · waiting · denied · expired ·
    failed · cancelled · unknown; of a change: ok or refused.
    """

    id = BigAutoField()
    at = Moment()
    kind = CharField()
    actor_kind = CharField()  # user, agent, command, system
    actor = CharField()
    action = CharField()
    integration = CharField(default="")
    tool = CharField(default="")  # catalogue name
    policy = CharField(default="")
    outcome = CharField(default="ok")
    duration_ms = FloatField(null=True)
    approval = CharField(default="")
    ip = CharField(default="")
    details = TextField(default="{}")  # JSON; kept as text because the digest covers these very bytes
    digest = BlobField()

    class Meta:
        indexes = ((("kind", "at"), False), (("tool", "id"), False), (("actor", "id"), False))

    @classmethod
    def newest(
        cls,
        exact: dict[str, str | tuple[str, ...]],
        *,
        text: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        before: int = 0,
    ) -> ModelSelect:
        """Rows whose columns equal `exact` (or one of it), newest first; `before` is an id to go on from."""
        query = cls.select().order_by(cls.id.desc())
        for name, value in exact.items():
            column = getattr(cls, name)
            # Through the index on kind, half the log would be sorted to find a page (750 ms in 500,000 rows).
            column = fn.COALESCE(column, "") if name == "kind" else column
            query = query.where(column.in_(value) if isinstance(value, tuple) else column == value)
        if text:
            query = query.where(
                cls.tool.contains(text) | cls.actor.contains(text) | cls.details.contains(text)
            )
        if since:
            query = query.where(cls.at >= since)
        if until:
            query = query.where(cls.at < until)
        return query.where(cls.id < before) if before else query

    @classmethod
    def outcomes_since(cls, moment: datetime) -> dict[str, int]:
        """How many calls ended how."""
        rows = cls.select(cls.outcome, fn.COUNT(cls.id)).where(cls.kind == "call", cls.at >= moment)
        return dict(rows.group_by(cls.outcome).tuples())

    @classmethod
    def calls_by_actor(cls, moment: datetime) -> dict[str, int]:
        rows = cls.select(cls.actor, fn.COUNT(cls.id)).where(
            cls.kind == "call", cls.at >= moment, cls.outcome != "waiting"
        )
        return dict(rows.group_by(cls.actor).tuples())


# Partial: what most calls are not costs them nothing. A query says the condition in these very words.
Entry.add_index(Entry.index(Entry.outcome, Entry.id, where=SQL("\"outcome\" <> 'ok'"), name="entry_odd"))
Entry.add_index(Entry.index(Entry.approval, where=SQL("\"approval\" <> ''"), name="entry_approval"))
Entry.add_index(Entry.index(Entry.id, where=SQL("\"kind\" = 'change'"), name="entry_changes"))
Entry.add_index(
    Entry.index(Entry.tool, Entry.id, where=SQL("\"kind\" = 'change'"), name="entry_tool_changes")
)


class Tally(Table):
    """How many rows of the log lie in one quarter of an hour (every zone's midnight is the start of one), and
    between which ids. Counted up to the row that the state `tallied` names."""

    start = Moment()
    kind = CharField()
    outcome = CharField()
    count = IntegerField()
    first_id = BigIntegerField()
    last_id = BigIntegerField()

    class Meta:
        indexes = ((("start", "kind", "outcome"), True),)


class Pace(Table):
    """How many calls of a tool took how long on one day (UTC). `took_ms` is rounded as it is shown."""

    day = Moment()
    tool = CharField()
    took_ms = IntegerField()
    count = IntegerField()

    class Meta:
        indexes = ((("day", "tool", "took_ms"), True),)


class Segment(Table):
    """A stretch of the log whose rows may go. The chain goes on from `digest`, that of its last row.

    `mac` covers the other columns and the segment before, under the log's key.
    """

    first_id = BigIntegerField()
    last_id = BigIntegerField(unique=True)
    count = IntegerField()
    first_at = Moment()
    last_at = Moment()
    digest = BlobField()
    sealed_at = Moment(default=now)
    mac = BlobField()

    @classmethod
    def in_order(cls) -> ModelSelect:
        return cls.select().order_by(cls.last_id)
