"""The tables and their named queries. Anybody may read through them; only services write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from peewee import (
    JOIN,
    SQL,
    AutoField,
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    DatabaseProxy,
    FloatField,
    ForeignKeyField,
    IntegerField,
    Model,
    ModelSelect,
    fn,
)

from webapp.store.fields import CharField, Json, Moment, Sealed, TextField, now

database = DatabaseProxy()


class Table(Model):  # type: ignore[misc]
    class Meta:
        database = database
        legacy_table_names = False

    @classmethod
    def add_all(cls, rows: Iterable[Mapping[str, Any]]) -> None:
        """New rows, whose ids the store gives. Like `insert_many`, which takes longer to write its statement than the
        store takes to run it: here one statement serves all."""
        fields = [
            field for field in cls._meta.sorted_fields if not isinstance(field, AutoField | BigAutoField)
        ]

        def values(row: Mapping[str, Any]) -> list[Any]:
            whole = cls._meta.get_default_dict() | row
            return [field.db_value(whole.get(field.name)) for field in fields]

        database.insert_rows(cls.insertion(fields, database.param), map(values, rows))

    @classmethod
    def insertion(cls, fields: Sequence[Any], param: str) -> str:
        """The statement that takes one row of these fields."""
        columns = ", ".join(f'"{field.column_name}"' for field in fields)
        return f'INSERT INTO "{cls._meta.table_name}" ({columns}) VALUES ({", ".join([param] * len(fields))})'


class State(Table):
    """Small facts of the whole installation, e.g. the generation that tells workers to look again."""

    key = CharField(primary_key=True)
    value = Json()


class Extent(Table):
    """How far the change went that raised the generation to this number. None there: as far as can be."""

    generation = BigIntegerField(primary_key=True)
    tools = Json()  # ids of the only ones that are another for agents


class User(Table):
    email = CharField(unique=True)  # lower case
    name = CharField(default="")
    password_hash = CharField()  # empty: they sign in at a provider only
    role = CharField()  # admin, technician, viewer
    created_at = Moment(default=now)
    disabled_at = Moment(null=True)
    zone = CharField(default="")  # of the IANA time zone database; empty: the browser's
    theme = CharField(default="")  # light, dark; empty: the system's

    @property
    def label(self) -> str:
        return str(self.name or self.email)

    @classmethod
    def active_admins(cls) -> ModelSelect:
        return cls.select().where(cls.role == "admin", cls.disabled_at.is_null())


class Session(Table):
    """A browser that is signed in. The cookie holds a random token, this row its SHA-256."""

    token_hash = CharField(unique=True)
    user = ForeignKeyField(User, backref="sessions", on_delete="CASCADE")
    created_at = Moment(default=now)
    seen_at = Moment(default=now)
    ip = CharField(default="")
    browser = CharField(default="")
    confirmed_at = Moment(null=True)  # the last time they showed who they are, after the sign-in itself

    @property
    def shown_at(self) -> datetime:
        """When this person last gave a password or a code here."""
        shown: datetime = self.confirmed_at or self.created_at
        return shown


class LinkedAccount(Table):
    """Somebody at a provider who signs in there: known by what never changes and is given to nobody else."""

    user = ForeignKeyField(User, unique=True, backref="links", on_delete="CASCADE")
    issuer = CharField()
    subject = CharField()  # the claim `sub`; of Entra ID `oid`, which is the same for every app of the tenant
    called = CharField(default="")  # their address there when last seen; only shown
    linked_at = Moment(default=now)

    class Meta:
        indexes = ((("issuer", "subject"), True),)

    @classmethod
    def of(cls, user: User) -> LinkedAccount | None:
        found: LinkedAccount | None = cls.get_or_none(cls.user == user)
        return found


class SignOn(Table):
    """One way to a provider and back. `ended`: empty while open, then done or refused.

    `purpose`: sign_in, link (to the account of `session`) or confirm (that it is still them).
    """

    id = CharField(primary_key=True)  # random, in the address of the page that says why not
    provider = CharField()
    purpose = CharField()
    browser_hash = CharField()  # of the cookie of the browser that began
    session = ForeignKeyField(Session, null=True, on_delete="SET NULL")  # of link and confirm
    state_hash = CharField(unique=True)
    secrets = Sealed(null=True)  # {verifier, nonce}, until it has come back
    request = Json()  # what the provider published when it began, and the return address: nothing secret
    goes_to = TextField(default="")  # the page of ours that was wanted
    created_at = Moment(default=now)
    expires_at = Moment()
    ended = CharField(default="")
    problem = Json(null=True)  # {what, why, next_step} for its page


class HalfSession(Table):
    """Somebody who has shown a password and not yet the second step. No `Session`, so it opens nothing."""

    token_hash = CharField(unique=True)
    user = ForeignKeyField(User, on_delete="CASCADE")
    created_at = Moment(default=now)


class Authenticator(Table):
    """The app on somebody's phone that makes the codes of their second step."""

    user = ForeignKeyField(User, unique=True, on_delete="CASCADE")
    secret = Sealed()  # base32; of the record of the user's id
    step = BigIntegerField(default=0)  # the time step of the last code that was taken: none works twice
    on_since = Moment(null=True)  # none: shown, and waits for its first code


class RecoveryCode(Table):
    """One that is left; its row goes when it is used."""

    user = ForeignKeyField(User, on_delete="CASCADE")
    code_hash = CharField(unique=True)


class Invite(Table):
    """An account that waits for its person. The link holds a random token, this row its SHA-256; both go when it is
    taken up or withdrawn."""

    token_hash = CharField(unique=True)
    email = CharField(unique=True)  # lower case; another invitation takes the place of the first
    role = CharField()
    invited_by = ForeignKeyField(User, on_delete="CASCADE")
    created_at = Moment(default=now)
    expires_at = Moment()

    @property
    def over(self) -> bool:
        return bool(self.expires_at <= now())


class Throttle(Table):
    """Tries counted per bucket (an account, a network), shared by all workers."""

    bucket = CharField(primary_key=True)
    tries = IntegerField(default=0)
    since = Moment(default=now)


class Integration(Table):
    """A source of tools. `state`: draft · connected · needs_sign_in · unreachable · needs_review · paused."""

    # Paused and unfinished ones offer nothing; a server that only needs a sign-in still shows its tools.
    OFFERED = ("connected", "needs_sign_in", "needs_review", "unreachable")

    kind = CharField()  # server, builtin
    name = CharField(unique=True)  # in addresses, catalogue and wire names; never changes
    title = CharField()
    state = CharField(default="draft")
    state_reason = TextField(default="")
    url = TextField(default="")
    allowances = Json(default=list)  # exceptions of the egress guard: [{host, port, network, cleartext}]
    protocol = CharField(default="")  # MCP version spoken, remembered
    server = Json(
        default=dict
    )  # name, title, server_version, instructions, tells_changes, logs: as it gave them
    settings = Json(default=dict)  # a built-in's own; of a server, how its sign-in is special; nothing secret
    settings_sealed = Sealed(null=True)  # a built-in's secrets, e.g. the webhook's address
    created_by = ForeignKeyField(User, null=True, on_delete="SET NULL")
    created_at = Moment(default=now)
    connected_at = Moment(null=True)
    finished_at = Moment(null=True)  # somebody went through the wizard to its end
    synced_at = Moment(null=True)
    sync_error = TextField(default="")
    sync_due_at = Moment(null=True)  # next scheduled sync; taking it is moving it
    new_tools = CharField(default="approval")  # the most a tool gets that comes later, see services/holding
    screened_by = IntegerField(default=0)  # the version of the screening rules that has seen its tools

    @property
    def catalogue_prefix(self) -> str:
        return f"{'builtin' if self.kind == 'builtin' else 'mcp'}:{self.name}"

    @classmethod
    def listed(cls) -> ModelSelect:
        return cls.select().order_by(cls.kind.desc(), fn.LOWER(cls.title))


class Connection(Table):
    """How Gatehouse signs in to one server. `headers` is [{name, template}] with {secret} in the template."""

    integration = ForeignKeyField(Integration, unique=True, backref="connections", on_delete="CASCADE")
    kind = CharField()  # oauth, bearer, header, none
    headers = Json(default=list)
    secrets = Sealed(null=True)  # [secret] in the order of `headers`; of OAuth see Grant
    account = CharField(default="")
    # Who signed in there, or gave the token: none where it was the command line, or longer ago than the log goes.
    given_by = ForeignKeyField(User, null=True, index=False, on_delete="SET NULL")
    verified_at = Moment(null=True)
    changed_at = Moment(default=now)


class OAuthClient(Table):
    """Who we are at one sign-in service, for one integration; never used at another issuer.

    `kind`: manual (an admin entered it), cimd (our own metadata document is the id), dcr (RFC 7591).
    """

    integration = ForeignKeyField(Integration, backref="oauth_clients", on_delete="CASCADE")
    kind = CharField()
    issuer = TextField()
    redirect_uri = TextField()
    client_id = TextField()
    auth_method = CharField(default="none")  # none, client_secret_basic, client_secret_post
    secret = Sealed(null=True)
    secret_expires_at = Moment(null=True)
    scope = TextField(default="")  # what it was registered for; empty: anything
    created_at = Moment(default=now)


class SignIn(Table):
    """One authorization request under way. `ended`: empty while open, then done, refused or failed.

    The browser is sent off with a random state; the row keeps its SHA-256, which is gone once it came back.
    """

    id = CharField(primary_key=True)  # random, in the address of its page
    integration = ForeignKeyField(Integration, backref="sign_ins", on_delete="CASCADE")
    session = ForeignKeyField(Session, null=True, on_delete="SET NULL")
    issuer = TextField()
    redirect_uri = TextField()
    scope = TextField(default="")
    request = Json()  # what the page shows and the exchange needs: nothing secret
    client = ForeignKeyField(OAuthClient, null=True, on_delete="SET NULL")
    verifier = Sealed(null=True)
    state_hash = CharField(null=True, unique=True)
    created_at = Moment(default=now)
    expires_at = Moment()
    ended = CharField(default="")
    problem = Json(null=True)  # {what, why, next_step, code} for its page


class Grant(Table):
    """What a sign-in gave: the tokens of one integration, and all it takes to renew them."""

    integration = ForeignKeyField(Integration, unique=True, backref="grants", on_delete="CASCADE")
    client = ForeignKeyField(OAuthClient, null=True, on_delete="SET NULL")
    issuer = TextField()
    resource = TextField(default="")  # sent with every token request (RFC 8707); empty: left out
    metadata = Json()  # of the sign-in service (RFC 8414), as it was when the sign-in began
    scope = TextField(default="")
    needed_scope = TextField(default="")  # what a 403 insufficient_scope asked for since
    tokens = Sealed()  # {access, refresh}
    renewable = BooleanField(default=False)
    expires_at = Moment(null=True)
    lifetime = IntegerField(null=True)  # seconds, as the sign-in service said
    refresh_expires_at = Moment(null=True)
    granted_at = Moment(default=now)
    renewed_at = Moment(default=now)
    version = IntegerField(default=1)  # +1 with every new token
    lease_by = CharField(default="")  # who is renewing it; empty: nobody
    failures = IntegerField(default=0)
    retry_at = Moment(null=True)
    problem = TextField(default="")  # why the last renewal failed

    @property
    def over(self) -> bool:
        return self.expires_at is not None and bool(self.expires_at <= now())

    @classmethod
    def of(cls, integration: Integration) -> Grant | None:
        found: Grant | None = cls.get_or_none(cls.integration == integration)
        return found


class Check(Table):
    """One run of the wizard's check: findings as they arrive, then the verdict."""

    integration = ForeignKeyField(Integration, unique=True, backref="checks", on_delete="CASCADE")
    started_at = Moment(default=now)
    finished_at = Moment(null=True)
    findings = Json(default=list)
    verdict = Json(null=True)


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


class Agent(Table):
    name = CharField(unique=True)
    key_prefix = CharField(unique=True)  # gh_xxxxxxxx: recognisable, not secret
    key_hash = CharField(unique=True)  # SHA-256 of the whole key
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
        rows = cls.select(cls, User).join(User, JOIN.LEFT_OUTER)
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
    def inbox(cls, still_shown: timedelta, shown: Iterable[str] = ()) -> ModelSelect:
        """What waits, what was decided just now and what is on somebody's page (`shown`), in the order it came:
        nothing moves under the pointer."""
        recent = now() - still_shown
        decided = (cls.state != "waiting") & ((cls.decided_at > recent) | (cls.finished_at > recent))
        wanted = (cls.state == "waiting") | decided | cls.id.in_(list(shown))
        return cls.select().where(wanted).order_by(cls.created_at, cls.id)

    @classmethod
    def over(cls) -> ModelSelect:
        return cls.select().where(cls.state != "waiting").order_by(cls.created_at.desc(), cls.id.desc())


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


class Worker(Table):
    """A process that runs calls. One that stops beating is dead, and its intents are settled by another."""

    id = CharField(primary_key=True)
    started_at = Moment(default=now)
    seen_at = Moment(default=now)


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


MODELS: list[type[Table]] = [
    State, Extent, User, Session, LinkedAccount, SignOn, HalfSession, Authenticator, RecoveryCode, Invite, Throttle,
    Integration, Connection, OAuthClient, SignIn, Grant,
    Check, Tool, BulkChange, BulkItem, Quarantine,
    Agent, AgentIntegration, Spent, Word, LogLevel, Standing, Approval, Pause, NoticeChannel, Notice, SignInNotice,
    Worker, Intent, Entry, Tally, Pace, Segment,
]  # fmt: skip


def state(key: str, default: Any = None) -> Any:
    row = State.get_or_none(State.key == key)
    return default if row is None else row.value


def remember(key: str, value: Any) -> None:
    """In the caller's transaction."""
    State.insert(key=key, value=value).on_conflict(
        conflict_target=[State.key], preserve=[State.value]
    ).execute()
