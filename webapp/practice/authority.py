"""The make-believe authorization server: Authlib's rules over our ledger. What it hands out is worth nothing."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from typing import Any

from authlib.oauth2 import AuthorizationServer, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.errors import ConsentRequiredError
from authlib.oidc.core.grants import OpenIDCode
from joserfc.jwk import RSAKey
from starlette.datastructures import Headers, ImmutableMultiDict
from starlette.responses import Response

from webapp.practice.addresses import Addresses, with_params
from webapp.practice.issued import ACCOUNT, SCOPES, Client, Code, Grant, Token
from webapp.practice.ledger import Ledger

PLAIN = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
AUTH_METHODS = ["none", "client_secret_basic", "client_secret_post"]


class Payload(BasicOAuth2Payload):  # type: ignore[misc]
    def __init__(self, params: ImmutableMultiDict[str, str]) -> None:
        super().__init__(dict(params))
        self._datalist = {name: params.getlist(name) for name in params}


class Asked(OAuth2Request):  # type: ignore[misc]
    """A request in Authlib's eyes: `params` are those of the query or of the form, whichever counts there."""

    def __init__(self, method: str, url: str, params: ImmutableMultiDict[str, str], headers: Headers) -> None:
        super().__init__(method, url, headers=headers)
        self.payload = Payload(params)

    @property
    def form(self) -> dict[str, str]:
        return dict(self.payload.data)

    def narrowed(self, scope: str) -> Asked:
        """The same request, asking for `scope` only."""
        params = [(name, value) for name, values in self.payload.datalist.items() for value in values]
        kept = [(name, value) for name, value in params if name != "scope"]
        return Asked(self.method, self.uri, ImmutableMultiDict([*kept, ("scope", scope)]), self.headers)


class Authority(AuthorizationServer):  # type: ignore[misc]
    """One for each request: the issuer is the address under which we were asked."""

    def __init__(self, ledger: Ledger, addresses: Addresses) -> None:
        super().__init__(scopes_supported=list(SCOPES))
        self.ledger = ledger
        self.addresses = addresses
        self.register_grant(CodeGrant, [OnlyS256(), OurResource(), NoSilence(), IdToken(self)])
        self.register_grant(RefreshGrant)
        self.register_endpoint(Revocation)

    def query_client(self, client_id: str) -> Client | None:
        return self.ledger.clients.get(client_id)

    def create_oauth2_request(self, request: Asked) -> Asked:
        # Authlib quotes these in its errors, and breaks on what RFC 6749 §5.2 keeps out of them.
        quoted = (
            request.payload.data.get(name, "") for name in ("redirect_uri", "response_type", "grant_type")
        )
        if not all(PLAIN.fullmatch(value) for value in quoted):
            raise InvalidRequestError("The request has characters that do not belong there.")
        return request

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def handle_response(self, status: int, body: Any, headers: Sequence[tuple[str, str]]) -> Response:
        given = dict(headers)
        if "Location" in given:
            # RFC 9207 §2: errors say it too.
            given["Location"] = with_params(given["Location"], iss=self.addresses.issuer)
            return Response(status_code=303, headers=given | {"Cache-Control": "no-store"})
        return Response(json.dumps(body), status, headers=given)

    def generate_token(
        self,
        grant_type: str,
        client: Client,
        user: Any = None,
        scope: str = "",
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> dict[str, Any]:
        token = {
            "token_type": "Bearer",
            "access_token": secrets.token_urlsafe(32),
            "expires_in": self.ledger.token_seconds,
            "scope": scope,
        }
        renews = grant_type == "refresh_token" or "offline_access" in scope.split()
        return token | (
            {"refresh_token": secrets.token_urlsafe(32)} if renews and include_refresh_token else {}
        )

    def save_token(self, token: dict[str, Any], request: Asked) -> None:
        access, refresh = token["access_token"], token.get("refresh_token", "")
        if request.refresh_token:
            self.ledger.renew(request.refresh_token, token["scope"], access, refresh)
        else:
            self.ledger.begin(request.authorization_code.grant, access, refresh)


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def save_authorization_code(self, code: str, request: Asked) -> None:
        asked = request.payload.data
        self.server.ledger.keep_code(
            code,
            Grant(request.client, self.server.addresses.resource, request.scope),
            asked.get("redirect_uri") or request.client.get_default_redirect_uri(),
            asked["code_challenge"],
            asked.get("nonce", ""),
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found: Code | None = self.server.ledger.spend_code(code, client)
        return found

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Spent codes are kept, to notice a second use."""

    def authenticate_user(self, authorization_code: Code) -> dict[str, Any]:
        return ACCOUNT


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def validate_token_request(self) -> None:
        check_resource(self)  # Authlib runs no hooks of this grant
        super().validate_token_request()

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        found: Token | None = self.server.ledger.renewal(refresh_token, self.request.client)
        return found

    def authenticate_user(self, refresh_token: Token) -> dict[str, Any]:
        return ACCOUNT

    def revoke_old_credential(self, refresh_token: Token) -> None:
        """The ledger did, when it kept the new ones."""


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = AUTH_METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
        found: Token | None = self.server.ledger.find(token_string)
        return found

    def revoke_token(self, token: Token, request: Asked) -> None:
        self.server.ledger.revoke(token)


class OnlyS256(CodeChallenge):  # type: ignore[misc]
    """Authlib lets confidential clients do without, and knows `plain`."""

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        asked = grant.request.payload.data
        if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
            raise InvalidRequestError("PKCE with code_challenge_method=S256 is mandatory.")
        super().validate_code_challenge(grant, redirect_uri)


class OurResource:
    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_validate_authorization_request_payload", check_resource)
        grant.register_hook("after_validate_token_request", check_resource)


def check_resource(grant: Any, result: Any = None) -> None:
    """RFC 8707: whoever names a resource, must name ours. There is only one, so it may be left out."""
    ours = grant.server.addresses.resource
    if any(resource != ours for resource in grant.request.payload.datalist.get("resource", [])):
        raise OAuth2Error(error="invalid_target", description=f"The only resource here is {ours}")


class NoSilence:
    """OpenID Connect Core §3.1.2.1: `prompt=none` can't be had where a person is asked each time."""

    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_validate_authorization_request_payload", self.check)

    def check(self, grant: Any, result: Any) -> None:
        if "none" in grant.request.payload.data.get("prompt", "").split():
            raise ConsentRequiredError()


class IdToken(OpenIDCode):  # type: ignore[misc]
    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self._ledger = authority.ledger
        self._issuer = authority.addresses.issuer

    def exists_nonce(self, nonce: str, request: Asked) -> bool:
        return False  # codes are used once, so a nonce can't come twice by way of one

    def resolve_client_private_key(self, client: Client) -> RSAKey:
        return self._ledger.key

    def get_encode_header(self, client: Client) -> dict[str, Any]:
        return {"alg": "RS256", "kid": self._ledger.key.kid}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": self._issuer, "aud": client.client_id}

    def generate_user_info(self, user: dict[str, Any], scope: str) -> dict[str, Any]:
        return user
