"""What a server and its sign-in service publish about signing in, looked up and told line by line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mcp.shared.auth import ProtectedResourceMetadata

from webapp.errors import EgressDenied, Unreachable, UpstreamError
from webapp.upstream.discovery import (
    ANOTHER_WAY,
    AnotherResource,
    Discovery,
    Look,
    SignInService,
    UnencryptedPage,
    named_in,
    nothing_at,
)
from webapp.upstream.egress import Allowance, private_offer
from webapp.upstream.exchange import shown_url
from webapp.upstream.findings import Finding, State, Step, Switch, fact, problem
from webapp.upstream.visit import Visit

NO_OAUTH = "Its host publishes nothing about a sign-in in the browser (OAuth) either."


@dataclass(frozen=True)
class Published:
    """Where to sign in, if anywhere. `error` is why what is announced can't be used; `offer` would help."""

    service: SignInService | None = None
    error: UpstreamError | None = None
    offer: Allowance | None = None
    looks: tuple[Look, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return self.service.as_dict() if self.service else {}


async def look_up(
    visit: Visit, challenge: str, *, unusable: State = "problem", only_announced: bool = False
) -> Published:
    """`unusable` is how bad it is where what is published can't be used.

    With `only_announced` nothing is said of a server that publishes nothing, and no other place is tried.
    """
    tale = _Tale(visit, visit.discovery, challenge, unusable)
    try:
        resource = await tale.discovery.resource_metadata(visit.url, challenge)
    except AnotherResource as error:
        refused = await tale.refuse("resource_metadata", error, _resource_facts(error.document))
        await tale.services(error.document, in_vain=True)
        return refused
    except UpstreamError as error:
        return await tale.refuse("resource_metadata", error)
    if resource is not None:
        text = "The server says where to sign in to it."
        seen = _lines(tale.discovery.looks(), _resource_facts(resource))
        visit.say("resource_metadata", "ok", text, seen=seen)
        return await tale.services(resource)
    if only_announced:
        return Published(looks=tuple(tale.discovery.looks()))
    return await tale.without_resource_metadata()


@dataclass(frozen=True)
class _Tale:
    visit: Visit
    discovery: Discovery
    challenge: str
    unusable: State

    async def services(self, resource: ProtectedResourceMetadata, *, in_vain: bool = False) -> Published:
        """`in_vain`: a look for the record, as the document that names them can't be gone by."""
        refused: list[tuple[UpstreamError, list[Look]]] = []
        found: SignInService | None = None
        for issuer in self.discovery.issuers(resource):
            try:
                found = await self.discovery.service_at(issuer, self.challenge, resource)
                break
            except UpstreamError as error:
                refused.append((error, self.discovery.looks()))
                if isinstance(error, Unreachable) and self.discovery.is_preferred(issuer):
                    break
        looks = self.discovery.looks()
        unusable: State = "note" if found or in_vain else self.unusable
        told = [
            await self._tell("service_metadata", error, _lines(seen), unusable) for error, seen in refused
        ]
        if found is None:
            return told[0]
        self._say_service(found, looks, in_vain=in_vain)
        return Published(found)

    async def without_resource_metadata(self) -> Published:
        looks, named = self.discovery.looks(), named_in(self.challenge)
        try:
            service = await self.discovery.service_of_2025_03_26(self.visit.url, self.challenge)
            guessed = service is None and self.visit.known.old_endpoints
            if guessed:
                service = self.discovery.usual_endpoints(self.visit.url, self.challenge)
        except UpstreamError as error:
            self._say_no_resource(looks)
            return await self.refuse("service_metadata", error)
        if named and service is None:
            missing = nothing_at(named)
            finding = problem(missing, step="resource_metadata", seen=_lines(looks))
            self.visit.add(replace(finding, state=self.unusable, switch="old_endpoints"))
            return Published(error=missing)
        self._say_no_resource(looks, switch="" if service else "old_endpoints")
        looks = self.discovery.looks()
        if service is None:
            self.visit.say("service_metadata", "info", NO_OAUTH, seen=_lines(looks))
        else:
            self._say_service(service, looks, guessed=guessed)
        return Published(service)

    async def refuse(self, step: Step, error: UpstreamError, facts: Iterable[str] = ()) -> Published:
        return await self._tell(step, error, _lines(self.discovery.looks(), facts), self.unusable)

    async def _tell(self, step: Step, error: UpstreamError, seen: str, state: State) -> Published:
        offer = await _own_service(self.visit, error)
        self.visit.add(_unusable(step, error, state, seen, offered=offer is not None))
        return Published(error=error, offer=offer)

    def _say_no_resource(self, looks: list[Look], switch: Switch = "") -> None:
        self.visit.say(
            "resource_metadata",
            "info",
            "The server publishes no resource metadata (RFC 9728).",
            why="Servers older than June 2025 have none, nor have those that want a token.",
            seen=_lines(looks),
            switch=switch,
        )

    def _say_service(
        self, service: SignInService, looks: list[Look], *, in_vain: bool = False, guessed: bool = False
    ) -> None:
        seen = _lines(looks, _service_facts(service))
        if in_vain:
            text = f"The sign-in service at {service.host} is in order, but can’t be used for this server."
            self.visit.say("service_metadata", "info", text, seen=seen)
            return
        text = f"You sign in at {service.host} (OAuth)."
        if guessed:
            why = "Nothing is published; an admin chose the usual addresses of old servers under Advanced."
            self.visit.say("service_metadata", "note", text, why=why, seen=seen)
        else:
            self.visit.say("service_metadata", "ok", text, seen=seen)
        if not service.pkce:
            self.visit.add(_no_pkce(service, self.unusable, accepted=self.visit.known.pkce_unannounced))


def _no_pkce(service: SignInService, state: State, *, accepted: bool) -> Finding:
    seen = fact("code_challenge_methods_supported", _methods(service))
    if not service.silent_on_pkce:
        return Finding(
            "service_metadata",
            state,
            "The sign-in service does not offer PKCE (S256).",
            "Without it a stolen sign-in code is of use to others, so the MCP standard says to stop.",
            "Ask the vendor, or use an API token instead.",
            seen,
        )
    if accepted:
        return Finding(
            "service_metadata",
            "note",
            "The sign-in service does not say that it offers PKCE (S256); Gatehouse goes on all the same.",
            "An admin has set so under Advanced.",
            seen=seen,
        )
    return Finding(
        "service_metadata",
        state,
        "The sign-in service does not offer PKCE (S256), or does not say so.",
        "Without it a stolen sign-in code is of use to others, so the MCP standard says to stop.",
        "Ask the vendor. If it is known to support PKCE, say so under Advanced, or use an API token instead.",
        seen,
        switch="pkce_unannounced",
    )


async def _own_service(visit: Visit, error: UpstreamError) -> Allowance | None:
    """A server in the own network may have its sign-in service there too. One from outside is offered no way in."""
    if not isinstance(error, EgressDenied) or not visit.egress.has_exceptions:
        return None
    if error.kind != "scheme":
        return private_offer(error, cleartext=error.cleartext)
    try:
        await visit.egress.addresses(error.host, error.port, visit.seconds)
    except EgressDenied as refused:
        return private_offer(refused, cleartext=True)
    except Unreachable:
        return None
    return None  # a public place, which http:// is never good enough for


def _unusable(step: Step, error: UpstreamError, state: State, seen: str, *, offered: bool) -> Finding:
    if not isinstance(error, EgressDenied):
        return Finding(step, state, error.what, error.why, error.next_step, seen)
    seen = f"{seen}\n{error.address or error.host}".strip()
    if offered:
        text = f"The server’s sign-in service is in your own network too. {error.what}"
        return Finding(step, state, text, "", "If it is yours, allow exactly this address.", seen)
    if isinstance(error, UnencryptedPage):
        why = "Whoever sits in between could read the password that is typed there."
        return Finding(step, state, error.what, why, error.next_step, seen)
    return Finding(
        step,
        state,
        f"The server's sign-in data points to a place where Gatehouse does not go. {error.what}",
        "A server must not be able to send us into your network, or into other people's.",
        ANOTHER_WAY,
        seen,
    )


def _resource_facts(document: ProtectedResourceMetadata) -> list[str]:
    servers = " ".join(shown_url(str(server)) for server in document.authorization_servers)
    facts = [fact("resource", shown_url(str(document.resource))), fact("authorization_servers", servers)]
    if document.scopes_supported is not None:
        facts.append(fact("scopes_supported", " ".join(document.scopes_supported)))
    return facts


def _service_facts(service: SignInService) -> list[str]:
    metadata = service.metadata
    registers = shown_url(str(metadata.registration_endpoint)) if metadata.registration_endpoint else "no"
    by_document = "yes" if metadata.client_id_metadata_document_supported else "no"
    return [
        fact("issuer", shown_url(service.issuer)),
        fact("authorization_endpoint", shown_url(str(metadata.authorization_endpoint))),
        fact("token_endpoint", shown_url(str(metadata.token_endpoint))),
        fact("registration_endpoint", registers),
        fact("client_id_metadata_document_supported", by_document),
        fact("code_challenge_methods_supported", _methods(service)),
        fact("scope we ask for", service.scope or "none"),
    ]


def _methods(service: SignInService) -> str:
    if service.silent_on_pkce:
        return "not said"
    return " ".join(service.metadata.code_challenge_methods_supported or []) or "none"


def _lines(looks: Iterable[Look], facts: Iterable[str] = ()) -> str:
    return "\n".join(dict.fromkeys([*(look.words for look in looks), *facts]))
