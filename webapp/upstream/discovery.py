"""Where to sign in for a server: its metadata (RFC 9728), then the sign-in service's (RFC 8414, OpenID)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import httpx2
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
    get_client_metadata_scopes,
    issuers_match,
)
from mcp.shared.auth import OAuthMetadata, ProtectedResourceMetadata
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from pydantic import BaseModel, ValidationError

from webapp.errors import BadReply, EgressDenied, Unreachable, UpstreamError
from webapp.upstream.egress import Egress
from webapp.upstream.exchange import CONNECT_SECONDS, shown_url
from webapp.upstream.failures import explain
from webapp.upstream.scopes import proper

AT_ROOT = "/.well-known/oauth-protected-resource"
MAX_REDIRECTS = 3
MAX_SERVICES = 3
MAX_BYTES = 1024 * 1024
# What only we may say on that page (RFC 6749 §3.1 forbids it twice; RFC 9101 §5 would say it in our stead).
OURS = frozenset({
    "client_id", "redirect_uri", "response_type", "scope", "state", "resource", "code_challenge",
    "code_challenge_method", "request", "request_uri",
})  # fmt: skip
ANOTHER_WAY = "Tell whoever runs the server, or use a token instead."

Registration = Literal["cimd", "dcr", "manual"]
Document = TypeVar("Document", bound=BaseModel)


@dataclass(frozen=True)
class SignInService:
    """`resource_metadata` is None under the rules of 2025-03-26, where service and server share a host."""

    resource: str
    scope: str
    metadata: OAuthMetadata
    resource_metadata: ProtectedResourceMetadata | None

    @property
    def issuer(self) -> str:
        return str(self.metadata.issuer)

    @property
    def host(self) -> str:
        return urlsplit(str(self.metadata.authorization_endpoint)).hostname or self.issuer

    @property
    def pkce(self) -> bool:
        return "S256" in (self.metadata.code_challenge_methods_supported or [])

    @property
    def silent_on_pkce(self) -> bool:
        """Some that support it don't say so, Microsoft's among them."""
        return self.metadata.code_challenge_methods_supported is None

    @property
    def registers_clients(self) -> bool:
        return self.metadata.registration_endpoint is not None

    @property
    def registration(self) -> Registration:
        """The best way for a gateway with a public https address; without one, `cimd` is not open to it."""
        if self.metadata.client_id_metadata_document_supported:
            return "cimd"
        return "dcr" if self.registers_clients else "manual"

    def as_dict(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "resource": self.resource,
            "scope": self.scope,
            "registration": self.registration,
            "dcr": self.registers_clients,
            "pkce": self.pkce,
            "authorization_server": self.issuer,
            "authorization_endpoint": str(self.metadata.authorization_endpoint),
            "token_endpoint": str(self.metadata.token_endpoint),
            "announced": self.resource_metadata is not None,
        }


@dataclass(frozen=True)
class Look:
    """One document that was asked for: where, and what came back in a few words."""

    url: str
    said: str
    fault: str = ""

    @property
    def words(self) -> str:
        return f"GET {shown_url(self.url)} → {self.said}{', but ' if self.fault else ''}{self.fault}"


class AnotherResource(BadReply):
    """The document is kept for a look at it; a sign-in must not go by it."""

    def __init__(self, document: ProtectedResourceMetadata) -> None:
        super().__init__(
            f"The server's sign-in data is about another server: {shown_url(str(document.resource))}.",
            kind="not_mcp",
            why="A token made for that server must not be shown to this one.",
            next_step=f"Check the Server URL. {ANOTHER_WAY}",
        )
        self.document = document


class UnencryptedPage(EgressDenied):
    """We don't go there, the admin's browser does: with a password."""

    def __init__(self, page: str, denied: EgressDenied) -> None:
        super().__init__(
            f"The sign-in page {shown_url(page)} is not encrypted.",
            kind=denied.kind,
            host=denied.host,
            port=denied.port,
            next_step=ANOTHER_WAY,
        )


class Discovery:
    """Every look-up goes through one server's guard, so its documents lead nowhere it may not go itself."""

    def __init__(
        self,
        egress: Egress,
        http: httpx2.AsyncClient,
        *,
        seconds: float = CONNECT_SECONDS,
        preferred: str = "",
    ) -> None:
        """`preferred` is the issuer used so far: it stays while the server still names it."""
        self._egress = egress
        self._http = http
        self._seconds = seconds
        self._preferred = preferred
        self._looks: list[Look] = []

    def looks(self) -> list[Look]:
        """Which documents were asked for since the last time, in order, whatever came of it."""
        taken, self._looks = self._looks, []
        return taken

    async def sign_in_service(
        self, server_url: str, challenge: str = "", *, guess: bool = False
    ) -> SignInService | None:
        """None where nothing is published, unless an admin ordered to `guess`.

        Raises an UpstreamError where something is published, but can't be used.
        """
        resource = await self.resource_metadata(server_url, challenge)
        if resource is not None:
            return await self._first_usable(server_url, challenge, resource)
        service = await self.service_of_2025_03_26(server_url, challenge)
        if service is None and guess:
            return self.usual_endpoints(server_url, challenge)
        if service is None and (named := named_in(challenge)):
            raise nothing_at(named)
        return service

    async def resource_metadata(
        self, server_url: str, challenge: str = ""
    ) -> ProtectedResourceMetadata | None:
        named = named_in(challenge)
        for url in dict.fromkeys(build_protected_resource_metadata_discovery_urls(named, server_url)):
            document = await self._document(url, ProtectedResourceMetadata)
            if document is None:
                continue
            if check_resource_allowed(resource_url_from_server_url(server_url), str(document.resource)):
                return document
            # The root may describe a neighbour; what stands in the server's own place must be about the server.
            if url == named or not url.endswith(AT_ROOT):
                raise AnotherResource(document)
            self._looks[-1] = replace(self._looks[-1], said=f"{self._looks[-1].said}, about another server")
        return None

    async def _first_usable(
        self, server_url: str, challenge: str, resource: ProtectedResourceMetadata
    ) -> SignInService:
        refusals: list[UpstreamError] = []
        for issuer in self.issuers(resource):
            try:
                return await self.service_at(issuer, challenge, resource)
            except UpstreamError as error:
                refusals.append(error)
                if isinstance(error, Unreachable) and self.is_preferred(issuer):
                    break
        raise refusals[0]

    def issuers(self, resource: ProtectedResourceMetadata) -> list[str]:
        """The sign-in services that the server names, the preferred one first."""
        named = map(str, resource.authorization_servers)
        return sorted(named, key=lambda issuer: not self.is_preferred(issuer))[:MAX_SERVICES]

    def is_preferred(self, issuer: str) -> bool:
        """Nobody is sent to another service just because their own is down for a while."""
        return bool(self._preferred) and issuers_match(issuer, self._preferred)

    async def service_at(
        self, issuer: str, challenge: str, resource: ProtectedResourceMetadata
    ) -> SignInService:
        """Raises an UpstreamError where it can't be used."""
        metadata = await self.service_metadata(issuer)
        self._check_endpoints(metadata)
        scope = _scope(challenge, resource, metadata)
        return SignInService(str(resource.resource), scope, metadata, resource)

    async def service_metadata(self, issuer: str) -> OAuthMetadata:
        before = len(self._looks)
        for url in build_oauth_authorization_server_metadata_discovery_urls(issuer, issuer):
            metadata = await self._document(url, OAuthMetadata)
            if metadata is None:
                continue
            if not issuers_match(str(metadata.issuer), issuer):
                raise _another_issuer(issuer, str(metadata.issuer))
            return metadata
        unusable = next((look.fault for look in self._looks[before:] if look.fault), "")
        raise BadReply(
            f"The server names {shown_url(issuer)} for its sign-in, which does not describe itself.",
            kind="not_mcp",
            why=f"What is published there can’t be used: {unusable}."
            if unusable
            else "Neither OAuth nor OpenID metadata is published there.",
            next_step=ANOTHER_WAY,
        )

    async def service_of_2025_03_26(self, server_url: str, challenge: str) -> SignInService | None:
        origin = origin_of(server_url)
        for url in build_oauth_authorization_server_metadata_discovery_urls(None, server_url):
            metadata = await self._document(url, OAuthMetadata)
            if metadata is None:
                continue
            if not issuers_match(str(metadata.issuer), origin):
                raise _another_issuer(origin, str(metadata.issuer))
            self._check_endpoints(metadata)
            resource = resource_url_from_server_url(server_url)
            return SignInService(resource, _scope(challenge, None, metadata), metadata, None)
        return None

    def usual_endpoints(self, server_url: str, challenge: str = "") -> SignInService:
        """Where servers of 2025-03-26 without metadata have them (§2.3.3 of that version). A guess: nothing here
        was announced, and only an admin may order it."""
        origin = origin_of(server_url)
        metadata = OAuthMetadata.model_validate({
            "issuer": origin,
            "authorization_endpoint": f"{origin}/authorize",
            "token_endpoint": f"{origin}/token",
            "registration_endpoint": f"{origin}/register",
            "code_challenge_methods_supported": ["S256"],
        })  # fmt: skip
        self._check_endpoints(metadata)
        return SignInService(
            resource_url_from_server_url(server_url), _scope(challenge, None, metadata), metadata, None
        )

    def _check_endpoints(self, metadata: OAuthMetadata) -> None:
        """We call all but the first. That one is for the admin's browser: it has to be encrypted and plain."""
        page = metadata.authorization_endpoint
        if page.username or page.password:
            raise _hidden_login(page.host or "")
        if taken := OURS.intersection(name for name, _ in page.query_params()):
            raise _words_in_our_mouth(page.host or "", sorted(taken))
        if page.scheme != "https":
            self._check_in_the_clear(str(page))
        for endpoint in (
            metadata.token_endpoint, metadata.registration_endpoint, metadata.revocation_endpoint
        ):  # fmt: skip
            if endpoint is not None:
                self._egress.check_url(str(endpoint))

    def _check_in_the_clear(self, page: str) -> None:
        """Only where an admin allowed http:// to this very place."""
        try:
            self._egress.check_url(page)
        except EgressDenied as error:
            if error.kind == "scheme":
                raise UnencryptedPage(page, error) from error
            raise

    async def _document(self, url: str, model: type[Document]) -> Document | None:
        """None where there is no such document. Raises for a server in trouble (429, 5xx): it did not say."""
        response = await self._get(url)
        if response.status_code == 429 or response.status_code >= 500:
            self._looked(url, response)
            raise Unreachable(
                f"{shown_url(url)} answered {response.status_code} when asked how to sign in.",
                kind="busy",
                next_step="Try again later.",
            )
        if response.status_code != 200:
            self._looked(url, response)
            return None
        try:
            document = model.model_validate_json(response.content)
        except ValidationError as error:
            self._looked(url, response, fault=_faults(error))
            return None
        self._looked(url, response)
        return document

    def _looked(self, url: str, response: httpx2.Response, fault: str = "") -> None:
        self._looks.append(Look(url, _status(response), fault))

    async def _get(self, url: str) -> httpx2.Response:
        """Follows redirects inside the origin only: often a slash more or less."""
        asked = url
        try:
            for _ in range(MAX_REDIRECTS):
                response = await self._http.get(
                    url,
                    headers={"accept": "application/json"},
                    timeout=httpx2.Timeout(self._seconds, connect=min(self._seconds, CONNECT_SECONDS)),
                    extensions={"total_seconds": self._seconds, "max_bytes": MAX_BYTES},
                )
                target = response.next_request
                if target is None or origin_of(str(target.url)) != origin_of(url):
                    break
                url = str(target.url)
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError) as error:
            explained = explain(error, url)
            self._looks.append(
                Look(asked, "not asked" if isinstance(explained, EgressDenied) else "no answer")
            )
            raise explained from error
        return response


def named_in(challenge: str) -> str:
    """Where a challenge says that the server's metadata is; empty where it doesn't."""
    return extract_resource_metadata_from_www_auth(as_response(challenge)) or ""


def nothing_at(named: str) -> BadReply:
    return BadReply(
        f"The server names {shown_url(named)} for its sign-in, but nothing can be read there.",
        kind="not_mcp",
        next_step=ANOTHER_WAY,
    )


def origin_of(url: str) -> str:
    parts = httpx2.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode('ascii')}"


def as_response(challenge: str) -> httpx2.Response:
    """The SDK reads challenges off a response."""
    return httpx2.Response(401, headers={"www-authenticate": challenge})


def _scope(challenge: str, resource: ProtectedResourceMetadata | None, metadata: OAuthMetadata) -> str:
    asked = extract_scope_from_www_auth(as_response(challenge))
    if asked is None and (resource is None or resource.scopes_supported is None):
        # The SDK would ask for everything the service knows; the specification says to leave it out.
        return ""
    grants = ["authorization_code", "refresh_token"]
    return proper(get_client_metadata_scopes(asked, resource, metadata, grants) or "")


def _status(response: httpx2.Response) -> str:
    try:
        said = f"{response.status_code} {HTTPStatus(response.status_code).phrase}"
    except ValueError:
        said = str(response.status_code)
    target = response.next_request
    return said if target is None else f"{said}, on to {shown_url(str(target.url))}"


def _faults(error: ValidationError) -> str:
    """Which fields, never what is in them."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "it is not JSON"
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"{field} is missing"
    return f"{field} is not usable" if field else "it is not an object"


def _hidden_login(host: str) -> BadReply:
    return BadReply(
        f"The address of the sign-in page at {host} has a user name or password in it.",
        kind="not_mcp",
        why="Such addresses are made to look like others.",
        next_step=ANOTHER_WAY,
    )


def _words_in_our_mouth(host: str, names: list[str]) -> BadReply:
    return BadReply(
        f"The address of the sign-in page at {host} already has {', '.join(names)} in it.",
        kind="not_mcp",
        why="Only Gatehouse may say that: you would be asked to allow something else than you are told here.",
        next_step=ANOTHER_WAY,
    )


def _another_issuer(expected: str, found: str) -> BadReply:
    return BadReply(
        f"The sign-in service at {shown_url(expected)} calls itself {shown_url(found)}.",
        kind="not_mcp",
        why="One of the two is not what it seems, so the standard says to stop here.",
        next_step=ANOTHER_WAY,
    )
