"""The MCP server behind the sign-in: two tools that read, one that writes and counts, and a strict porter."""

from __future__ import annotations

import json
from typing import Any

from mcp.server import MCPServer
from mcp.types import ToolAnnotations
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.authority import documents
from tests.authority.faults import Faults
from tests.authority.ledger import AccessToken, Ledger


def notes(written: list[str]) -> ASGIApp:
    server = MCPServer("notes", title="The Notes", version="1.2", log_level="CRITICAL")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def list_notes() -> list[str]:
        """All notes"""
        return ["milk", *written]

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def read_note(name: str) -> str:
        """One note"""
        return f"This is {name}."

    @server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False))
    def write_note(text: str) -> str:
        """Adds a note"""
        written.append(text)
        return f"Note {len(written)} is written."

    return server.streamable_http_app(stateless_http=True)


class Porter:
    """Lets in who has a token for this server (RFC 6750), and for some tools one with enough scope."""

    def __init__(self, app: ASGIApp, faults: Faults, ledger: Ledger) -> None:
        self.app = app
        self.faults = faults
        self.ledger = ledger
        self.origin = ""
        self.decoy = ""
        self.demands: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        message = _message(body)
        token = self._token(scope)
        if self.faults.moved_to:
            await RedirectResponse(self.faults.moved_to, 307)(scope, receive, send)
            return
        if message.get("method") not in self.faults.open_methods or "authorization" in _headers(scope):
            if token is None or self.faults.always_401:
                await self._unauthorised(token, self._repeated(scope))(scope, receive, send)
                return
            if lacking := self._lacking(message, token):
                await self._forbidden(lacking)(scope, receive, send)
                return
        if self.faults.late_401 and message.get("method") == "tools/call":
            await self.app(scope, receive, _nowhere)
            await self._unauthorised(token)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _token(self, scope: Scope) -> AccessToken | None:
        kind, _, value = _headers(scope).get("authorization", "").partition(" ")
        token = self.ledger.living(value) if kind == "Bearer" else None
        mine = ("", self.origin, self.origin + "/", self.origin + documents.MCP)
        return token if token is not None and token.family.resource in mine else None

    def _lacking(self, message: dict[str, Any], token: AccessToken) -> str:
        if message.get("method") != "tools/call":
            return ""
        wanted = self.demands.get(message.get("params", {}).get("name", ""), "")
        enough = set(wanted.split()) <= set(token.scope.split())
        return wanted if not enough or self.faults.insatiable else ""

    def _repeated(self, scope: Scope) -> str:
        return _headers(scope).get("authorization", "") if self.faults.echo else ""

    def _unauthorised(self, token: AccessToken | None, repeated: str = "") -> JSONResponse:
        if self.faults.challenge == "none":
            return JSONResponse({"message": "Unauthorized"}, 401)
        fields = {"realm": "notes"} | ({"error": "invalid_token"} if token else {})
        if repeated:
            fields |= {"error": "invalid_token", "error_description": f"No good: {repeated}"}
        if self.faults.challenge != "bare":
            fields["resource_metadata"] = self._announced()
        if self.faults.challenge_scope:
            fields["scope"] = self.faults.challenge_scope
        answer = {"message": f"Unauthorized {repeated}".strip()}
        return JSONResponse(answer, 401, {"www-authenticate": _challenge(fields)})

    def _announced(self) -> str:
        if kind := self.faults.lures.get("resource_metadata"):
            return documents.lure(kind, self.decoy, documents.RESOURCE_METADATA)
        at_root = self.faults.resource_metadata == "root"
        return self.origin + documents.RESOURCE_METADATA + ("" if at_root else documents.MCP)

    def _forbidden(self, wanted: str) -> JSONResponse:
        fields = {"error": "insufficient_scope"} | ({"scope": wanted} if self.faults.names_scope else {})
        fields["resource_metadata"] = self._announced()
        return JSONResponse({"message": "Forbidden"}, 403, {"www-authenticate": _challenge(fields)})


def _challenge(fields: dict[str, str]) -> str:
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in fields.items())


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body or b"{}")
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


async def _nowhere(message: Message) -> None:
    pass
