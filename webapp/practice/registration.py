"""Dynamic client registration (RFC 7591): what a client says of itself, and what we make of it."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from webapp.practice.guards import NAMES
from webapp.practice.issued import SCOPES, Client
from webapp.practice.ledger import Ledger

MAX_BYTES = 64 * 1024


def _usable(uri: str) -> str:
    """https anywhere, http on this machine. Kept letter for letter: it is compared that way."""
    if not uri.isascii() or not uri.isprintable() or set(uri) & set(' "<>\\^`{|}#'):
        raise ValueError("has characters that an address can't have")
    parts = urlsplit(uri)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    if not host or "@" in parts.netloc or (parts.port or 1) > 65535:
        raise ValueError("is no address")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in NAMES):
        raise ValueError("must be https, or http on this machine")
    return uri


class Wanted(BaseModel):
    """Unknown members are left out of the answer (RFC 7591 §3.2.1: we may)."""

    redirect_uris: Annotated[
        list[Annotated[str, Field(max_length=2000), AfterValidator(_usable)]],
        Field(min_length=1, max_length=10),
    ]
    client_name: Annotated[str, Field(max_length=100)] | None = None
    token_endpoint_auth_method: Literal["none", "client_secret_basic", "client_secret_post"] = (
        "client_secret_basic"
    )
    grant_types: list[str] = ["authorization_code"]
    response_types: list[str] = ["code"]
    scope: str | None = None

    @property
    def known_scope(self) -> str:
        """RFC 7591 §2: without one, the server decides; ours is generous. Strange ones are dropped."""
        asked = SCOPES if self.scope is None else self.scope.split()
        return " ".join(scope for scope in SCOPES if scope in asked)


async def register(request: Request, ledger: Ledger) -> Response:
    body = await request.body()
    if len(body) > MAX_BYTES:
        return _refusal("invalid_client_metadata", "That is too long.")
    try:
        wanted = Wanted.model_validate_json(body)
    except ValidationError as error:
        return _refusal(*_reason(error))
    if "authorization_code" not in wanted.grant_types or "code" not in wanted.response_types:
        return _refusal("invalid_client_metadata", "Only the authorization code flow is offered here.")
    client = _client(wanted)
    ledger.register(client)
    return JSONResponse(_answer(client), 201, {"Cache-Control": "no-store"})


def _client(wanted: Wanted) -> Client:
    public = wanted.token_endpoint_auth_method == "none"
    return Client(
        client_id=secrets.token_hex(12),
        name=" ".join((wanted.client_name or "").split()) or "A program without a name",
        redirect_uris=tuple(wanted.redirect_uris),
        auth_method=wanted.token_endpoint_auth_method,
        grant_types=tuple(
            name for name in wanted.grant_types if name in ("authorization_code", "refresh_token")
        ),
        scope=wanted.known_scope,
        secret="" if public else secrets.token_hex(24),
    )


def _answer(client: Client) -> dict[str, Any]:
    secret = {"client_secret": client.secret, "client_secret_expires_at": 0} if client.secret else {}
    return {
        "client_id": client.client_id,
        **secret,
        "client_name": client.name,
        "redirect_uris": client.redirect_uris,
        "token_endpoint_auth_method": client.auth_method,
        "grant_types": client.grant_types,
        "response_types": ["code"],
        "scope": client.scope,
    }


def _reason(error: ValidationError) -> tuple[str, str]:
    first = error.errors(include_input=False, include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "body"
    kind = "invalid_redirect_uri" if field == "redirect_uris" else "invalid_client_metadata"
    return kind, f"{field}: {first['msg']}"


def _refusal(error: str, description: str) -> Response:
    body = {"error": error, "error_description": description}
    return JSONResponse(body, 400, {"Cache-Control": "no-store"})
