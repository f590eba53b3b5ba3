"""Which sign-ins will need a person, and when: so that nobody learns it from a failed call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from webapp.services import identity
from webapp.store.fields import now
from webapp.store.models import Grant, Integration, OAuthClient

AHEAD = timedelta(days=60)
# Several failures in a row are more than a hiccup.
WORRYING = 3


@dataclass(frozen=True)
class Due:
    """`at` is None for now. `action`: reconnect, grant, client (enter a new client secret), address or check."""

    integration: Integration
    at: datetime | None
    sentence: str
    action: str


def upcoming() -> list[Due]:
    """Soonest first; what is needed now before everything else."""
    rows = Grant.select(Grant, Integration).join(Integration).where(Integration.state != "draft")
    found = [due for grant in rows for due in _of(grant)]
    return sorted(found, key=lambda due: (due.at is not None, due.at or now(), due.integration.title))


def any_grants() -> bool:
    return bool(Grant.select().exists())


def _of(grant: Grant) -> Iterator[Due]:
    integration = grant.integration
    if integration.state == "needs_sign_in":
        yield Due(integration, None, integration.state_reason or "The sign-in has ended.", "reconnect")
        return
    if grant.needed_scope:
        yield Due(integration, None, f"It wants more access: {grant.needed_scope}.", "grant")
    if grant.failures >= WORRYING:
        yield Due(integration, None, f"Its token could not be renewed: {grant.problem}", "check")
    if not grant.renewable and grant.expires_at is not None:
        yield Due(
            integration, grant.expires_at, "Its token ends, and can’t be renewed by itself.", "reconnect"
        )
    elif grant.refresh_expires_at is not None and grant.refresh_expires_at < now() + AHEAD:
        yield Due(integration, grant.refresh_expires_at, "The sign-in service ends the sign-in.", "reconnect")
    if grant.client is not None:
        yield from _of_client(integration, grant.client)


def _of_client(integration: Integration, client: OAuthClient) -> Iterator[Due]:
    ends = client.secret_expires_at
    if ends is not None and ends < now() + AHEAD:
        action = "client" if client.kind == "manual" else "reconnect"
        yield Due(integration, ends, "Gatehouse’s client secret there runs out.", action)
    if not identity.has_moved(client.redirect_uri):
        return
    if client.kind == "cimd":
        sentence = "The sign-in hangs on Gatehouse’s address of then, which is another one now."
        yield Due(integration, None, sentence, "reconnect")
    elif client.kind == "manual":
        sentence = "The app at the vendor knows Gatehouse’s return address of then, not that of now."
        yield Due(integration, None, sentence, "address")
