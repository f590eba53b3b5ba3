"""What is said to a sign-in service: registering, the address of its page, codes and tokens (RFC 6749, 7591, 7009)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from mcp.client.auth.utils import create_client_registration_request
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthMetadata, OAuthToken
from pydantic import ValidationError

from webapp.errors import BadReply, Unreachable, UpstreamError
from webapp.upstream import refusals
from webapp.upstream.egress import Egress
from webapp.upstream.exchange import shown_url
from webapp.upstream.failures import explain
from webapp.upstream.scopes import proper

SECONDS = 15.0
MAX_BYTES = 1024 * 1024
END_OF_CALENDAR = 253402300800  # the year 10000
AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")
GRANT_TYPES = ["authorization_code", "refresh_token"]
# OpenID Connect Core §5.1, and what services without id tokens call it.
ACCOUNT_CLAIMS = ("email", "preferred_username", "username", "name", "sub")


# RFC 6750 §2.1, and a little more than that: what fits into a header.
_SENDABLE = re.compile(r"[\x21-\x7e]+")
# RFC 6749 §A.17
_KEEPABLE = re.compile(r"[\x20-\x7e]*")
LONGEST_CLIENT = 2000
# JSON of odd shapes, with numbers beyond all bounds, or nested deeper than Python reads.
NOT_READABLE = (ValueError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class ClientIdentity:
    """Who we are at one sign-in service. `scope` is what it was registered for; empty: anything."""

    client_id: str
    secret: str = field(default="", repr=False)
    auth_method: str = "none"
    secret_expires_at: datetime | None = None
    scope: str = ""


@dataclass(frozen=True)
class Tokens:
    """An answer of a token endpoint. Lifetimes are seconds; `scope` is empty where it is as asked."""

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)
    expires_in: int | None = None
    refresh_expires_in: int | None = None
    scope: str = ""
    account: str = ""
    id_token: str = field(default="", repr=False)


class SignInDesk:
    """One sign-in service as one client sees it. Every connection goes through the server's own guard."""

    def __init__(
        self,
        egress: Egress,
        metadata: OAuthMetadata,
        client: ClientIdentity,
        redirect_uri: str = "",
        *,
        seconds: float = SECONDS,
    ) -> None:
        self._egress = egress
        self._metadata = metadata
        self._client = client
        self._redirect_uri = redirect_uri
        self._seconds = seconds
        self._host = urlsplit(str(metadata.token_endpoint)).hostname or str(metadata.issuer)

    def authorization_url(
        self, *, state: str, verifier: str, scope: str, resource: str = "", **extra: str
    ) -> str:
        """Where the person's browser goes. PKCE is S256 always; empty `scope` and `resource` are left out."""
        extra |= {"resource": resource} if resource else {}
        if "offline_access" in scope.split():
            extra["prompt"] = "consent"  # OpenID Connect Core §11: without it, no refresh token
        return str(
            prepare_grant_uri(
                str(self._metadata.authorization_endpoint),
                self._client.client_id,
                "code",
                redirect_uri=self._redirect_uri,
                scope=scope,
                state=state,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
                **extra,
            )
        )

    async def exchange(self, code: str, verifier: str, resource: str = "") -> Tokens:
        extra = {"resource": resource} if resource else {}
        async with self._asking(code, verifier) as client:
            answer = await client.fetch_token(
                str(self._metadata.token_endpoint),
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
                **extra,
            )
        return self._tokens(answer)

    async def refresh(self, refresh_token: str, resource: str) -> Tokens:
        """`refresh` of the answer is the old one where the service gave no new one (RFC 6749 §6)."""
        extra = {"resource": resource} if resource else {}
        async with self._asking(refresh_token) as client:
            answer = await client.refresh_token(
                str(self._metadata.token_endpoint), refresh_token=refresh_token, **extra
            )
        return self._tokens(answer)

    async def revoke(self, tokens: Tokens) -> bool:
        """RFC 7009, the refresh token first. False where the service offers no revocation."""
        if self._metadata.revocation_endpoint is None:
            return False
        if tokens.refresh:
            await self._revoke(tokens.refresh, "refresh_token")
        try:
            await self._revoke(tokens.access, "access_token")
        except UpstreamError:
            # Some can't take an access token back (RFC 7009 §2.2.1): it ends soon, and nothing renews it.
            if not tokens.refresh:
                raise
        return True

    async def _revoke(self, token: str, hint: str) -> None:
        async with self._asking(token) as client:
            response = await client.revoke_token(
                str(self._metadata.revocation_endpoint), token=token, token_type_hint=hint
            )
        if response.status_code != 200:
            raise Unreachable(
                f"{self._host} answered {response.status_code} when asked to revoke the sign-in.",
                kind="busy",
                next_step="Remove Gatehouse from the account's connected apps there.",
            )

    @asynccontextmanager
    async def _asking(self, *sent: str) -> AsyncIterator[AsyncOAuth2Client]:
        """`sent` are the secrets in the question: a service may quote them in its refusal."""
        try:
            async with self._authlib() as client:
                yield client
        except OAuthError as error:
            own = (*sent, self._client.secret, _basic_pair(self._client.client_id, self._client.secret))
            code, description = (
                refusals.without(own, str(text or "")) for text in (error.error, error.description)
            )
            raise refusals.of_token_endpoint(self._host, code, description) from None
        except httpx2.HTTPStatusError as error:
            raise _trouble(self._host, error.response.status_code) from error
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError) as error:
            raise explain(error, str(self._metadata.token_endpoint)) from error
        except NOT_READABLE as error:
            raise _no_token_answer(self._host) from error

    def _authlib(self) -> AsyncOAuth2Client:
        client = AsyncOAuth2Client(
            self._client.client_id,
            self._client.secret or None,
            token_endpoint_auth_method=self._client.auth_method,
            revocation_endpoint_auth_method=self._client.auth_method,
            redirect_uri=self._redirect_uri,
            transport=self._egress.transport(MAX_BYTES, self._seconds),
            timeout=self._seconds,
            follow_redirects=False,
            trust_env=False,
        )
        client.register_client_auth_method(("client_secret_basic", _basic))
        return client

    def _tokens(self, answer: Mapping[str, Any]) -> Tokens:
        try:
            token = OAuthToken.model_validate(dict(answer))
        except ValidationError as error:
            raise _no_token_answer(self._host) from error
        if not _SENDABLE.fullmatch(token.access_token) or not _KEEPABLE.fullmatch(token.refresh_token or ""):
            raise _no_token_answer(self._host)
        return Tokens(
            token.access_token,
            token.refresh_token or "",
            _seconds(answer.get("expires_in")),
            _seconds(answer.get("refresh_expires_in") or answer.get("refresh_token_expires_in")),
            proper(token.scope or ""),
            account_in(answer),
            answer["id_token"] if isinstance(answer.get("id_token"), str) else "",
        )


async def register(
    egress: Egress, metadata: OAuthMetadata, wanted: OAuthClientMetadata, *, seconds: float = SECONDS
) -> ClientIdentity:
    """RFC 7591. Raises SignInRefused, or BadReply for a registration we can't use."""
    request = create_client_registration_request(metadata, wanted, str(metadata.issuer))
    host = request.url.host
    try:
        async with egress.http(max_bytes=MAX_BYTES, total_seconds=seconds) as http:
            response = await http.send(request)
    except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
        raise explain(error, str(request.url)) from error
    if response.status_code not in (200, 201):
        raise _refused_registration(host, response)
    return _registered(host, response, wanted)


def client_metadata(
    name: str, uri: str, redirect_uri: str, metadata: OAuthMetadata | None = None, scope: str = ""
) -> OAuthClientMetadata:
    """What we say of ourselves. With the service's `metadata`, in a way of signing in that it knows."""
    known = (metadata.token_endpoint_auth_methods_supported if metadata else ["none"]) or [AUTH_METHODS[0]]
    # In the service's order: what it names first works best there.
    on_this_machine = urlsplit(redirect_uri).hostname in ("localhost", "127.0.0.1", "::1")
    return OAuthClientMetadata.model_validate({
        "client_name": name,
        "client_uri": uri or None,
        "redirect_uris": [redirect_uri],
        "grant_types": GRANT_TYPES,
        "token_endpoint_auth_method": next((method for method in known if method in AUTH_METHODS), "none"),
        "application_type": "native" if on_this_machine else "web",
        "scope": scope or None,
    })  # fmt: skip


def usual_auth_method(metadata: OAuthMetadata, secret: str) -> str:
    """For a client that an admin brought along."""
    if not secret:
        return "none"
    known = metadata.token_endpoint_auth_methods_supported or [AUTH_METHODS[0]]
    return next((method for method in known if method in AUTH_METHODS[:2]), AUTH_METHODS[0])


def account_in(answer: Mapping[str, Any]) -> str:
    """Whom the service says has signed in: only shown, so the id token, which came from the service itself over
    TLS, needs no check of its signature (OpenID Connect Core §3.1.3.7 no. 6)."""
    claims = _claims(answer.get("id_token")) or answer
    found = next((claims[name] for name in ACCOUNT_CLAIMS if isinstance(claims.get(name), str)), "")
    return " ".join(str(found).split())[:200]


def _claims(id_token: object) -> dict[str, Any]:
    parts = id_token.split(".") if isinstance(id_token, str) else []
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except NOT_READABLE:
        return {}
    return claims if isinstance(claims, dict) else {}


def _basic(
    client: Any, method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """RFC 6749 §2.3.1: id and secret are form-encoded first. Authlib's own method leaves that out."""
    headers["Authorization"] = f"Basic {_basic_pair(client.client_id, client.client_secret or '')}"
    return uri, headers, body


def _basic_pair(client_id: str, secret: str) -> str:
    return base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def _registered(host: str, response: httpx2.Response, wanted: OAuthClientMetadata) -> ClientIdentity:
    try:
        answer = OAuthClientInformationFull.model_validate_json(response.content)
    except ValidationError as error:
        raise _no_registration(host) from error
    secret = answer.client_secret or ""
    for word in (answer.client_id, secret):
        if len(word) > LONGEST_CLIENT or not word.isprintable():
            raise _no_registration(host)
    method = answer.token_endpoint_auth_method or (AUTH_METHODS[0] if secret else "none")
    if method not in AUTH_METHODS or (method != "none" and not secret):
        raise BadReply(
            f"{host} registered us for a kind of client sign-in that Gatehouse can't do: {method[:40]}.",
            kind="not_mcp",
            next_step="Register an app there by hand and enter its client id and secret.",
        )
    return ClientIdentity(
        answer.client_id,
        secret if method != "none" else "",
        method,
        _moment(answer.client_secret_expires_at) if secret else None,
        wanted.scope or "",
    )


def _no_registration(host: str) -> BadReply:
    return BadReply(
        f"{host} answered our registration with something that is none.",
        kind="not_json",
        next_step="Register an app there by hand and enter its client id.",
    )


def _refused_registration(host: str, response: httpx2.Response) -> UpstreamError:
    if response.status_code == 429 or response.status_code >= 500:
        return _trouble(host, response.status_code)
    try:
        said = response.json()
    except NOT_READABLE:
        said = {}
    said = said if isinstance(said, dict) else {}
    return refusals.of_registration(host, response.status_code, said)


def _trouble(host: str, status: int) -> Unreachable:
    return Unreachable(
        f"The sign-in service {shown_url(host)} answered {status}.",
        kind="busy",
        why="It has a fault, is being restarted, or was asked too often.",
        next_step="Try again later.",
    )


def _no_token_answer(host: str) -> BadReply:
    return BadReply(
        f"{host} answered, but not with a token that can be used.",
        kind="not_json",
        why="The sign-in service has a fault, or something in between answered for it.",
        next_step="Try again; if it stays so, ask whoever runs the service.",
    )


def _moment(timestamp: int | None) -> datetime | None:
    """RFC 7591 §3.2.1: 0 is never; so is what no calendar has."""
    if timestamp is None or not 0 < timestamp < END_OF_CALENDAR:
        return None
    return datetime.fromtimestamp(timestamp, UTC)


def _seconds(value: object) -> int | None:
    """Services send numbers, strings and null; zero and less say nothing."""
    try:
        seconds = int(float(str(value)))
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < 10**9 else None
