"""Signing in: with a password, with a second step, and once more before something that matters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from webapp.errors import Forbidden, Refused, TooMany
from webapp.services import audit, authenticator, half_sessions, known_browsers, passwords, sessions, throttle
from webapp.services.audit import Actor
from webapp.services.throttle import Limit
from webapp.store.database import writing
from webapp.store.models import Session, User


class WrongCredentials(Refused):
    """The same words for an unknown account, a wrong password and a disabled account."""

    status = 401


@dataclass(frozen=True)
class SignedIn:
    """A token for the cookie: of a session, or `half`, of one that waits for the second step. `known`: for another
    cookie, see known_browsers."""

    token: str
    half: bool = False
    known: str = ""


def sign_in(
    email: str,
    password: str,
    ip: str,
    browser: str,
    limit: Limit,
    *,
    known: str = "",
    only_admins: bool = False,
) -> SignedIn:
    """Raises WrongCredentials, TooMany, or Forbidden where passwords are for admins."""
    email = email.strip().lower()[:255]
    user: User | None = User.get_or_none(User.email == email)
    own, shared = _guesses(email, known_browsers.known(known, user), ip, limit)
    right = passwords.matches(user.password_hash if user else passwords.NOBODY, password)
    if user is None or not right or user.disabled_at:
        _record_refusal(email, ip)
        raise WrongCredentials("The e-mail address or the password is wrong.")
    if only_admins and user.role != "admin":
        _record_refusal(email, ip)
        raise Forbidden(
            "Passwords are for admins here.", why="PASSWORD_SIGN_IN says so.",
            next_step="Sign in at your provider. An admin can link your account to it.",
        )  # fmt: skip
    with writing():
        throttle.clear(own)
        for bucket in shared:
            throttle.give_back(bucket)
        return let_in(user, ip, browser)


def _guesses(email: str, browser: str, ip: str, limit: Limit) -> tuple[str, tuple[str, ...]]:
    """Counts one more, and says where: in a bucket of one's own, and in those that are shared with strangers.

    A stranger can fill only what a known browser is not counted in, and in one network only what others are not: so
    nobody keeps somebody else out. All of them together get five times the limit at one account.
    """
    if browser:
        throttle.count(own := f"login by {browser}", limit)
        return own, ()
    network = throttle.network(ip)
    own, shared = f"login {email} from {network}", (f"login {email}", f"login from {network}")
    try:
        throttle.count(own, limit)
        for bucket in shared:
            throttle.count(bucket, limit.times(5))
    except TooMany as error:
        elsewhere = "A browser in which you have signed in before may still try."
        raise TooMany(
            error.what, retry_after=error.retry_after, next_step=f"{error.next_step} {elsewhere}"
        ) from None
    return own, shared


def _record_refusal(email: str, ip: str) -> None:
    with writing():
        audit.record("session.refused", Actor("user", email[:100] or "nobody", ip=ip), outcome="refused",
                     agents_notice=False)  # fmt: skip


def let_in(
    user: User, ip: str, browser: str, provider: str = "", shown_at: datetime | None = None
) -> SignedIn:
    """For somebody who has shown who they are, here or at a provider; whoever has a second step shows that too."""
    with writing():
        if authenticator.is_on(user):
            return SignedIn(half_sessions.begin(user), half=True)
        return inside(user, ip, browser, provider, shown_at)


def inside(
    user: User, ip: str, browser: str, provider: str = "", shown_at: datetime | None = None
) -> SignedIn:
    """In a new session, for somebody who has shown all that is asked of them: just now, or `shown_at`."""
    return SignedIn(
        sessions.start(user, ip, browser, provider, shown_at), known=known_browsers.token_for(user)
    )


def finish_sign_in(half: str, code: str, ip: str, browser: str, limit: Limit) -> SignedIn:
    """In a new session, for a half one and a code. Raises WrongCredentials, TooMany, or HalfOver."""
    user = half_sessions.user_of(half)
    bucket, actor = authenticator.bucket(user), Actor("user", user.email, user.id, user.role, ip)
    throttle.count(bucket, limit)
    with writing():
        if authenticator.spend(user, code, actor):
            throttle.clear(bucket)
            half_sessions.end_all(user)
            return inside(user, ip, browser)
        audit.record("session.code_refused", actor, outcome="refused", agents_notice=False)
    raise WrongCredentials(
        "This code does not fit.", why="Each code works once, and for a minute.",
        next_step="Type the code that the app shows now, or a recovery code that is not used yet.",
    )  # fmt: skip


def confirm(session: Session, proof: str, actor: Actor, limit: Limit) -> None:
    """It is still them: by the password, or a code of their second step. Raises WrongCredentials or TooMany."""
    user, bucket = session.user, f"confirm {session.user_id}"
    throttle.count(bucket, limit)
    right = passwords.matches(user.password_hash, proof)
    with writing():
        if right or authenticator.spend(user, proof, actor):
            throttle.clear(bucket)
            sessions.confirmed(session)
            return
        audit.record("session.not_confirmed", actor, outcome="refused", agents_notice=False)
    raise WrongCredentials("This is not right.", next_step="Try again, or sign out.")
