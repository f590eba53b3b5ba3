"""Integrations, and how Gatehouse signs in to them."""

from __future__ import annotations

from peewee import BooleanField, ForeignKeyField, IntegerField, ModelSelect, fn

from webapp.store.fields import CharField, Json, Moment, Sealed, TextField, now
from webapp.store.models.people import Session, User
from webapp.store.models.table import Table


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
