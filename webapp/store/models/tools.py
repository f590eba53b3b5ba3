"""Tools with their policies, and changes of many at once."""

from __future__ import annotations

from peewee import SQL, BooleanField, ForeignKeyField, ModelSelect

from webapp.store.fields import CharField, Json, Moment, TextField, now
from webapp.store.models.integrations import Integration
from webapp.store.models.table import Table


class Tool(Table):
    integration = ForeignKeyField(Integration, backref="tools", on_delete="CASCADE")
    name = CharField()  # as the server calls it
    catalogue_name = CharField(unique=True)
    wire_name = CharField(unique=True)
    title = TextField(default="")
    description = TextField(default="")
    definition = Json()  # as received
    definition_digest = CharField()  # of what a person must have seen
    received_digest = CharField(default="")  # of all of it; empty: received before this was counted
    kind = CharField()  # read, write, unknown: what the seed took it for
    seed_policy = CharField()
    seed_reason = TextField()
    policy = CharField()  # auto, approval, disabled
    policy_by = CharField(default="")  # the person who set it last; empty: the seed, or Gatehouse itself
    policy_at = Moment(null=True)
    first_seen_at = Moment(default=now)
    changed_at = Moment(null=True)  # definition changed and no person has looked since
    policy_before = CharField(default="")  # before Gatehouse tightened it; not empty: it waits for a look
    reviewed_definition = Json(null=True)  # what a person knows, while the definition is another
    missing_since = Moment(null=True)
    flagged = BooleanField(default=False)  # screening found something
    flags = Json(default=list)  # what: [{kind, where, quote}]
    policy_bulk = CharField(
        default=""
    )  # the bulk change that set the policy, while nobody has changed it since
    second_person = BooleanField(default=False)  # whoever owns an agent can't approve its calls

    class Meta:
        # The second serves the list by itself: its order, and the policies to count.
        indexes = ((("integration", "name"), True), (("catalogue_name", "policy"), False))

    @property
    def waits(self) -> bool:
        """Gatehouse has tightened its policy until a person has looked at it."""
        return bool(self.policy_before)

    @property
    def changed_from_seed(self) -> bool:
        return bool(self.policy != self.seed_policy)

    @classmethod
    def of(cls, integration: Integration) -> ModelSelect:
        return cls.select().where(cls.integration == integration).order_by(cls.name)


# In these very words, or the partial index doesn't serve and every definition is walked past.
WAITS = SQL("\"policy_before\" <> ''")
Tool.add_index(Tool.index(Tool.integration, where=WAITS, name="tool_waits"))


class BulkChange(Table):
    """Many policies set in one go, so that they can be taken back in one go."""

    id = CharField(primary_key=True)  # blk_…, random
    at = Moment(default=now)
    by = CharField()
    what = TextField()  # in words, to stand after the tools: “to Disabled”
    integration = CharField(default="")  # its name, where only one was meant
    undoes = ForeignKeyField("self", null=True, backref="undone_by", on_delete="SET NULL")

    class Meta:
        indexes = ((("at",), False),)


class BulkItem(Table):
    """One tool of a bulk change: from which policy to which, and for which definition."""

    bulk = ForeignKeyField(BulkChange, backref="items", on_delete="CASCADE")
    tool = ForeignKeyField(Tool, null=True, backref="bulk_items", on_delete="SET NULL")
    catalogue_name = CharField()
    kind = CharField()
    before = CharField()
    after = CharField()
    definition_digest = CharField()


class Quarantine(Table):
    """A tool of the last sync that could not be taken, and why."""

    integration = ForeignKeyField(Integration, backref="quarantined", on_delete="CASCADE")
    name = TextField()
    reason = TextField()
    seen_at = Moment(default=now)
