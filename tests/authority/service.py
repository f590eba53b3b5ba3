"""One fake vendor as tests see it: its addresses, its faults, what arrived there, and what happens to its tokens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from tests.authority import documents
from tests.authority.desk import Desk
from tests.authority.faults import Faults
from tests.authority.ledger import Ledger, RegisteredClient
from tests.authority.notes import Porter, notes
from webapp.upstream.egress import Allowance, Egress


@dataclass(frozen=True)
class Seen:
    """One request as it came in; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


class Service:
    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.ledger = Ledger()
        self.seen: list[Seen] = []
        self.written: list[str] = []
        self.decoy_hits: list[str] = []
        self._desk = Desk(faults, self.ledger)
        self._porter = Porter(notes(self.written), faults, self.ledger)
        self._pages = Starlette(routes=self._routes())

    def open_at(self, port: int, decoy: int) -> None:
        """`decoy` is a port where no exception of the guard leads: nobody may ever ask there."""
        self.port = port
        self._desk.origin = self._porter.origin = self.origin = f"http://127.0.0.1:{port}"
        self._desk.decoy = self._porter.decoy = self.decoy = f"http://127.0.0.1:{decoy}"

    # Where

    @property
    def mcp_url(self) -> str:
        return self.origin + documents.MCP

    @property
    def issuer(self) -> str:
        return documents.issuer(self.origin, self.faults)

    def allowance(self) -> Allowance:
        return Allowance("127.0.0.1", self.port, "127.0.0.0/8", cleartext=True)

    def egress(self) -> Egress:
        return Egress([self.allowance()])

    # What arrived

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in list(self.seen) if seen.path == path]

    @property
    def arrived(self) -> threading.Event:
        """Set by every request to the token endpoint, once what it is to wait for is settled."""
        return self._desk.arrived

    @property
    def secrets(self) -> list[str]:
        """Every code, token and secret given out so far: none may be found where it does not belong."""
        return list(self.ledger.given_out)

    @property
    def registrations(self) -> int:
        return self._desk.counts["registrations"]

    @property
    def authorizations(self) -> int:
        return self._desk.counts["authorizations"]

    @property
    def exchanges(self) -> int:
        return self._desk.counts["exchanges"]

    @property
    def refreshes(self) -> int:
        return self._desk.counts["refreshes"]

    @property
    def revocations(self) -> int:
        return self._desk.counts["revocations"]

    @property
    def reuse_detected(self) -> int:
        return self._desk.counts["reuse_detected"]

    # What happens there

    def walk(self, authorization_url: str) -> str:
        """What a browser does at the page: ask, and be sent to the return address, which is handed back."""
        answer = httpx2.get(authorization_url, follow_redirects=False, timeout=60, trust_env=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def client(self, method: str = "none", *redirect_uris: str) -> RegisteredClient:
        """An app that somebody registered by hand; `method` is none, basic or post."""
        return self.ledger.add_client(method, redirect_uris)

    def publish_client(self, url: str, document: dict[str, Any]) -> None:
        """What would be read at `url`, a client id that is an address."""
        self._desk.documents[url] = document

    def expire_access_tokens(self) -> None:
        self.ledger.expire_access_tokens()

    def revoke_grant(self) -> None:
        """Somebody pressed Remove in the account's list of connected apps."""
        self.ledger.end_families()

    def forget_clients(self) -> None:
        self.ledger.clients.clear()

    def demand_scope(self, tool: str, scope: str) -> None:
        """An empty scope ends the demand."""
        self._porter.demands[tool] = scope

    # Serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._porter.app(scope, receive, send)
            return
        body = await _read(receive)
        if scope["server"][1] != self.port:
            self.decoy_hits.append(scope["path"])
            await PlainTextResponse("Not found", 404)(scope, receive, send)
            return
        self._note(scope, body)
        again = _replay(body, receive)
        if (answer := self.faults.raw.get(scope["path"])) is not None:
            await _raw(*answer, self.faults)(scope, receive, send)
        elif scope["path"] == documents.MCP:
            await self._porter(scope, again, send, body)
        else:
            await self._pages(scope, again, send)

    def _note(self, scope: Scope, body: bytes) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self.seen.append(Seen(scope["method"], scope["path"], query, headers, body))

    def _routes(self) -> list[Route]:
        resource = [
            Route(documents.RESOURCE_METADATA + path, self._of_resource) for path in (documents.MCP, "")
        ]
        service = [Route(path, self._of_service) for path in documents.FORMS]
        return [
            *resource,
            *service,
            Route("/authorize", self._desk.authorize),
            Route("/register", self._desk.register, methods=["POST"]),
            Route("/token", self._desk.token, methods=["POST"]),
            Route("/revoke", self._desk.revoke, methods=["POST"]),
        ]

    async def _of_resource(self, request: Request) -> Response:
        fault, at_root = self.faults.resource_metadata, request.url.path == documents.RESOURCE_METADATA
        if fault == "trouble":
            return PlainTextResponse("Something went wrong", 500)
        if fault == "missing" or at_root != (fault == "root"):
            return PlainTextResponse("Not found", 404)
        if kind := self.faults.lures.get("redirect"):
            return RedirectResponse(documents.lure(kind, self.decoy, documents.RESOURCE_METADATA), 307)
        return JSONResponse(documents.of_resource(self.origin, self.decoy, self.faults))

    async def _of_service(self, request: Request) -> Response:
        if self.faults.metadata == "trouble":
            return PlainTextResponse("Something went wrong", 500)
        if documents.FORMS[request.url.path] != self.faults.metadata:
            return PlainTextResponse("Not found", 404)
        return JSONResponse(documents.of_service(self.origin, self.decoy, self.faults))


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _raw(status: int, body: bytes, faults: Faults) -> Response:
    async def content() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1 if faults.drips else len(body)):
            yield body[start : start + (1 if faults.drips else len(body))]
            if faults.drips:
                await asyncio.sleep(0.02)
        for _ in range(faults.floods):
            yield b" " * 1024 * 1024

    return StreamingResponse(content(), status, media_type="application/json")


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
