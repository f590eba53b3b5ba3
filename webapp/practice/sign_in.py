"""The faces of the make-believe sign-in service: metadata, registration, consent, tokens, revocation, who you are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2 import OAuth2Error
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from webapp.practice import addresses, registration
from webapp.practice.addresses import Addresses
from webapp.practice.authority import AUTH_METHODS, Asked, Authority
from webapp.practice.guards import from_another_site
from webapp.practice.html import html
from webapp.practice.issued import ACCOUNT, SCOPES
from webapp.practice.ledger import Ledger
from webapp.practice.turnstile import bearer, challenge

# The person may grant less than these; the others come with every "Allow".
CHOICES = ("desk:write", "offline_access")
NAMEABLE = re.compile(r"https?://[a-z0-9.-]+(:\d+)?", re.ASCII)


class SignIn:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @property
    def routes(self) -> list[Route]:
        return [
            Route(addresses.RESOURCE_METADATA, self.resource_metadata),
            Route(addresses.SERVER_METADATA, self.server_metadata),
            Route(addresses.OPENID_METADATA, self.server_metadata),
            Route("/oauth/register", self.register, methods=["POST"]),
            Route("/oauth/authorize", self.ask, methods=["GET"]),
            Route("/oauth/authorize", self.answer, methods=["POST"]),
            Route("/oauth/token", self.token, methods=["POST"]),
            Route("/oauth/revoke", self.revoke, methods=["POST"]),
            Route("/oauth/userinfo", self.userinfo, methods=["GET", "POST"]),
            Route("/oauth/jwks", self.jwks),
        ]

    async def resource_metadata(self, request: Request) -> Response:
        here = Addresses.of(request)
        # RFC 9728 §2
        return JSONResponse({
            "resource": here.resource,
            "authorization_servers": [here.issuer],
            "scopes_supported": ["desk:read", "desk:write"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Practice desk",
        })  # fmt: skip

    async def server_metadata(self, request: Request) -> Response:
        """RFC 8414 §2 and OpenID Connect Discovery §3 in one."""
        issuer = Addresses.of(request).issuer
        return JSONResponse({
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "registration_endpoint": f"{issuer}/register",
            "revocation_endpoint": f"{issuer}/revoke",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "jwks_uri": f"{issuer}/jwks",
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": AUTH_METHODS,
            "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
            "authorization_response_iss_parameter_supported": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })  # fmt: skip

    async def register(self, request: Request) -> Response:
        return await registration.register(request, self.ledger)

    async def ask(self, request: Request) -> Response:
        asked = _asked(request, request.query_params)
        authority = self._authority(request)
        try:
            grant = authority.get_consent_grant(asked, end_user=ACCOUNT)
        except OAuth2Error as error:
            return _refused(authority, asked, error)
        scopes = asked.scope.split()
        return html(
            "consent.html",
            form_action=f"'self' {_origin(grant.redirect_uri)}",
            client=grant.client,
            redirect_uri=grant.redirect_uri,
            certain={scope: SCOPES[scope] for scope in scopes if scope not in CHOICES},
            choices={scope: SCOPES[scope] for scope in scopes if scope in CHOICES},
            here=f"{request.url.path}?{request.url.query}",
            account=ACCOUNT,
        )

    async def answer(self, request: Request) -> Response:
        if from_another_site(request):
            return _unasked()
        form = await request.form()
        asked = _asked(request, request.query_params)
        authority = self._authority(request)
        try:
            grant = authority.get_consent_grant(asked, end_user=ACCOUNT)
        except OAuth2Error as error:
            return _refused(authority, asked, error)
        chosen = form.getlist("scope")
        granted = [scope for scope in asked.scope.split() if scope not in CHOICES or scope in chosen]
        allowed = form.get("decision") == "allow" and granted
        if allowed:
            asked = asked.narrowed(" ".join(granted))
            grant = authority.get_consent_grant(asked, end_user=ACCOUNT)
        response: Response = authority.create_authorization_response(
            asked, grant_user=ACCOUNT if allowed else None, grant=grant
        )
        return response

    async def token(self, request: Request) -> Response:
        return await self._of_authority(request, lambda authority: authority.create_token_response)

    async def revoke(self, request: Request) -> Response:
        return await self._of_authority(
            request, lambda authority: lambda asked: authority.create_endpoint_response("revocation", asked)
        )

    async def userinfo(self, request: Request) -> Response:
        token = bearer(request.scope, self.ledger)
        if token is None:
            return JSONResponse({"error": "invalid_token"}, 401, challenge(error="invalid_token"))
        if "openid" not in token.scope.split():
            refusal = challenge(error="insufficient_scope", scope="openid")
            return JSONResponse({"error": "insufficient_scope"}, 403, refusal)
        return JSONResponse(ACCOUNT, headers={"Cache-Control": "no-store"})

    async def jwks(self, request: Request) -> Response:
        return JSONResponse({"keys": [self.ledger.key.as_dict(private=False)]})

    def _authority(self, request: Request) -> Authority:
        return Authority(self.ledger, Addresses.of(request))

    async def _of_authority(
        self, request: Request, endpoint: Callable[[Authority], Callable[[Asked], Any]]
    ) -> Response:
        form = await request.form()
        params = ImmutableMultiDict(
            [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        )
        authority, asked = self._authority(request), _asked(request, params)
        try:
            response: Response = endpoint(authority)(asked)
        except OAuth2Error as error:
            response = authority.handle_error_response(asked, error)
        return response


def _asked(request: Request, params: ImmutableMultiDict[str, str]) -> Asked:
    return Asked(request.method, str(request.url), params, request.headers)


def _origin(redirect_uri: str) -> str:
    """For `form-action`: Chromium applies it to where an answered form leads, too. The policy's grammar has no
    way to name an IPv6 address; then the scheme must do."""
    parts = urlsplit(redirect_uri)
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    return origin if NAMEABLE.fullmatch(origin) else f"{parts.scheme}:"


def _refused(authority: Authority, asked: Asked, error: OAuth2Error) -> Response:
    """To the client where it can be told safely (RFC 6749 §4.1.2.1), else to the person."""
    if error.redirect_uri:
        response: Response = authority.handle_error_response(asked, error)
        return response
    return html(
        "refusal.html",
        400,
        error=error.error,
        what=error.description,
        why="Most likely the practice server was started again or reset since the program introduced itself, or the "
        "address was changed on the way. You were not sent back, because it is not certain where that would lead.",
    )


def _unasked() -> Response:
    return html(
        "refusal.html",
        403,
        error="",
        what="This button was pressed from another site, so nothing was allowed.",
        why="Only the page of the practice server itself may ask you.",
    )
