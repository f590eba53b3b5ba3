"""An OpenID Connect provider: what it publishes, its page, and who it says has signed in there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from mcp.shared.auth import OAuthMetadata
from pydantic import ValidationError

from webapp.errors import BadReply, Unreachable
from webapp.upstream import id_tokens, strict
from webapp.upstream.discovery import OURS
from webapp.upstream.egress import Egress
from webapp.upstream.exchange import shown_url
from webapp.upstream.failures import explain
from webapp.upstream.id_tokens import Wanted
from webapp.upstream.oauth import NOT_READABLE, ClientIdentity, SignInDesk, usual_auth_method

WELL_KNOWN = "/.well-known/openid-configuration"
MAX_BYTES = 1024 * 1024
SECONDS = 10.0
# What we go by; nothing else of the document is kept.
NEEDED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
KEPT = (*NEEDED, "token_endpoint_auth_methods_supported", "authorization_response_iss_parameter_supported")
ASK = "Tell whoever looks after the provider."


@dataclass(frozen=True)
class Question:
    """What is asked of one person, once."""

    state: str
    verifier: str
    nonce: str
    scope: str
    afresh: bool = False  # they are to show who they are again, though the provider may know them


async def discover(egress: Egress, issuer: str) -> dict[str, Any]:
    """What is needed of its document (OpenID Connect Discovery §4). Raises an UpstreamError."""
    address = issuer.rstrip("/") + WELL_KNOWN
    document = await _json(egress, address)
    if document.get("issuer") != issuer:
        raise BadReply(
            f"{shown_url(address)} is about another issuer: {str(document.get('issuer'))[:200]}.",
            kind="not_mcp", why="Its answers would be about other people, or about none.",
            next_step="An admin sets the issuer letter by letter as the provider writes it.",
        )  # fmt: skip
    if missing := [name for name in NEEDED if not isinstance(document.get(name), str)]:
        raise BadReply(f"{shown_url(address)} names no {missing[0]}.", kind="not_mcp", next_step=ASK)
    _check_page(egress, document["authorization_endpoint"])
    for name in ("token_endpoint", "jwks_uri"):
        egress.check_url(document[name])
    return {name: document[name] for name in KEPT if name in document}


def _check_page(egress: Egress, page: str) -> None:
    """For the person's browser: encrypted, and without words that only we may say there."""
    egress.check_url(page)
    if OURS & {name for name, _ in parse_qsl(urlsplit(page).query, keep_blank_values=True)}:
        raise BadReply("The provider’s page has our own parameters in it.", kind="not_mcp", next_step=ASK)


@dataclass(frozen=True)
class Desk:
    """One provider as one app sees it. `published` is what `discover` found."""

    egress: Egress
    published: Mapping[str, Any]
    client_id: str
    client_secret: str
    redirect_uri: str

    def page(self, question: Question) -> str:
        """Where the person's browser goes. `max_age=0` makes the provider say when they showed who they are."""
        afresh = {"prompt": "login", "max_age": "0"} if question.afresh else {}
        return self._desk().authorization_url(
            state=question.state,
            verifier=question.verifier,
            scope=question.scope,
            nonce=question.nonce,
            **afresh,
        )

    async def claims(self, code: str, verifier: str, nonce: str) -> dict[str, Any]:
        """The ID token's, checked. The access token is dropped, and the keys are fetched each time: a key that
        the provider took back is none from then on. Raises an UpstreamError."""
        tokens = await self._desk().exchange(code, verifier)
        if not tokens.id_token:
            raise BadReply(
                f"{self._host} signed you in, but does not say as whom.",
                kind="not_mcp", why="Its answer has no ID token.", next_step=ASK,
            )  # fmt: skip
        keys = await _json(self.egress, self.published["jwks_uri"])
        wanted = Wanted(self.published["issuer"], self.client_id, nonce, tokens.access)
        return id_tokens.claims_of(tokens.id_token, keys, wanted)

    @property
    def _host(self) -> str:
        return urlsplit(self.published["token_endpoint"]).hostname or "The provider"

    def _desk(self) -> SignInDesk:
        metadata = self._metadata()
        method = usual_auth_method(metadata, self.client_secret)
        client = ClientIdentity(self.client_id, self.client_secret, method)
        return SignInDesk(self.egress, metadata, client, self.redirect_uri, seconds=SECONDS)

    def _metadata(self) -> OAuthMetadata:
        try:
            return OAuthMetadata.model_validate(dict(self.published))
        except ValidationError as error:
            raise _unreadable(self.published["issuer"]) from error


async def _json(egress: Egress, url: str) -> dict[str, Any]:
    try:
        async with egress.http(max_bytes=MAX_BYTES, total_seconds=SECONDS) as http:
            response = await http.get(url, headers={"Accept": "application/json"})
    except BadReply as odd:  # too large, too slow or compressed
        why = "What a provider publishes is short; something in between may have answered."
        raise BadReply(odd.what, kind=odd.kind, why=why, next_step=ASK) from odd
    except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError) as error:
        raise explain(error, url) from error
    if response.status_code != 200:
        raise Unreachable(
            f"{shown_url(url)} answered {response.status_code}.", kind="busy",
            why="The address of the provider is wrong, or it has a fault.", next_step="Try again later.",
        )  # fmt: skip
    try:
        document = strict.decoded(response.content)
    except NOT_READABLE as error:
        raise _unreadable(url) from error
    if not isinstance(document, dict):
        raise _unreadable(url)
    return document


def _unreadable(url: str) -> BadReply:
    return BadReply(f"What {shown_url(url)} answered can’t be read.", kind="not_json", next_step=ASK)
