"""A fresh access token whenever one is needed: renewed early, by one at a time, on disk before it is used.

Any number of threads, workers and machines may ask. Whoever takes the lease on the grant's row asks the sign-in
service; the others wait for what comes of it, or go on with a token that still works. Nobody holds a lock of the
database meanwhile. A lease has no end in it, as clocks differ and jump: it is taken over from the dead by whoever has
watched it for longer than a renewal takes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from peewee import OperationalError

from webapp.errors import NeedsAuthorization, SignInRefused, Unreachable, UpstreamError
from webapp.services import grants, health, registrations
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Grant, Integration
from webapp.upstream.oauth import Tokens

REFRESH_SECONDS = 12.0
# Longer than a refresh and its commit may take: another one takes over only from the dead.
LEASE_SECONDS = 20.0
WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.05
STORE_SECONDS, STORE_PAUSE_SECONDS = 60.0, 0.5
# On demand a token is over this long before its time, or a tenth of its life before where that is shorter.
LEEWAY = timedelta(seconds=60)
# In the background it is renewed when a fifth of its life is left.
EARLY = 0.2
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)
# Only these end a sign-in (RFC 6749 §5.2); everything else may pass.
ENDED = ("invalid_grant", "invalid_client")
REFUSED_ANEW = "The server refuses a token that was just renewed."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Presented:
    """What to send. `version` tells one token from the next; `until` is when to ask again."""

    version: int
    headers: dict[str, str] = field(repr=False)
    until: datetime | None


def present(integration: Integration, *, refused: int = 0, early: bool = False) -> Presented:
    """The headers for a request to this server; takes time only where a token must be renewed.

    `refused` is the version of a token that the server did not accept. Raises NeedsAuthorization where a person
    must sign in again, and Unreachable where the sign-in service can't be used and the token is over.
    """
    me, watch = secrets.token_hex(8), _Watch()
    while True:
        grant = _grant(integration)
        if _is_good(grant, refused, early) or not _may_renew(grant, refused):
            return _presented(grant)
        if watch.is_free(grant.lease_by) and _take_lease(grant, me):
            try:
                _renew(grant, me)
            finally:
                _give_lease_back(grant, me)
        elif _is_usable(grant, refused) and not early:
            return _presented(grant)
        elif watch.is_over:
            raise _not_now("Another worker has been renewing the sign-in for too long.")
        else:
            time.sleep(LOOK_SECONDS)


def refused_anew(integration_id: int, version: int) -> None:
    """A renewed token was refused too: until a person signs in, or the next one is due, no other is fetched."""
    with writing():
        Grant.update(problem=REFUSED_ANEW).where(
            Grant.integration == integration_id, Grant.version == version
        ).execute()


def due() -> list[Integration]:
    """Whose tokens should be renewed now, before anybody needs them."""
    rows = Grant.select(Grant, Integration).join(Integration).where(
        Grant.renewable, Grant.expires_at.is_null(False), Integration.state != "draft"
    )  # fmt: skip
    return [grant.integration for grant in rows if not (_is_put_off(grant) or _is_good(grant, 0, early=True))]


class _Watch:
    """One who waits, with a watch of their own."""

    def __init__(self) -> None:
        self._began = self._since = time.monotonic()
        self._holder = ""

    def is_free(self, holder: str) -> bool:
        """Whether the lease can be had: nobody has it, or the same one has had it before our eyes for too long."""
        if holder != self._holder:
            self._holder, self._since = holder, time.monotonic()
        return not holder or time.monotonic() - self._since > LEASE_SECONDS

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self._began > WAIT_SECONDS


def _grant(integration: Integration) -> Grant:
    grant = Grant.of(integration)
    if grant is None:
        raise _sign_in_again("There is no sign-in for this server.")
    return grant


def _is_good(grant: Grant, refused: int, early: bool) -> bool:
    if grant.version == refused:
        return False
    until = _until(grant, EARLY if early else None)
    return until is None or until > now()


def _may_renew(grant: Grant, refused: int) -> bool:
    """False where the token at hand must do for now. Raises where none will."""
    usable = _is_usable(grant, refused)
    if not grant.renewable or grant.client_id is None:
        if not usable:
            raise _ended(grant, grant.problem or "The sign-in ran out, and it can't be renewed by itself.")
        return False
    if grant.version == refused and grant.problem == REFUSED_ANEW:
        raise _sign_in_again(REFUSED_ANEW)
    if _is_put_off(grant):
        if not usable:
            raise _not_now(grant.problem)
        return False
    return True


def _is_usable(grant: Grant, refused: int) -> bool:
    return grant.version != refused and not grant.over


def _is_put_off(grant: Grant) -> bool:
    """No longer than a pause can be: the clock may have been set back since."""
    return grant.retry_at is not None and now() < grant.retry_at <= now() + LONGEST_PAUSE


def _take_lease(grant: Grant, me: str) -> bool:
    """From nobody, or from the one that was seen to have it."""
    with writing():
        return bool(Grant.update(lease_by=me).where(_held(grant, grant.lease_by)).execute())


def _give_lease_back(grant: Grant, me: str) -> None:
    """Where what came of it is on disk, that has happened."""
    with writing():
        Grant.update(lease_by="").where(_held(grant, me)).execute()


def _renew(grant: Grant, me: str) -> None:
    """One refresh, and what came of it on disk. Raises NeedsAuthorization where the sign-in has ended."""
    old = grants.opened(grant)
    try:
        fresh = asyncio.run(
            grants.desk(grant, seconds=REFRESH_SECONDS).refresh(old.refresh, str(grant.resource))
        )
    except SignInRefused as refusal:
        if refusal.code in ENDED:
            _end(grant, refusal)
        else:
            _put_off(grant, me, refusal)
    except UpstreamError as error:
        _put_off(grant, me, error)
    else:
        _keep(grant, fresh, old)


def _keep(grant: Grant, fresh: Tokens, old: Tokens) -> None:
    """Whoever got a token keeps it, also when taken for dead meanwhile: no other renewal may ever work again.
    Missed only where there is a newer one already."""
    kept = Tokens(fresh.access, fresh.refresh or old.refresh, fresh.expires_in, fresh.refresh_expires_in)
    values = grants.of_tokens(grant.integration_id, kept) | {
        "version": grant.version + 1,
        "lease_by": "",
        "scope": fresh.scope or grant.scope,
    }
    _surely(lambda: _replace(grant, values))


def _replace(grant: Grant, values: dict[str, Any]) -> None:
    with writing():
        before = Grant.get_or_none(_same(grant))
        written = Grant.update(**values).where(_same(grant)).execute()
        if written and (before.failures or not before.renewable):
            health.mark(grant.integration, "connected")


def _surely(write: Callable[[], None]) -> None:
    """The old refresh token is spent and the new one is nowhere else: a store that is busy or full is waited for.
    Nobody can take the lease over meanwhile, as that is a write too."""
    deadline = time.monotonic() + STORE_SECONDS
    while True:
        try:
            return write()
        except OperationalError as error:
            if time.monotonic() > deadline:
                raise
            log.warning("a renewed token could not be written: %s; trying again", error)
            time.sleep(STORE_PAUSE_SECONDS)


def _end(grant: Grant, refusal: SignInRefused) -> None:
    """Only if the row is as it was: the refusal may be about a token that another one has replaced."""
    with writing():
        ended = (
            Grant.update(renewable=False, problem=f"{refusal.what} {refusal.why}".strip(), lease_by="")
            .where(_same(grant))
            .execute()
        )
        if ended and refusal.code == "invalid_client":
            registrations.forget_registered(grant.integration)


def _put_off(grant: Grant, me: str, error: UpstreamError) -> None:
    pause: timedelta = min(FIRST_PAUSE * 2 ** min(grant.failures, 10), LONGEST_PAUSE)
    values: dict[str, Any] = {
        "failures": grant.failures + 1,
        "retry_at": now() + pause,
        "problem": error.what,
        "lease_by": "",
    }
    with writing():
        Grant.update(**values).where(_held(grant, me)).execute()
        if grant.expires_at is not None and grant.expires_at <= now():
            health.mark(grant.integration, "unreachable", f"The sign-in can’t be renewed: {error.what}")


def _same(grant: Grant) -> Any:
    """The row as long as it has the token that this one has."""
    return (Grant.id == grant.id) & (Grant.version == grant.version)


def _held(grant: Grant, by: str) -> Any:
    return _same(grant) & (Grant.lease_by == by)


def _presented(grant: Grant) -> Presented:
    headers = {"Authorization": f"Bearer {grants.opened(grant).access}"}
    return Presented(grant.version, headers, _until(grant))


def _until(grant: Grant, share: float | None = None) -> datetime | None:
    """When the token should be renewed: with `share`, so much of its life before its end. None: never."""
    ends: datetime | None = grant.expires_at
    life = timedelta(seconds=grant.lifetime or 0)
    return ends and ends - (min(LEEWAY, life / 10) if share is None else life * share)


def _ended(grant: Grant, why: str) -> NeedsAuthorization:
    with writing():
        health.mark(grant.integration, "needs_sign_in", f"Sign-in expired. {why}")
    return _sign_in_again(f"Sign-in expired. {why}")


def _sign_in_again(what: str) -> NeedsAuthorization:
    return NeedsAuthorization(what, http_status=401, next_step="Press Reconnect and sign in again.")


def _not_now(what: str) -> Unreachable:
    return Unreachable(
        what,
        kind="busy",
        why="The sign-in service may be down; the sign-in itself is still on record.",
        next_step="Gatehouse tries again by itself.",
    )
