"""People: their accounts, and every way to sign in to one."""

from __future__ import annotations

from datetime import datetime

from peewee import BigIntegerField, ForeignKeyField, IntegerField, ModelSelect

from webapp.store.fields import CharField, Json, Moment, Sealed, TextField, now
from webapp.store.models.table import Table


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
    # The last time they showed who they are, where that is not the sign-in itself: a provider may know them for long.
    confirmed_at = Moment(null=True)

    @property
    def shown_at(self) -> datetime:
        """When this person last gave a password or a code, here or at the provider."""
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
