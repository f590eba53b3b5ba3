"""Between the password and the second step: a token that opens nothing but the page that asks for the code."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from webapp.errors import Refused
from webapp.store.fields import now
from webapp.store.models import HalfSession, User

LIVES = timedelta(minutes=5)


class HalfOver(Refused):
    """There is no such half session, or no longer."""

    status = 401


def begin(user: User) -> str:
    """In the caller's transaction."""
    HalfSession.delete().where(HalfSession.created_at < now() - LIVES).execute()
    token = secrets.token_urlsafe(32)
    HalfSession.create(token_hash=_hash(token), user=user)
    return token


def user_of(token: str) -> User:
    found: HalfSession | None = (
        HalfSession.select(HalfSession, User)
        .join(User)
        .where(HalfSession.token_hash == _hash(token), HalfSession.created_at >= now() - LIVES)
        .first()
    )
    if found is None or found.user.disabled_at:
        raise HalfOver("That took too long.", next_step="Sign in again.")
    return found.user  # type: ignore[no-any-return]


def end_all(user: User) -> None:
    """In the caller's transaction."""
    HalfSession.delete().where(HalfSession.user == user).execute()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
