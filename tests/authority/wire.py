"""How a token endpoint reads and writes: who asks (RFC 6749 §2.3), what it answers (§5), and in which odd ways."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import threading
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from tests.authority.ledger import Ledger, RegisteredClient

LONGEST_WAIT = 30.0
HUGE = 5 * 1024 * 1024


class No(Exception):
    """A refusal of RFC 6749 §5.2."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code, self.description, self.status = code, description, status


def client_of(request: Request, form: Mapping[str, str], ledger: Ledger) -> RegisteredClient:
    """RFC 6749 §2.3.1: exactly one way to say who one is, and that the one agreed on."""
    header = request.headers.get("authorization", "")
    if header:
        method, (client_id, secret) = "basic", _basic(header)
    else:
        method = "post" if "client_secret" in form else "none"
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    client = ledger.clients.get(client_id)
    if client is None:
        raise No("invalid_client", "Nobody of this id is known.", 401)
    if client.method != method or (header and "client_secret" in form):
        raise No("invalid_client", f"This client has to use {client.method}, not {method}.", 401)
    if not secrets.compare_digest(secret.encode(), client.secret.encode()):
        raise No("invalid_client", "The secret is wrong.", 401)
    return client


def written(answer: dict[str, Any], fault: str, accepts: str) -> Response:
    match fault:
        case "form" | "form_always" as how if how == "form_always" or "json" not in accepts:
            return Response(urlencode(answer), media_type="application/x-www-form-urlencoded")
        case "html":
            return HTMLResponse("<h1>Please accept our cookies</h1>")
        case "no_token":
            return JSONResponse({name: answer[name] for name in answer if name != "access_token"})
        case "huge":
            return JSONResponse(answer | {"padding": "x" * HUGE})
        case "cut":
            whole = json.dumps(answer).encode()
            return StreamingResponse(_broken_off(whole), headers={"content-length": str(len(whole))})
        case "error200":
            return JSONResponse({"error": "bad_verification_code", "error_description": "It is wrong."})
    return JSONResponse(answer, headers={"cache-control": "no-store"})


def refusal(no: No) -> Response:
    headers = {"www-authenticate": "Basic"} if no.status == 401 else {}
    return JSONResponse({"error": no.code, "error_description": no.description}, no.status, headers=headers)


# The longest quote that is shown ends soon: what matters comes first.
SENT = ("client_secret", "code", "refresh_token", "token", "code_verifier")


def quoted(request: Request, body: bytes, kind: str) -> str:
    """What a talkative service repeats of a request to its token endpoint."""
    if kind == "header":
        return request.headers.get("authorization", "")
    if kind == "body":
        pairs = [tuple(pair.split("=", 1)) for pair in body.decode().split("&")]
    else:
        pairs = parse_qsl(body.decode())
    return " ".join(value for name in SENT for key, value in pairs if key == name)


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def unsigned(claims: Mapping[str, Any]) -> str:
    parts = ({"alg": "none"}, claims)
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."
    )


def _basic(header: str) -> tuple[str, str]:
    """Each half form-encoded: nothing but what that encoding leaves alone may be in there."""
    try:
        pair = base64.b64decode(header.removeprefix("Basic "), validate=True).decode("ascii")
    except ValueError as error:
        raise No("invalid_client", "The header is no Basic authentication.", 401) from error
    halves = pair.split(":")
    if len(halves) != 2 or " " in pair:
        raise No("invalid_client", "Id and secret are not form-encoded.", 401)
    return unquote_plus(halves[0]), unquote_plus(halves[1])


async def held(gate: threading.Event | None) -> None:
    if gate is not None:
        await asyncio.to_thread(gate.wait, LONGEST_WAIT)


async def form_of(request: Request) -> dict[str, str]:
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise No("invalid_request", "The body is no form.")
    pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True)
    if len(dict(pairs)) != len(pairs):
        raise No("invalid_request", "A parameter came twice.")
    return dict(pairs)


async def _broken_off(whole: bytes) -> AsyncIterator[bytes]:
    yield whole[: len(whole) // 2]
    raise ConnectionAbortedError("broken off, as ordered")
