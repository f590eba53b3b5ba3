"""People: who they are, how they sign in, what their role lets them do."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from peewee import DatabaseError

from config import ROLES as ROLES
from webapp.errors import Forbidden, InvalidInput, NotFound, Refused, Stale, TooMany
from webapp.services import audit, authenticator, half_sessions, known_browsers, passwords, throttle
from webapp.services.audit import Actor
from webapp.services.throttle import Limit
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import LinkedAccount, Session, User

SEEN_EVERY = timedelta(minutes=1)
SETUP_CODE_FILE = "setup-code"
ALPHABET = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # nothing that is misread
SETUP_CODE = re.compile(rf"[{ALPHABET}]{{5}}(-[{ALPHABET}]{{5}}){{3}}")
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
log = logging.getLogger(__name__)


class WrongCredentials(Refused):
    """The same words for an unknown account, a wrong password and a disabled account."""

    status = 401


def needs(actor: Actor, role: str) -> None:
    """Raises Forbidden unless the actor has at least this role."""
    if actor.kind in ("system", "command"):
        return
    if actor.role not in ROLES or ROLES.index(actor.role) < ROLES.index(role):
        raise Forbidden(
            f"This needs the role {role}.",
            why=f"You are signed in as {actor.role or 'nobody'}.",
            next_step="Ask an admin to do it, or to change your role.",
        )


# --- first run


def is_set_up() -> bool:
    return bool(User.select().exists())


def setup_code(data: Path) -> str | None:
    """The one-time code that makes the first admin; None once there is an account."""
    if is_set_up():
        return None
    path = data / SETUP_CODE_FILE
    if not _whole_code(path):
        _write_code(path)
    return path.read_text().strip()


def _whole_code(path: Path) -> bool:
    """A file that a crash or a full disk left empty would let everybody in."""
    return path.exists() and bool(SETUP_CODE.fullmatch(path.read_text().strip()))


def _write_code(path: Path) -> None:
    """Never there by halves. Of two workers that start at once the first to link its file wins."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4)))
    try:
        os.link(draft, path)
    except FileExistsError:
        if not _whole_code(path):
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def make_first_admin(
    data: Path, code: str, email: str, name: str, password: str, ip: str, limit: Limit
) -> User:
    """Closes for ever behind the first admin: raises NotFound from then on."""
    expected = setup_code(data)
    if expected is None:
        raise NotFound("Set-up is done already.", next_step="Sign in.")
    throttle.count(f"setup {throttle.network(ip)}", limit)
    if not hmac.compare_digest(_plain(code), _plain(expected)):
        raise InvalidInput(
            "This is not the set-up code.", field="code",
            next_step="It was printed when Gatehouse started; “flask --app webapp setup-code” prints it again.",
        )  # fmt: skip
    values = checked(email, name, password, "admin")
    hashed = passwords.hashed(password)
    with writing():
        if is_set_up():
            raise NotFound("Set-up is done already.", next_step="Sign in.")
        user: User = User.create(**values, password_hash=hashed)
        audit.record("user.added", Actor("user", user.email, user.id, "admin", ip), details={"email": user.email,
                     "role": "admin", "first": True}, agents_notice=False)  # fmt: skip
    (data / SETUP_CODE_FILE).unlink(missing_ok=True)
    return user


def _plain(code: str) -> bytes:
    return re.sub(r"[^A-Z0-9]", "", code.upper()).encode()


# --- people


def create_user(email: str, name: str, password: str, role: str, actor: Actor) -> User:
    needs(actor, "admin")
    values = checked(email, name, password, role)
    hashed = passwords.hashed(password)
    with writing():
        refuse_known(values["email"])
        user: User = User.create(**values, password_hash=hashed)
        audit.record("user.added", actor, details={"email": user.email, "role": role}, agents_notice=False)
    return user


def refuse_known(email: str) -> None:
    if known := User.get_or_none(User.email == email):
        raise InvalidInput(
            f"{email} has an account already.", field="email",
            next_step="It is closed: open it again on that person’s page." if known.disabled_at else "",
        )  # fmt: skip


def get_user(user_id: int) -> User:
    user: User | None = User.get_or_none(User.id == user_id)
    if user is None:
        raise NotFound("There is no such person.")
    return user


def find_user(email: str) -> User:
    user: User | None = User.get_or_none(User.email == email.strip().lower())
    if user is None:
        raise NotFound(f"Nobody has the address {email}.")
    return user


def set_role(user: User, role: str, actor: Actor) -> None:
    needs(actor, "admin")
    check_role(role)
    if LinkedAccount.of(user):
        raise Stale(
            "Their role comes from where they sign in.", why="It is read again at each sign-in there.",
            next_step="Change it at the provider, or give them a password here.",
        )  # fmt: skip
    _change_role(user, role, "user.role", actor, {})


def follow_role(user: User, role: str, provider: str) -> None:
    """As the provider says. Raises Stale for the last admin."""
    _change_role(user, role, "user.role_followed", audit.SYSTEM, {"provider": provider})


def _change_role(user: User, role: str, action: str, actor: Actor, details: dict[str, str]) -> None:
    with writing():
        _keep_an_admin(user, still_admin=role == "admin")
        User.update(role=role).where(User.id == user.id).execute()
        sign_out_everywhere(user)
        details = {"email": user.email, "from": user.role, "to": role, **details}
        audit.record(action, actor, details=details, agents_notice=False)


def set_disabled(user: User, disabled: bool, actor: Actor) -> None:
    needs(actor, "admin")
    with writing():
        _keep_an_admin(user, still_admin=not disabled)
        User.update(disabled_at=now() if disabled else None).where(User.id == user.id).execute()
        sign_out_everywhere(user)
        action = "user.disabled" if disabled else "user.enabled"
        audit.record(action, actor, details={"email": user.email}, agents_notice=False)


def rename(user: User, name: str, actor: Actor) -> None:
    with writing():
        User.update(name=name.strip()[:100]).where(User.id == user.id).execute()
        audit.record(
            "user.renamed",
            actor,
            details={"email": user.email, "name": name.strip()[:100]},
            agents_notice=False,
        )


def change_password(user: User, old: str, new: str, actor: Actor, limit: Limit) -> None:
    """Own password; every session of the account ends, this one too."""
    throttle.count(f"password {user.id}", limit)
    if not passwords.matches(user.password_hash, old):
        raise InvalidInput("That is not your present password.", field="old")
    _set_password(user, new, actor)


def reset_password(user: User, new: str, actor: Actor) -> None:
    """Somebody else's password, by an admin. Who signed in at a provider signs in with it instead."""
    needs(actor, "admin")
    _set_password(user, new, actor)


def _set_password(user: User, new: str, actor: Actor) -> None:
    passwords.check(new, user.email, user.email.partition("@")[0], user.name)
    hashed = passwords.hashed(new)
    with writing():
        User.update(password_hash=hashed).where(User.id == user.id).execute()
        unlinked = LinkedAccount.delete().where(LinkedAccount.user == user).execute()
        sign_out_everywhere(user)
        if unlinked:
            audit.record("sign_on.unlinked", actor, details={"email": user.email}, agents_notice=False)
        audit.record("user.password", actor, details={"email": user.email}, agents_notice=False)


def refuse_last_admin(user: User) -> None:
    """Nobody can lock everybody out."""
    if user.role == "admin" and not User.active_admins().where(User.id != user.id).exists():
        raise Stale(f"{user.email} is the only admin left.", next_step="Make somebody else an admin first.")


def _keep_an_admin(user: User, *, still_admin: bool) -> None:
    """In the caller's transaction."""
    if not still_admin:
        refuse_last_admin(user)


def checked(email: str, name: str, password: str, role: str) -> dict[str, str]:
    """The columns of an account, as far as it was typed. Raises InvalidInput."""
    email = address(email)
    check_role(role)
    passwords.check(password, email, email.partition("@")[0], name)
    return {"email": email, "name": name.strip()[:100], "role": role}


def address(typed: str) -> str:
    email = typed.strip().lower()
    if not EMAIL.fullmatch(email) or not email.isprintable():
        raise InvalidInput("This is not an e-mail address.", field="email")
    return email


def check_role(role: str) -> None:
    if role not in ROLES:
        raise InvalidInput("A role is viewer, technician or admin.", field="role")


# --- signing in


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
        start_session(user, ip, browser, provider, shown_at), known=known_browsers.token_for(user)
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


def start_session(
    user: User, ip: str, browser: str, provider: str = "", shown_at: datetime | None = None
) -> str:
    """For somebody who has shown who they are. A new token each time: one that was planted is never taken over."""
    token = secrets.token_urlsafe(32)
    with writing():
        Session.create(
            token_hash=_token_hash(token), user=user, ip=ip, browser=browser[:200],
            confirmed_at=min(shown_at, now()) if shown_at else None,
        )  # fmt: skip
        actor, details = Actor("user", user.email, user.id, user.role, ip), {"provider": provider}
        audit.record("session.started", actor, details=details if provider else {}, agents_notice=False)
    return token


def session_for(token: str, *, idle_hours: int, days: int, by_itself: bool = False) -> Session | None:
    """The live session of this cookie. `seen_at` is written at most once a minute, and not for what a page
    that was left open asks `by_itself`."""
    found: Session | None = (
        Session.select(Session, User).join(User).where(Session.token_hash == _token_hash(token)).first()
    )
    moment = now()
    if found is None or found.user.disabled_at:
        return None
    if found.seen_at < moment - timedelta(hours=idle_hours) or found.created_at < moment - timedelta(
        days=days
    ):
        return None
    if moment - found.seen_at > SEEN_EVERY and not by_itself:
        _note_seen(found, moment)
    return found


def _note_seen(session: Session, moment: datetime) -> None:
    """Pages can be read while nothing can be written: Home says what is wrong then."""
    try:
        Session.update(seen_at=moment).where(Session.id == session.id).execute()
    except DatabaseError as error:
        log.warning("could not note a visit: %s", error)


def confirm(session: Session, proof: str, actor: Actor, limit: Limit) -> None:
    """It is still them: by the password, or a code of their second step. Raises WrongCredentials or TooMany."""
    user, bucket = session.user, f"confirm {session.user_id}"
    throttle.count(bucket, limit)
    right = passwords.matches(user.password_hash, proof)
    with writing():
        if right or authenticator.spend(user, proof, actor):
            throttle.clear(bucket)
            confirmed(session)
            return
        audit.record("session.not_confirmed", actor, outcome="refused", agents_notice=False)
    raise WrongCredentials("This is not right.", next_step="Try again, or sign out.")


def confirmed(session: Session) -> None:
    """They have just shown that it is still them."""
    Session.update(confirmed_at=now()).where(Session.id == session.id).execute()


def live_sessions(user: User, *, idle_hours: int, days: int) -> list[Session]:
    """Where this person is signed in, last seen first. What has run out is no place any more."""
    moment = now()
    alive = (
        Session.seen_at >= moment - timedelta(hours=idle_hours),
        Session.created_at >= moment - timedelta(days=days),
    )
    return list(Session.select().where(Session.user == user, *alive).order_by(Session.seen_at.desc()))


def end_session(session: Session, actor: Actor) -> None:
    with writing():
        Session.delete().where(Session.id == session.id).execute()
        audit.record("session.ended", actor, details={"of": session.user.email}, agents_notice=False)


def end_all_sessions(user: User, actor: Actor) -> None:
    with writing():
        sign_out_everywhere(user)
        audit.record("session.all_ended", actor, details={"of": user.email}, agents_notice=False)


def own_session(session_id: int, user: User) -> Session:
    session: Session | None = Session.get_or_none(Session.id == session_id, Session.user == user)
    if session is None:
        raise NotFound("This session has ended already.")
    return session


def sign_out_everywhere(user: User, *, but: Session | None = None) -> None:
    """In the caller's transaction."""
    kept = but.id if but else 0
    Session.delete().where(Session.user == user, Session.id != kept).execute()
    half_sessions.end_all(user)


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
