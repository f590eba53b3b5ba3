"""Where people are signed in: a session for each browser, found by the token in its cookie."""

from __future__ import annotations

import hashlib
import logging
import secrets
from datetime import datetime, timedelta

from peewee import DatabaseError

from webapp.errors import NotFound
from webapp.services import audit, half_sessions
from webapp.services.audit import Actor
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Session, User

SEEN_EVERY = timedelta(minutes=1)
log = logging.getLogger(__name__)


def start(user: User, ip: str, browser: str, provider: str = "", shown_at: datetime | None = None) -> str:
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


def of_token(token: str, *, idle_hours: int, days: int, by_itself: bool = False) -> Session | None:
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


def confirmed(session: Session) -> None:
    """They have just shown that it is still them."""
    Session.update(confirmed_at=now()).where(Session.id == session.id).execute()


def live(user: User, *, idle_hours: int, days: int) -> list[Session]:
    """Where this person is signed in, last seen first. What has run out is no place any more."""
    moment = now()
    alive = (
        Session.seen_at >= moment - timedelta(hours=idle_hours),
        Session.created_at >= moment - timedelta(days=days),
    )
    return list(Session.select().where(Session.user == user, *alive).order_by(Session.seen_at.desc()))


def end(session: Session, actor: Actor) -> None:
    with writing():
        Session.delete().where(Session.id == session.id).execute()
        audit.record("session.ended", actor, details={"of": session.user.email}, agents_notice=False)


def end_all(user: User, actor: Actor) -> None:
    with writing():
        sign_out_everywhere(user)
        audit.record("session.all_ended", actor, details={"of": user.email}, agents_notice=False)


def own(session_id: int, user: User) -> Session:
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
