"""How Gatehouse signs in to a server: the headers it sends, the guard it passes, the secret it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from webapp.errors import BadReply, InvalidInput, NeedsAuthorization, Refused, Stale
from webapp.services import audit, grants, headers, tokens
from webapp.services.audit import Actor
from webapp.services.egress import egress_for
from webapp.services.headers import Header
from webapp.services.roles import needs
from webapp.services.tokens import Presented
from webapp.store.database import let_go, writing
from webapp.store.fields import now
from webapp.store.models import Connection, Integration
from webapp.upstream.client import Client, ServerInfo
from webapp.upstream.exchange import Http
from webapp.upstream.listing import Listing

LIST_SECONDS = 30.0
LARGEST_LIST = 32 * 1024 * 1024
KINDS = ("bearer", "header", "none")


@dataclass(frozen=True)
class Fetched:
    server: ServerInfo
    listing: Listing


def credentials_for(integration: Integration, *, refused: int = 0) -> Presented:
    """What to send to the server: the opened secrets in their templates, or a fresh OAuth token. Never log it.

    Only OAuth's has a version: see `tokens.present`, also for `refused` and for what it raises.
    """
    connection = of(integration)
    if connection is not None and connection.kind == "oauth":
        return tokens.present(integration, refused=refused)
    return Presented(0, headers.filled(_kept(connection)) if connection else {}, None)


def client_for(
    integration: Integration,
    http: Http,
    sent: Mapping[str, str],
    on_tools_changed: Callable[[], None] | None = None,
    offers: Mapping[str, Any] | None = None,
) -> Client:
    return Client(
        integration.url,
        http,
        headers=sent,
        version=integration.protocol or None,
        timeout=LIST_SECONDS,
        on_tools_changed=on_tools_changed,
        offers=offers,
    )


def of(integration: Integration) -> Connection | None:
    found: Connection | None = Connection.get_or_none(Connection.integration == integration)
    return found


def builtin_secrets(integration: Integration) -> dict[str, str]:
    opened = Integration.settings_sealed.open(str(integration.id), integration.settings_sealed)
    return dict(opened or {})


def fetch(integration: Integration, *, sent: Mapping[str, str] | None = None) -> Fetched:
    """Greet the server and read its whole list of tools. Network: never inside a transaction.

    `sent` stands in for the stored sign-in while a new secret is being tried. Raises UpstreamError.
    """
    if sent is not None:
        return _fetch(integration, sent)
    stored = credentials_for(integration)
    try:
        return _fetch(integration, stored.headers)
    except NeedsAuthorization as error:
        if error.http_status != 401 or not stored.version:
            raise
    return _fetch_anew(integration, stored.version)


def _fetch_anew(integration: Integration, refused: int) -> Fetched:
    """The token ran out before its time: once more with a new one."""
    renewed = credentials_for(integration, refused=refused)
    try:
        return _fetch(integration, renewed.headers)
    except NeedsAuthorization as error:
        if error.http_status == 401:
            tokens.refused_anew(integration.id, renewed.version)
        raise


def _fetch(integration: Integration, sent: Mapping[str, str]) -> Fetched:
    with let_go():
        return asyncio.run(_list(integration, sent))


async def _list(integration: Integration, sent: Mapping[str, str]) -> Fetched:
    async with egress_for(integration).http(max_bytes=LARGEST_LIST, total_seconds=LIST_SECONDS) as http:
        client = client_for(integration, http, sent)
        try:
            server = await client.connect()
            return Fetched(server, await client.list_tools())
        finally:
            await client.aclose()


def save_headers(
    integration: Integration, kind: str, rows: Iterable[tuple[str, str, str]], actor: Actor
) -> Fetched:
    """Keep a sign-in, after a real listing with it has worked. `rows` are (header name, template, secret).

    An empty secret keeps the stored one of the same header. Returns what was listed, for the sync.
    Raises InvalidInput where the headers can't be sent or the server refuses them.
    """
    needs(actor, "admin")
    if kind not in KINDS:
        raise InvalidInput("There is no such way to sign in.", field="kind")
    wanted = [] if kind == "none" else _complete(integration, headers.checked(rows))
    if kind != "none" and not wanted:
        raise InvalidInput("Nothing was entered.", field="secret", next_step="Paste the token of the server.")
    fetched, given = _try(integration, wanted), grants.held(integration)
    with writing():
        _store(integration, kind, wanted, actor)
    if given is not None:
        _record_return(integration, grants.give_back(given), actor)
    return fetched


def _record_return(integration: Integration, result: str, actor: Actor) -> None:
    with writing():
        details = {"result": result}
        audit.record(
            "connection.given_back", actor, integration=integration.name, details=details, agents_notice=False
        )


def _complete(integration: Integration, wanted: list[Header]) -> list[Header]:
    connection = of(integration)
    kept = {header.name.lower(): header.secret for header in _kept(connection)} if connection else {}
    complete = [header.with_secret(header.secret or kept.get(header.name.lower(), "")) for header in wanted]
    for header in complete:
        if not header.secret:
            raise InvalidInput(f"The value for {header.name} is missing.", field="secret")
    return complete


def _try(integration: Integration, wanted: list[Header]) -> Fetched:
    try:
        fetched = fetch(integration, sent=headers.filled(wanted))
    except Refused as refusal:
        raise _without_secrets(refusal, wanted) from None
    if not fetched.listing.complete and not fetched.listing.tools:
        raise BadReply(
            headers.scrubbed(fetched.listing.problem, wanted),
            kind="not_mcp",
            next_step="Try again later, or ask whoever runs the server.",
        )
    return fetched


def _without_secrets(refusal: Refused, wanted: list[Header]) -> Refused:
    """What the server said, fit for the page: some servers repeat the token they refuse."""
    if isinstance(refusal, NeedsAuthorization):
        words = "The server refused this sign-in." if wanted else "The server wants a sign-in."
        said = f" It said: {refusal.challenge}" if refusal.challenge else ""
        return InvalidInput(
            headers.scrubbed(f"{words} It answered {refusal.http_status}.{said[:300]}", wanted),
            field="secret",
            why="The token may be mistyped, expired, or meant for another address." if wanted else "",
            next_step="Copy the token again from the vendor's page." if wanted else "Paste a token.",
        )
    refusal.what = headers.scrubbed(refusal.what, wanted)
    refusal.why = headers.scrubbed(refusal.why, wanted)
    refusal.args = (refusal.what,)
    return refusal


def _store(integration: Integration, kind: str, wanted: list[Header], actor: Actor) -> None:
    current = Integration.get_or_none(Integration.id == integration.id)
    if current is None or current.url != integration.url:
        raise Stale("This server was changed or disconnected meanwhile.", next_step="Begin again.")
    values: dict[str, Any] = {
        "kind": kind,
        "headers": [{"name": header.name, "template": header.template} for header in wanted],
        "secrets": _sealed(integration, [header.secret for header in wanted]),
        "account": "",
        "given_by": actor.id if actor.kind == "user" else None,
        "verified_at": now(),
        "changed_at": now(),
    }
    replaced = Connection.update(**values).where(Connection.integration == integration).execute()
    if not replaced:
        Connection.insert(integration=integration, **values).execute()
    grants.forget(integration)
    _connected(integration)
    audit.record(
        "connection.replaced" if replaced else "connection.saved",
        actor,
        integration=integration.name,
        details={"kind": kind, "headers": [header.name for header in wanted]},
    )


def _connected(integration: Integration) -> None:
    Integration.update(state="connected", state_reason="", connected_at=now()).where(
        Integration.id == integration.id, Integration.state != "paused"
    ).execute()


def _sealed(integration: Integration, secrets: list[str]) -> bytes | None:
    return Connection.secrets.seal(str(integration.id), secrets) if secrets else None


def _kept(connection: Connection) -> list[Header]:
    secrets = Connection.secrets.open(str(connection.integration_id), connection.secrets) or []
    return [
        Header(row["name"], row["template"], secret)
        for row, secret in zip(connection.headers, secrets, strict=True)
    ]
