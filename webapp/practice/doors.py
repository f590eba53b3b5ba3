"""The ways in. Each door is an ASGI app around the same tools, mounted at /<name>; agents use /<name>/mcp."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from webapp.practice.ledger import Ledger
from webapp.practice.turnstile import Turnstile

TOKEN = "practice-token"


@dataclass(frozen=True)
class Door:
    name: str
    sign_in: str
    what_to_do: str
    build: Callable[[MCPServer, Ledger], Starlette]


class RequireToken:
    """RFC 6750 §3: a bare challenge without a token, `invalid_token` with a wrong one. No metadata."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("authorization", "")
        scheme, _, token = given.partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), TOKEN.encode()):
            await self.app(scope, receive, send)
            return
        challenge = 'Bearer error="invalid_token"' if given else "Bearer"
        refusal = JSONResponse(
            {"error": "This door wants a bearer token. It is shown on the page of the practice server."},
            status_code=401,
            headers={"WWW-Authenticate": challenge},
        )
        await refusal(scope, receive, send)


def _open(server: MCPServer, ledger: Ledger) -> Starlette:
    # No host is bound here: the name switches on the SDK's own check of Host and Origin.
    return server.streamable_http_app(stateless_http=True, host="127.0.0.1")


def _behind_token(server: MCPServer, ledger: Ledger) -> Starlette:
    endpoint = _open(server, ledger)
    endpoint.add_middleware(RequireToken)
    return endpoint


def _behind_sign_in(server: MCPServer, ledger: Ledger) -> Starlette:
    endpoint = _open(server, ledger)
    endpoint.add_middleware(Turnstile, ledger=ledger)
    return endpoint


DOORS = (
    Door("open", "no sign-in", "Paste the address as Server URL. That is all.", _open),
    Door("bearer", "a bearer token", "Paste the address, then the token when you are asked.", _behind_token),
    Door(
        "oauth",
        "a sign-in",
        "Paste the address, then allow or refuse on the page that opens.",
        _behind_sign_in,
    ),
)
