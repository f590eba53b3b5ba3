"""How Gatehouse is known at a sign-in service: entered by an admin, by its own document, registered, or not yet."""

from __future__ import annotations

from datetime import timedelta

from mcp.client.auth.utils import issuers_match
from mcp.shared.auth import OAuthMetadata

from webapp.errors import BadReply, InvalidInput, SignInRefused
from webapp.services import audit, dialects, identity
from webapp.services.audit import Actor
from webapp.services.egress import egress_for
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Integration, OAuthClient
from webapp.upstream import oauth
from webapp.upstream.discovery import SignInService
from webapp.upstream.oauth import ClientIdentity

LONGEST = 2000
REGISTER_BY_HAND = (
    "Register an app at the vendor with our return address, then enter its client id and secret."
)
# A secret that runs out during the sign-in is of no use.
ALMOST_OVER = timedelta(hours=1)


class ClientWanted(InvalidInput):
    """Only the vendor can hand out a client id here, and only an admin can fetch it."""


def enter(
    integration: Integration, issuer: str, client_id: str, secret: str, redirect_uri: str, actor: Actor
) -> OAuthClient:
    """Keep what the vendor gave the admin, for this issuer only. An empty secret is a public client."""
    needs(actor, "admin")
    client_id, secret = client_id.strip(), secret.strip()
    if not client_id or len(client_id) > LONGEST or len(secret) > LONGEST or not client_id.isprintable():
        raise InvalidInput(
            "The client id is missing." if not client_id else "This can't be a client id.",
            field="client_id",
            next_step="Copy it from the app you registered at the vendor.",
        )
    with writing():
        row: OAuthClient = OAuthClient.create(
            integration=integration, kind="manual", issuer=issuer, redirect_uri=redirect_uri,
            client_id=client_id, auth_method="",
            secret=_sealed(integration, secret),
        )  # fmt: skip
        audit.record(
            "connection.client_entered",
            actor,
            integration=integration.name,
            details={"issuer": issuer, "client_id": client_id},
            agents_notice=False,
        )
    return row


def entered(integration: Integration) -> OAuthClient | None:
    """The newest: an older one may still belong to the grant in use."""
    mine = (OAuthClient.integration == integration) & (OAuthClient.kind == "manual")
    found: OAuthClient | None = OAuthClient.select().where(mine).order_by(OAuthClient.id.desc()).first()
    return found


async def choose(
    integration: Integration, service: SignInService, redirect_uri: str, scope: str
) -> OAuthClient:
    """The client for one sign-in: entered → our document → registered before → registered now.

    Raises ClientWanted where only an admin can go on, and UpstreamError where the service is in trouble.
    """
    dialect = dialects.of(integration)
    if (manual := entered(integration)) is not None and dialect.introduce != "register":
        return _bound_to(manual, service)
    if dialect.introduce == "manual":
        raise _client_wanted(service)
    document = identity.document_address()
    by_document = service.metadata.client_id_metadata_document_supported and dialect.introduce == "auto"
    if by_document and document and redirect_uri == identity.return_address(""):
        return _kept(integration, "cimd", service.issuer, redirect_uri, ClientIdentity(document))
    if (known := _registered(integration, service.issuer, redirect_uri, scope)) is not None:
        return known
    if not service.registers_clients and not dialect.old_endpoints:
        raise _client_wanted(service)
    client = await _register(integration, service, redirect_uri, scope)
    return _kept(integration, "dcr", service.issuer, redirect_uri, client)


async def _register(
    integration: Integration, service: SignInService, redirect_uri: str, scope: str
) -> ClientIdentity:
    """A service that won't have us by itself wants somebody to register by hand; one in trouble is tried later."""
    wanted = oauth.client_metadata(identity.NAME, identity.home_page(), redirect_uri, service.metadata, scope)
    try:
        return await oauth.register(egress_for(integration), service.metadata, wanted)
    except (SignInRefused, BadReply) as refusal:
        raise ClientWanted(
            refusal.what, field="client_id", why=refusal.why, next_step=REGISTER_BY_HAND
        ) from refusal


def opened(row: OAuthClient, metadata: OAuthMetadata) -> ClientIdentity:
    """With its secret. Never log what this returns."""
    secret = OAuthClient.secret.open(str(row.integration_id), row.secret) or ""
    method = row.auth_method or oauth.usual_auth_method(metadata, secret)
    return ClientIdentity(row.client_id, secret, method, row.secret_expires_at, row.scope)


def forget_registered(integration: Integration) -> None:
    """The service no longer knows it: the next sign-in registers anew. In the caller's transaction."""
    mine = (OAuthClient.integration == integration) & (OAuthClient.kind == "dcr")
    OAuthClient.delete().where(mine).execute()


def forget_all_but(row: OAuthClient) -> None:
    """Once a sign-in has succeeded with this one. In the caller's transaction."""
    others = (OAuthClient.integration == row.integration_id) & (OAuthClient.id != row.id)
    OAuthClient.delete().where(others).execute()


def _registered(integration: Integration, issuer: str, redirect_uri: str, scope: str) -> OAuthClient | None:
    rows = OAuthClient.select().where(
        OAuthClient.integration == integration,
        OAuthClient.kind == "dcr",
        OAuthClient.redirect_uri == redirect_uri,
    )
    for row in rows:
        lives = row.secret_expires_at is None or row.secret_expires_at > now() + ALMOST_OVER
        enough = not row.scope or set(scope.split()) <= set(row.scope.split())
        if lives and enough and issuers_match(row.issuer, issuer):
            return row  # type: ignore[no-any-return]
    return None


def _kept(
    integration: Integration, kind: str, issuer: str, redirect_uri: str, client: ClientIdentity
) -> OAuthClient:
    """Earlier registrations stay while a grant uses them: its refresh token is bound to them."""
    with writing():
        same = OAuthClient.get_or_none(
            OAuthClient.integration == integration,
            OAuthClient.kind == kind,
            OAuthClient.issuer == issuer,
            OAuthClient.redirect_uri == redirect_uri,
            OAuthClient.client_id == client.client_id,
        )
        if same is not None:
            return same  # type: ignore[no-any-return]
        return OAuthClient.create(  # type: ignore[no-any-return]
            integration=integration, kind=kind, issuer=issuer, redirect_uri=redirect_uri,
            client_id=client.client_id, auth_method=client.auth_method, scope=client.scope,
            secret=_sealed(integration, client.secret), secret_expires_at=client.secret_expires_at,
        )  # fmt: skip


def _bound_to(row: OAuthClient, service: SignInService) -> OAuthClient:
    if issuers_match(row.issuer, service.issuer):
        return row
    raise InvalidInput(
        f"The client id on record was given out by {row.issuer}, but the server now names {service.issuer}.",
        field="client_id",
        why="A client id and its secret must never be shown to another sign-in service.",
        next_step="If the vendor has moved, register an app there and enter its client id.",
    )


def _client_wanted(service: SignInService) -> ClientWanted:
    return ClientWanted(
        f"{service.host} wants a client id.",
        field="client_id",
        why="The sign-in service knows no automatic registration.",
        next_step=REGISTER_BY_HAND,
    )


def _sealed(integration: Integration, secret: str) -> bytes | None:
    return OAuthClient.secret.seal(str(integration.id), secret) if secret else None
