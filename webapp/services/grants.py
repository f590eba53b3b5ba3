"""What sign-ins gave: keeping the tokens, noting what they lack, and giving them back at the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from mcp.client.auth.utils import extract_field_from_www_auth, union_scopes
from mcp.shared.auth import OAuthMetadata

from webapp.errors import NeedsAuthorization, Stale, UpstreamError
from webapp.services import audit, registrations
from webapp.services.audit import SYSTEM, Actor
from webapp.services.egress import egress_for
from webapp.store.fields import now
from webapp.store.models import Connection, Grant, Integration, SignIn
from webapp.upstream.discovery import as_response
from webapp.upstream.oauth import SignInDesk, Tokens
from webapp.upstream.scopes import proper

REVOKE_SECONDS = 5.0
# A longer life is as good as none said; it keeps dates within the calendar.
LONGEST_LIFE = 10 * 365 * 86400


def keep(sign_in: SignIn, tokens: Tokens, actor: Actor) -> None:
    """A first grant, or another one in its place; tools, policies and names stay. In the caller's transaction."""
    integration = Integration.get_or_none(Integration.id == sign_in.integration_id)
    if integration is None or sign_in.client is None:
        raise Stale("This server was disconnected meanwhile.")
    before = Grant.of(integration)
    scope = tokens.scope or sign_in.scope
    needed = before.needed_scope if before else ""
    values = of_tokens(integration.id, tokens) | {
        "client": sign_in.client,
        "issuer": sign_in.issuer,
        "resource": sign_in.request["resource"],
        "metadata": sign_in.request["metadata"],
        "scope": scope,
        "needed_scope": "" if set(needed.split()) <= set(scope.split()) else needed,
        "granted_at": now(),
        "version": before.version + 1 if before else 1,
        "lease_by": "",
    }
    if before:
        Grant.update(**values).where(Grant.id == before.id).execute()
    else:
        Grant.insert(integration=integration, **values).execute()
    registrations.forget_all_but(sign_in.client)
    _connect(integration, tokens.account, actor)


def of_tokens(integration_id: int, tokens: Tokens) -> dict[str, Any]:
    """The columns that every new token sets."""
    moment = now()
    return {
        "tokens": Grant.tokens.seal(
            str(integration_id), {"access": tokens.access, "refresh": tokens.refresh}
        ),
        "renewable": bool(tokens.refresh),
        "lifetime": tokens.expires_in,
        "expires_at": _after(moment, tokens.expires_in),
        "refresh_expires_at": _after(moment, tokens.refresh_expires_in),
        "renewed_at": moment,
        "failures": 0,
        "retry_at": None,
        "problem": "",
    }


def opened(grant: Grant) -> Tokens:
    """Never log what this returns."""
    kept = Grant.tokens.open(str(grant.integration_id), grant.tokens)
    return Tokens(kept["access"], kept["refresh"])


def desk(grant: Grant, *, seconds: float) -> SignInDesk:
    """The sign-in service this grant came from, by what it published then: nobody can move the token elsewhere."""
    metadata = OAuthMetadata.model_validate(grant.metadata)
    client = registrations.opened(grant.client, metadata)
    return SignInDesk(
        egress_for(grant.integration), metadata, client, grant.client.redirect_uri, seconds=seconds
    )


def demanded_scope(error: NeedsAuthorization) -> str | None:
    """The scopes of a 403 `insufficient_scope` (RFC 6750 §3.1), empty where it names none; None for any other."""
    challenge = as_response(error.challenge)
    if error.http_status != 403 or extract_field_from_www_auth(challenge, "error") != "insufficient_scope":
        return None
    return proper(extract_field_from_www_auth(challenge, "scope") or "")


def demand(integration_id: int, scope: str) -> bool:
    """Remember what the server wants granted. False where it was granted already: asking again would be a loop.

    In the caller's transaction.
    """
    grant = Grant.get_or_none(Grant.integration == integration_id)
    if grant is None or set(scope.split()) <= set(grant.scope.split()):
        return False
    wanted = proper(union_scopes(grant.needed_scope, scope) or "")
    if wanted != grant.needed_scope:
        Grant.update(needed_scope=wanted).where(Grant.id == grant.id).execute()
        name = grant.integration.name
        audit.record(
            "connection.needs_scope",
            SYSTEM,
            integration=name,
            details={"scope": wanted},
            agents_notice=False,
        )
    return True


def exists(integration: Integration) -> bool:
    return Grant.of(integration) is not None


def revocable_at(integration: Integration) -> str:
    """The host of the sign-in service that takes tokens back; empty where none does."""
    grant = Grant.of(integration)
    address = grant.metadata.get("revocation_endpoint") if grant else None
    return urlsplit(address).hostname or "" if address else ""


@dataclass(frozen=True)
class Held:
    """What is to be given back, also when its row is gone by then."""

    desk: SignInDesk
    tokens: Tokens


def held(integration: Integration) -> Held | None:
    grant = Grant.of(integration)
    if grant is None or grant.client is None:
        return None
    return Held(desk(grant, seconds=REVOKE_SECONDS), opened(grant))


def give_back(given: Held | None) -> str:
    """Revoke the tokens (RFC 7009), as well as it goes: `revoked`, `not offered`, `nothing` or why it failed.

    Network: never inside a transaction.
    """
    if given is None:
        return "nothing"
    try:
        done = asyncio.run(given.desk.revoke(given.tokens))
    except UpstreamError as error:
        return error.what
    return "revoked" if done else "not offered"


def forget(integration: Integration) -> None:
    """Another way to sign in has taken its place. In the caller's transaction."""
    Grant.delete().where(Grant.integration == integration).execute()


def _connect(integration: Integration, account: str, actor: Actor) -> None:
    moment = now()
    values: dict[str, Any] = {
        "kind": "oauth", "headers": [], "secrets": None, "account": account,
        "given_by": actor.id if actor.kind == "user" else None, "verified_at": moment, "changed_at": moment,
    }  # fmt: skip
    replaced = Connection.update(**values).where(Connection.integration == integration).execute()
    if not replaced:
        Connection.insert(integration=integration, **values).execute()
    Integration.update(state="connected", state_reason="", connected_at=moment).where(
        Integration.id == integration.id, Integration.state != "paused"
    ).execute()
    audit.record(
        "connection.replaced" if replaced else "connection.saved",
        actor,
        integration=integration.name,
        details={"kind": "oauth", "account": account},
    )


def _after(moment: datetime, seconds: int | None) -> datetime | None:
    return moment + timedelta(seconds=min(seconds, LONGEST_LIFE)) if seconds else None
