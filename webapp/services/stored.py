"""What is on record to sign in with, and how it stands: the token lines of a check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from webapp.errors import NeedsAuthorization, UpstreamError
from webapp.services import connections
from webapp.services.times import absolute
from webapp.store.fields import now
from webapp.store.models import Connection, Grant, Integration
from webapp.upstream.findings import Finding, State, Verdict, fact

RECONNECT = "Press Reconnect and sign in again."


@dataclass(frozen=True)
class Stored:
    """What can be sent now. `trouble` is why there is nothing, though something is on record."""

    integration: Integration
    version: int = 0
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    trouble: UpstreamError | None = None


def present(integration: Integration, *, refused: int = 0) -> Stored:
    """Takes time only where a token must be renewed; `refused` as in `tokens.present`."""
    try:
        presented = connections.credentials_for(integration, refused=refused)
    except UpstreamError as error:
        return Stored(integration, trouble=error)
    return Stored(integration, presented.version, presented.headers)


def findings(stored: Stored, verdict: Verdict) -> Iterator[Finding]:
    connection = connections.of(stored.integration)
    if connection is None or connection.kind == "none":
        yield from _nothing(connection, verdict)
    elif connection.kind == "oauth":
        yield from _grant(stored, connection)
    else:
        yield _secret(connection, verdict)


def _nothing(connection: Connection | None, verdict: Verdict) -> Iterator[Finding]:
    if verdict.sign_in in ("none", "unknown"):
        return
    if connection is None or verdict.sign_in in ("oauth_late", "calls_only"):
        yield Finding("token", "info", "No token is stored yet; it comes with the sign-in.")
        return
    yield Finding(
        "token",
        "problem",
        "The server asks for a sign-in, but none is stored.",
        "It was connected without one; it seems to have changed.",
        "Sign in to it.",
    )


def _secret(connection: Connection, verdict: Verdict) -> Finding:
    names = ", ".join(row["name"] for row in connection.headers)
    state: State = "ok" if verdict.credentials == "accepted" else "info"
    what = "A token" if connection.kind == "bearer" else "A sign-in with headers of its own"
    seen = "\n".join([fact("header", names), f"stored: {absolute(connection.changed_at)}"])
    return Finding("token", state, f"{what} is stored.", seen=seen)


def _grant(stored: Stored, connection: Connection) -> Iterator[Finding]:
    grant = Grant.of(stored.integration)
    if grant is None:
        yield Finding("token", "problem", "There is no sign-in on record any more.", next_step=RECONNECT)
        return
    if stored.trouble is not None:
        ended = isinstance(stored.trouble, NeedsAuthorization)
        again = RECONNECT if ended else stored.trouble.next_step
        yield Finding(
            "token", "problem", stored.trouble.what, stored.trouble.why, again, _facts(grant, connection)
        )
    else:
        yield _valid(grant, connection)
    yield from _worries(grant, failing=stored.trouble is not None)


def _valid(grant: Grant, connection: Connection) -> Finding:
    host = urlsplit(grant.issuer).hostname or grant.issuer
    who = f" as {connection.account}" if connection.account else ""
    text = f"Signed in at {host}{who}"
    seen = _facts(grant, connection)
    if grant.renewable:
        return Finding("token", "ok", f"{text}; the token is renewed by itself.", seen=seen)
    if grant.expires_at is None:
        return Finding("token", "ok", f"{text}; the token has no end that is known.", seen=seen)
    return Finding(
        "token",
        "note",
        f"{text}, until {absolute(grant.expires_at)}: the token can’t be renewed by itself.",
        "The sign-in service gave no refresh token; some do only for the scope offline_access.",
        "Press Reconnect before then, or add offline_access to the scopes under Advanced.",
        seen,
    )


def _worries(grant: Grant, *, failing: bool) -> Iterator[Finding]:
    if grant.failures and not failing:
        times = "once" if grant.failures == 1 else f"{grant.failures} times in a row"
        again = f"Gatehouse tries again by itself after {absolute(grant.retry_at)}." if grant.retry_at else ""
        yield Finding("token", "note", f"Renewing the token has failed {times}.", grant.problem, again)
    if grant.needed_scope:
        yield Finding(
            "token",
            "note",
            "The server asked for more access than was granted.",
            next_step="Press Grant more access.",
            seen=fact("scope asked for", grant.needed_scope),
        )
    if grant.refresh_expires_at is not None and grant.refresh_expires_at > now():
        text = f"The sign-in service ends this sign-in at {absolute(grant.refresh_expires_at)}."
        yield Finding("token", "info", text, next_step="A renewal may move that date.")


def _facts(grant: Grant, connection: Connection) -> str:
    facts = [
        fact("issuer", grant.issuer),
        fact("resource", grant.resource or "left out"),
        fact("scope granted", grant.scope or "not said"),
        f"valid until: {absolute(grant.expires_at) if grant.expires_at else 'not said'}",
        f"renewable: {'yes' if grant.renewable else 'no'}",
        f"signed in: {absolute(grant.granted_at)}",
        f"last renewed: {absolute(grant.renewed_at)}",
    ]
    if connection.account:
        facts.insert(0, fact("account", connection.account))
    return "\n".join(facts)
