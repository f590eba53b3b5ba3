"""The second step of signing in: turned on and off by its owner, taken away by an admin, asked of whole roles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from webapp.errors import Forbidden, InvalidInput, Stale
from webapp.services import audit, authenticator, sessions, throttle
from webapp.services.audit import Actor
from webapp.services.roles import ROLES, needs
from webapp.services.throttle import Limit
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Authenticator, LinkedAccount, RecoveryCode, Session, User, remember, state

REQUIRED = "second_step_roles"  # in State: the roles that can't do without
ISSUER = "Gatehouse"


@dataclass(frozen=True)
class Offer:
    """What an app needs to make the codes, while it waits for the first one."""

    secret: str
    link: str

    @property
    def groups(self) -> str:
        """To be typed."""
        return " ".join(self.secret[start : start + 4] for start in range(0, len(self.secret), 4))


def begin(user: User) -> Offer:
    """A secret nobody has seen before, in place of one that was never confirmed."""
    secret = authenticator.new_secret()
    with writing():
        if authenticator.is_on(user):
            raise Stale("Your second step is on already.", next_step="To use another app, turn it off first.")
        Authenticator.delete().where(Authenticator.user == user).execute()
        Authenticator.create(user=user, secret=Authenticator.secret.seal(str(user.id), secret))
    return _offer(user, secret)


def offered(user: User) -> Offer:
    """What waits for its first code. Once it is on, nobody sees its secret again."""
    row = _waiting(user)
    return _offer(user, Authenticator.secret.open(str(user.id), row.secret))


def confirm(user: User, code: str, actor: Actor, limit: Limit, *, here: Session | None = None) -> list[str]:
    """It is on from here; returns the recovery codes, this once. Sessions elsewhere than `here` end."""
    throttle.count(authenticator.bucket(user), limit)
    with writing():
        row = _waiting(user)
        if not authenticator.take_step(row, "".join(code.split())):
            raise _wrong_code()
        Authenticator.update(on_since=now()).where(Authenticator.id == row.id).execute()
        throttle.clear(authenticator.bucket(user))
        sessions.sign_out_everywhere(user, but=here)
        audit.record("second_step.on", actor, agents_notice=False)
        return authenticator.new_codes(user)


def renew_codes(user: User, code: str, actor: Actor, limit: Limit) -> list[str]:
    throttle.count(authenticator.bucket(user), limit)
    with writing():
        _spend(user, code, actor)
        audit.record("second_step.codes", actor, agents_notice=False)
        return authenticator.new_codes(user)


def turn_off(user: User, code: str, actor: Actor, limit: Limit, *, here: Session | None = None) -> None:
    """Sessions elsewhere than `here` end."""
    if is_required(user):
        raise Forbidden(
            "Your role needs a second step.", next_step="Ask an admin to change that under Settings → People."
        )
    throttle.count(authenticator.bucket(user), limit)
    with writing():
        _spend(user, code, actor)
        _remove(user)
        sessions.sign_out_everywhere(user, but=here)
        audit.record("second_step.off", actor, agents_notice=False)


def reset(user: User, actor: Actor) -> None:
    """For somebody who lost the phone and the codes: they sign in with the password alone, and are signed out now."""
    needs(actor, "admin")
    with writing():
        if not authenticator.is_on(user):
            raise Stale(f"{user.email} has no second step.")
        _remove(user)
        sessions.sign_out_everywhere(user)
        audit.record("second_step.reset", actor, details={"email": user.email}, agents_notice=False)


def required_roles() -> list[str]:
    return list(state(REQUIRED, []))


def require(roles: Iterable[str], actor: Actor) -> None:
    needs(actor, "admin")
    wanted = [role for role in ROLES if role in set(roles)]
    with writing():
        remember(REQUIRED, wanted)
        audit.record("second_step.required", actor, details={"roles": wanted}, agents_notice=False)


def is_required(user: User) -> bool:
    """Not of those who sign in at a provider: that has its own second step, and its own word on who needs one."""
    return user.role in required_roles() and LinkedAccount.of(user) is None


def is_due(user: User) -> bool:
    """This person must have one, and has none yet."""
    return is_required(user) and not authenticator.is_on(user)


def owners() -> set[int]:
    """The ids of those who have it on."""
    rows = Authenticator.select(Authenticator.user).where(Authenticator.on_since.is_null(False)).tuples()
    return {user_id for (user_id,) in rows}


def _waiting(user: User) -> Authenticator:
    row: Authenticator | None = Authenticator.get_or_none(
        Authenticator.user == user, Authenticator.on_since.is_null()
    )
    if row is None:
        raise Stale("Nothing waits for a code.", next_step="Open your account and look at the second step.")
    return row


def _offer(user: User, secret: str) -> Offer:
    return Offer(secret, authenticator.totp(secret).get_provisioning_uri(user.email, ISSUER))


def _spend(user: User, code: str, actor: Actor) -> None:
    if not authenticator.spend(user, code, actor):
        raise _wrong_code()
    throttle.clear(authenticator.bucket(user))


def _remove(user: User) -> None:
    Authenticator.delete().where(Authenticator.user == user).execute()
    RecoveryCode.delete().where(RecoveryCode.user == user).execute()


def _wrong_code() -> InvalidInput:
    return InvalidInput(
        "This code does not fit.", field="code", why="Each code works once, and for a minute.",
        next_step="Wait for the next code in the app, and see that the phone sets its clock by itself.",
    )  # fmt: skip
