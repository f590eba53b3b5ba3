"""An MCP server behind the Python SDK's own sign-in: python python_sdk.py <port> <seconds an access token lives>."""

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import dataclass, field
from html import escape

import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp_types import ToolAnnotations
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

SCOPE = "notes"
PAGE = """<!doctype html><title>Notes</title><h1>Let {client} use your notes?</h1>
<form method="post"><input type="hidden" name="request" value="{request}">
<label>Your name <input name="name" required></label>
<button name="choice" value="allow">Allow</button>
<button name="choice" value="refuse" formnovalidate>Refuse</button></form>"""


@dataclass(eq=False)
class Grant:
    """What one consent gave; its tokens end with it."""

    client_id: str
    scopes: list[str]
    resource: str | None
    subject: str
    alive: bool = True
    current: str = ""


@dataclass
class Provider(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    origin: str
    life: int
    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    asked: dict[str, tuple[OAuthClientInformationFull, AuthorizationParams]] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    access: dict[str, tuple[Grant, int]] = field(default_factory=dict)
    refresh: dict[str, Grant] = field(default_factory=dict)

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[str(client_info.client_id)] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        request = secrets.token_urlsafe(24)
        self.asked[request] = (client, params)
        return f"{self.origin}/consent?request={request}"

    async def consent(self, request: Request) -> Response:
        """The page that the SDK leaves to whoever uses it."""
        if request.method == "GET":
            asked = request.query_params["request"]
            client, _ = self.asked[asked]
            name = escape(client.client_name or str(client.client_id))
            return HTMLResponse(PAGE.format(client=name, request=escape(asked)))
        async with request.form() as form:
            client, params = self.asked.pop(str(form["request"]))
            allowed, name = form["choice"] == "allow", str(form["name"])
        answer = {"code": self._code(client, params, name)} if allowed else {"error": "access_denied"}
        target = construct_redirect_uri(str(params.redirect_uri), **answer, state=params.state)
        return RedirectResponse(target, 303)

    def _code(self, client: OAuthClientInformationFull, params: AuthorizationParams, name: str) -> str:
        code = AuthorizationCode(
            code=secrets.token_urlsafe(24),
            scopes=params.scopes or [SCOPE],
            expires_at=time.time() + 60,
            client_id=str(client.client_id),
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
            subject=name,
        )
        self.codes[code.code] = code
        return code.code

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        code = self.codes.pop(authorization_code.code)
        return self._tokens(Grant(code.client_id, code.scopes, code.resource, str(code.subject)))

    async def load_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: str
    ) -> RefreshToken | None:
        grant = self.refresh.get(refresh_token)
        if grant is None or not grant.alive:
            return None
        return RefreshToken(token=refresh_token, client_id=grant.client_id, scopes=grant.scopes)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        grant = self.refresh[refresh_token.token]
        if grant.current != refresh_token.token:
            grant.alive = False
            raise TokenError("invalid_grant", "This refresh token was used before")
        return self._tokens(grant)

    async def load_access_token(self, token: str) -> AccessToken | None:
        grant, expires_at = self.access.get(token, (None, 0))
        if grant is None or not grant.alive:
            return None
        return AccessToken(
            token=token, client_id=grant.client_id, scopes=grant.scopes, expires_at=expires_at,
            resource=grant.resource, subject=grant.subject,
        )  # fmt: skip

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        grant = self.refresh.get(token.token) or self.access[token.token][0]
        grant.alive = False

    def _tokens(self, grant: Grant) -> OAuthToken:
        access, grant.current = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.access[access] = (grant, int(time.time()) + self.life)
        self.refresh[grant.current] = grant
        return OAuthToken(
            access_token=access,
            expires_in=self.life,
            refresh_token=grant.current,
            scope=" ".join(grant.scopes),
        )


def notes(provider: Provider) -> MCPServer[None]:
    settings = AuthSettings(
        issuer_url=AnyHttpUrl(provider.origin),
        resource_server_url=AnyHttpUrl(f"{provider.origin}/mcp"),
        required_scopes=[SCOPE],
        validate_token_resource=True,
        client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=[SCOPE]),
        revocation_options=RevocationOptions(enabled=True),
    )
    server: MCPServer[None] = MCPServer("notes", auth_server_provider=provider, auth=settings)
    server.custom_route("/consent", methods=["GET", "POST"])(provider.consent)
    written: list[str] = []

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def list_notes() -> str:
        """Lists all notes."""
        return "\n".join(written) or "No notes."

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def who_am_i() -> str:
        """Tells whose token this is."""
        token = get_access_token()
        return str(token and token.subject)

    @server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False))
    def add_note(text: str) -> str:
        """Writes a note."""
        written.append(text)
        return f"Written: note {len(written)}."

    return server


if __name__ == "__main__":
    port, life = map(int, sys.argv[1:])
    app = notes(Provider(f"http://127.0.0.1:{port}", life)).streamable_http_app()
    # Whoever listens would keep it from its end for a minute.
    uvicorn.run(app, port=port, timeout_graceful_shutdown=1)
