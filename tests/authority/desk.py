"""Registration, the page, tokens and their end: RFC 7591, 6749, 7636, 8707, 9207 and 7009, with faults to order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from tests.authority import documents
from tests.authority.faults import Faults
from tests.authority.ledger import Family, Ledger, RegisteredClient
from tests.authority.wire import (
    No,
    challenge_of,
    client_of,
    form_of,
    held,
    quoted,
    refusal,
    unsigned,
    written,
)

METHODS = {"none": "none", "client_secret_basic": "basic", "client_secret_post": "post"}


class Desk:
    def __init__(self, faults: Faults, ledger: Ledger) -> None:
        self.faults = faults
        self.ledger = ledger
        self.origin = self.decoy = ""
        self.arrived = threading.Event()
        self.documents: dict[str, dict[str, Any]] = {}
        self.counts = dict.fromkeys(
            ("registrations", "authorizations", "exchanges", "refreshes", "revocations", "reuse_detected"), 0
        )

    # Registration

    async def register(self, request: Request) -> Response:
        fault = self.faults.registration
        if fault == "absent":
            return PlainTextResponse("Not found", 404)
        if fault == "trouble":
            return PlainTextResponse("Down for maintenance", 503)
        if fault in ("redirect", "moved"):
            return self._elsewhere(fault)
        if fault == "nonsense":
            return HTMLResponse("<h1>Welcome, partner</h1>", 201)
        wanted = json.loads(await request.body())
        if fault == "refused" or not wanted.get("redirect_uris"):
            why = "Only partners may register."
            return JSONResponse({"error": "invalid_client_metadata", "error_description": why}, 400)
        self.counts["registrations"] += 1
        asked = METHODS.get(wanted.get("token_endpoint_auth_method", "client_secret_basic"), "none")
        method = {"": asked, "unnamed": "basic"}.get(self.faults.assigned, self.faults.assigned)
        client = self.ledger.add_client(method, tuple(wanted["redirect_uris"]))
        return JSONResponse(self._registration(client, wanted), 200 if fault == "200" else 201)

    def _registration(self, client: RegisteredClient, wanted: dict[str, Any]) -> dict[str, Any]:
        names = {ours: theirs for theirs, ours in METHODS.items()}
        answer = wanted | {
            "client_id": client.client_id,
            "client_id_issued_at": int(time.time()),
            "token_endpoint_auth_method": names[client.method],
            "registration_access_token": self.ledger.secret("registration"),
            "registration_client_uri": f"{self.origin}/register/1",
        }
        if client.secret:
            answer |= {
                "client_secret": client.secret,
                "client_secret_expires_at": self.faults.secret_expires_at,
            }
        if self.faults.registration == "odd_method":
            answer["token_endpoint_auth_method"] = "private_key_jwt"
        if self.faults.assigned == "unnamed":
            del answer["token_endpoint_auth_method"]
        if self.faults.registration == "nulls":
            optional = (
                "client_secret",
                "client_secret_expires_at",
                "client_uri",
                "logo_uri",
                "contacts",
                "scope",
            )
            answer = dict.fromkeys((*optional, "jwks", "jwks_uri", "software_id", "tos_uri")) | answer
        return answer

    # The page

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        redirect_uri = asked.get("redirect_uri", "")
        client = self._client_of_page(asked.get("client_id", ""))
        if client is None or (client.redirect_uris and redirect_uri not in client.redirect_uris):
            return HTMLResponse("<h1>Unknown app or return address</h1>", 400)
        self.counts["authorizations"] += 1
        try:
            answer = {"code": self._consented(client, asked)}
        except No as no:
            answer = {"error": no.code} | ({"error_description": no.description} if no.description else {})
            answer |= self._echo(asked.get("state", ""))
        answer |= self._iss() | ({"state": asked["state"]} if "state" in asked else {})
        separator = "&" if "?" in redirect_uri else "?"
        return RedirectResponse(redirect_uri + separator + urlencode(answer), 302)

    def _client_of_page(self, client_id: str) -> RegisteredClient | None:
        document = self.documents.get(client_id) if self.faults.client_documents else None
        if document is None:
            return self.ledger.clients.get(client_id)
        client = RegisteredClient(client_id, "", "none", tuple(document["redirect_uris"]))
        return self.ledger.clients.setdefault(client_id, client)

    def _consented(self, client: RegisteredClient, asked: Mapping[str, str]) -> str:
        if self.faults.consent != "allow":
            code = "access_denied" if self.faults.consent == "refuse" else self.faults.consent
            raise No(code, self.faults.consent_description)
        if asked.get("response_type") != "code":
            raise No("unsupported_response_type", "")
        if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            raise No("invalid_request", "PKCE with S256 is required.")
        scope, resource = asked.get("scope", ""), asked.get("resource", "")
        self._check_resource(resource)
        if self.faults.scopes is not None and not set(scope.split()) <= set(self.faults.scopes):
            raise No("invalid_scope", scope)
        family = Family(client.client_id, scope, resource)
        return self.ledger.add_code(family, asked["redirect_uri"], asked["code_challenge"])

    def _check_resource(self, resource: str) -> None:
        if self.faults.resource_rule == "refuse" and resource:
            raise No("invalid_target", "AADSTS901002: The 'resource' request parameter is not supported.")
        if self.faults.resource_rule == "require" and not resource:
            raise No("invalid_target", "The parameter 'resource' is required.")
        mine = (self.origin + documents.MCP, self.origin, self.origin + "/", *self.faults.resources)
        if resource and resource not in mine:
            raise No("invalid_target", f"Nothing is known about {resource}.")

    def _iss(self) -> dict[str, str]:
        if self.faults.iss in ("missing", "unpromised"):
            return {}
        right = documents.issuer(self.origin, self.faults)
        return {"iss": right if self.faults.iss == "right" else "https://mix-up.example"}

    # Tokens

    async def token(self, request: Request) -> Response:
        hold, hold_answer = self.faults.hold, self.faults.hold_answer
        self.arrived.set()
        await held(hold)
        if self.faults.token_status and self.faults.token_troubles:
            self.faults.token_troubles -= 1
            return PlainTextResponse("Something went wrong", self.faults.token_status)
        if self.faults.token in ("redirect", "moved"):
            return self._elsewhere(self.faults.token)
        if self.faults.echo:
            said = quoted(request, await request.body(), self.faults.echo)
            return JSONResponse({"error": "invalid_request"} | self._echo(said), 400)
        try:
            form = await form_of(request)
            client = client_of(request, form, self.ledger)
            answer = self._tokens(form, client)
        except No as no:
            return refusal(no)
        await held(hold_answer)
        return written(answer, self.faults.token, request.headers.get("accept", ""))

    def _tokens(self, form: Mapping[str, str], client: RegisteredClient) -> dict[str, Any]:
        with self.ledger.lock:
            match form.get("grant_type"):
                case "authorization_code":
                    family = self._exchanged(form, client)
                case "refresh_token":
                    family = self._refreshed(form, client)
                case _:
                    raise No("unsupported_grant_type", "")
            return self._answer(family, form)

    def _exchanged(self, form: Mapping[str, str], client: RegisteredClient) -> Family:
        self.counts["exchanges"] += 1
        self._check_resource(form.get("resource", ""))
        code = self.ledger.codes.get(form.get("code", ""))
        if code is None or code.ends < time.monotonic():
            raise No("invalid_grant", f"The code {form.get('code', '')} is not known.")
        if code.used:
            code.family.alive = False
            raise No("invalid_grant", "The code was used before.")
        code.used = True
        if (code.family.client_id, code.redirect_uri) != (client.client_id, form.get("redirect_uri")):
            raise No("invalid_grant", "The code was given to another client or return address.")
        if form.get("resource", "") != code.family.resource:
            raise No("invalid_target", "The code was given for another resource.")
        if challenge_of(form.get("code_verifier", "")) != code.challenge:
            raise No("invalid_grant", "The verifier does not fit.")
        return code.family

    def _refreshed(self, form: Mapping[str, str], client: RegisteredClient) -> Family:
        self.counts["refreshes"] += 1
        if self.faults.refresh_error:
            status = 401 if self.faults.refresh_error == "invalid_client" else 400
            raise No(self.faults.refresh_error, "As ordered.", status)
        token = self.ledger.refresh.get(form.get("refresh_token", ""))
        if token is None or not token.family.alive or token.family.client_id != client.client_id:
            raise No("invalid_grant", f"The token {form.get('refresh_token', '')} is not valid.")
        self._check_resource(form.get("resource", ""))
        if form.get("resource", "") != token.family.resource:
            raise No("invalid_target", "The token was given for another resource.")
        if token.used:
            self.counts["reuse_detected"] += 1
            token.family.alive = not self.faults.reuse_detection
            raise No("invalid_grant", "The refresh token was used before.")
        token.used = self.faults.rotation
        return token.family

    def _answer(self, family: Family, form: Mapping[str, str]) -> dict[str, Any]:
        scope = family.scope if self.faults.granted_scope is None else self.faults.granted_scope
        life = self.faults.expires_in
        token = self.ledger.add_access(family, scope, float(life) if life is not None else 3600.0)
        answer: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        if scope != form.get("scope", family.scope) or self.faults.granted_scope is not None:
            answer["scope"] = scope
        if life is not None:
            answer["expires_in"] = life
        wanted = self.faults.refresh_token
        offline = wanted == "given" or (wanted == "offline" and "offline_access" in family.scope.split())
        if offline and (self.faults.rotation or form["grant_type"] == "authorization_code"):
            answer["refresh_token"] = self.ledger.add_refresh(family)
        if self.faults.email:
            claims = {"iss": self.origin, "sub": "7", "email": self.faults.email}
            answer["id_token"] = unsigned(claims | {"jti": self.ledger.secret("id")})
        return answer

    def _echo(self, said: str) -> dict[str, str]:
        if not self.faults.echo:
            return {}
        return {"error": said} if self.faults.echo == "code" else {"error_description": said}

    def _elsewhere(self, fault: str) -> Response:
        return RedirectResponse((self.origin if fault == "moved" else self.decoy) + "/moved", 307)

    async def revoke(self, request: Request) -> Response:
        if self.faults.echo:
            return PlainTextResponse(quoted(request, await request.body(), self.faults.echo), 503)
        if self.faults.revocation:
            gone = self.faults.revocation == "absent"
            return PlainTextResponse("No", 404 if gone else 503)
        try:
            form = await form_of(request)
            client_of(request, form, self.ledger)
        except No as no:
            return refusal(no)
        self.counts["revocations"] += 1
        self.ledger.revoke(form.get("token", ""))
        return Response()
