"""What stands before the tools of the OAuth door: a live token, for this address, with the scope the call needs."""

from __future__ import annotations

import json

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp.practice.addresses import Addresses
from webapp.practice.issued import Token
from webapp.practice.ledger import Ledger
from webapp.practice.toolbox import READING

# `openid` is no right to anything here, but clients ask for what a challenge names, and then know the account.
ASKED_FOR = "desk:read desk:write openid"


class Turnstile:
    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self.app = app
        self.ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        addresses = Addresses.of(HTTPConnection(scope))
        token = bearer(scope, self.ledger)
        if token is None or token.grant.resource != addresses.resource:
            await _sign_in_first(scope, addresses)(scope, receive, send)
            return
        body = b""
        if scope["method"] == "POST":
            body = await _body(receive)
            receive = _again(body, receive)
        missing = _needed(scope["method"], body) - set(token.scope.split())
        if missing:
            await _not_enough(" ".join(sorted(missing)), addresses)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def bearer(scope: Scope, ledger: Ledger) -> Token | None:
    kind, _, value = Headers(scope=scope).get("authorization", "").partition(" ")
    return ledger.access(value.strip()) if kind.lower() == "bearer" else None


def challenge(**fields: str) -> dict[str, str]:
    said = ", ".join(f'{name}="{value}"' for name, value in fields.items() if value)
    return {"WWW-Authenticate": f"Bearer {said}".strip()}


def _sign_in_first(scope: Scope, addresses: Addresses) -> JSONResponse:
    # RFC 6750 §3.1: no error code for a request that brought no token.
    error = "invalid_token" if "authorization" in Headers(scope=scope) else ""
    return JSONResponse(
        {"error": "This door wants a sign-in. Its metadata says where."},
        status_code=401,
        headers=challenge(error=error, resource_metadata=addresses.resource_metadata, scope=ASKED_FOR),
    )


def _not_enough(scope: str, addresses: Addresses) -> JSONResponse:
    return JSONResponse(
        {"error": f"The sign-in does not allow this: {scope} is missing. Nothing was done."},
        status_code=403,
        headers=challenge(
            error="insufficient_scope",
            error_description="Nothing was done.",
            scope=scope,
            resource_metadata=addresses.resource_metadata,
        ),
    )


def _needed(method: str, body: bytes) -> set[str]:
    """Whatever we can't read counts as a write."""
    if method != "POST":
        return {"desk:read"}
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {"desk:read", "desk:write"}
    return {"desk:read", "desk:write"} if _writes(read) else {"desk:read"}


def _writes(message: object) -> bool:
    if not isinstance(message, dict):
        return True
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    return message.get("method") == "tools/call" and not (isinstance(name, str) and name in READING)


async def _body(receive: Receive) -> bytes:
    chunks, more = [], True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(chunks)


def _again(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
