"""Which kind of sign-in a server wants, told from its refusal and from what it publishes."""

from __future__ import annotations

import re
from http import HTTPStatus

from webapp.errors import EgressDenied, Unreachable, UpstreamError
from webapp.upstream.discovery import ANOTHER_WAY, SignInService
from webapp.upstream.egress import Allowance, private_offer
from webapp.upstream.exchange import Reply, shown_url
from webapp.upstream.findings import Finding, Verdict, Wanted, problem
from webapp.upstream.visit import Visit

PASTE_TOKEN = "Paste a token or an API key of the vendor, or give the header the vendor's manual names."
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9_-]*)(?=\s+[^=\s,]|\s*(?:,|$))")


async def walled(visit: Visit, reply: Reply) -> Verdict | None:
    """The verdict on a server that will not talk to us before a sign-in, or at all; None for any other."""
    if reply.status == HTTPStatus.FORBIDDEN and not reply.challenge:
        return _blocked(visit, reply)
    if not is_wall(reply):
        return None
    text = "There is a server, but what it speaks shows only after the sign-in."
    visit.say("protocol", "note", text, seen=reply.status_words)
    return visit.verdict("modern", await wanted(visit, reply.status, reply.challenge))


def is_wall(reply: Reply) -> bool:
    if reply.status == HTTPStatus.FORBIDDEN:
        return bool(reply.challenge)
    return reply.status == HTTPStatus.UNAUTHORIZED


async def wanted(visit: Visit, status: int, challenge: str) -> Wanted:
    """What a 401, or a 403 with a challenge, asks for."""
    if visit.headers:
        _say_refused(visit, status)
    try:
        service = await visit.discovery.sign_in_service(visit.url, challenge)
    except UpstreamError as error:
        offer = await _own_service(visit, error)
        visit.add(_unusable(error, offer is not None))
        announced = "resource_metadata" in challenge or not isinstance(error, Unreachable)
        return Wanted("oauth" if announced else "unknown", offer=offer)
    if service is not None:
        _say_service(visit, service)
        return Wanted("oauth", service.as_dict())
    schemes = {scheme.lower() for scheme in _SCHEME.findall(challenge)}
    if "basic" in schemes and "bearer" not in schemes:
        text = "The server wants a user name and a password."
        visit.say(
            "sign_in", "note", text, next_step="Enter them in the next step.", seen="WWW-Authenticate: Basic"
        )
        return Wanted("basic")
    visit.say(
        "sign_in",
        "note",
        "The server wants a token.",
        why="It publishes nothing about a sign-in in the browser (OAuth).",
        next_step=PASTE_TOKEN,
        seen=f"HTTP {status}",
    )
    return Wanted("bearer")


async def published(visit: Visit) -> Wanted:
    """Some servers look at the token only inside a tool. What they publish gives them away."""
    try:
        if await visit.discovery.resource_metadata(visit.url) is None:
            return Wanted("none")
        service = await visit.discovery.sign_in_service(visit.url)
    except UpstreamError as error:
        text = "What the server publishes about a sign-in could not be read, but it answers without one."
        visit.say("sign_in", "note", text, why=error.what)
        return Wanted("none")
    if service is None:
        return Wanted("none")
    visit.say(
        "sign_in",
        "note",
        "The server answers without a sign-in, but offers one; some of its tools may need it.",
        next_step="Sign in now, or later when a tool asks for it.",
    )
    _say_service(visit, service)
    return Wanted("oauth_late", service.as_dict())


def _say_refused(visit: Visit, status: int) -> None:
    visit.say(
        "sign_in",
        "problem",
        "The server does not accept these credentials.",
        why="They may be mistyped, expired, or meant for another header.",
        next_step="Enter them again, or get new ones from the vendor.",
        seen=f"HTTP {status}",
    )


def _blocked(visit: Visit, reply: Reply) -> Verdict:
    cloudflare = "cf-mitigated" in reply.headers or "cloudflare" in reply.headers.get("server", "").lower()
    why = "It lets only certain addresses in, or wants a key in a header of its own."
    if cloudflare:
        why = "Cloudflare, which guards the server, takes us for a robot; the vendor can let this machine in."
    if visit.headers:
        why = f"These credentials may lack a permission, or be meant for another header. {why}"
    visit.say(
        "sign_in",
        "problem",
        "The server refuses us without saying how to sign in.",
        why=why,
        next_step="If the vendor gave you a key, enter it with the header the vendor names.",
        seen=reply.status_words,
    )
    return visit.verdict("blocked")


def _say_service(visit: Visit, service: SignInService) -> None:
    seen = shown_url(service.issuer)
    visit.say("sign_in", "ok", f"You sign in at {service.host} (OAuth).", seen=seen)
    if not service.pkce:
        visit.say(
            "sign_in",
            "problem",
            "The sign-in service does not offer PKCE (S256).",
            why="Without it a stolen sign-in code is of use to others, so the MCP standard says to stop.",
            next_step="Ask the vendor, or use an API token instead.",
            seen=seen,
        )
    visit.add(_registration(service))


def _registration(service: SignInService) -> Finding:
    if service.registration == "cimd":
        or_else = "; where that can't be, Gatehouse registers itself" if service.registers_clients else ""
        return Finding(
            "sign_in", "ok", f"Gatehouse introduces itself there with a document of its own{or_else}."
        )
    if service.registration == "dcr":
        return Finding("sign_in", "ok", "Gatehouse registers itself there; nothing to prepare.")
    return Finding(
        "sign_in",
        "note",
        "The sign-in service wants a client id, as it knows no automatic registration.",
        next_step=f"Create an app at {service.host} with our return address, then enter its id and secret.",
    )


async def _own_service(visit: Visit, error: UpstreamError) -> Allowance | None:
    """A server in the own network may have its sign-in service there too. One from outside is offered no way in."""
    if not isinstance(error, EgressDenied) or not visit.egress.has_exceptions:
        return None
    if error.kind != "scheme":
        return private_offer(error, cleartext=False)
    try:
        await visit.egress.addresses(error.host, error.port, visit.seconds)
    except EgressDenied as refused:
        return private_offer(refused, cleartext=True)
    except Unreachable:
        return None
    return None  # a public place, which http:// is never good enough for


def _unusable(error: UpstreamError, offered: bool) -> Finding:
    if not isinstance(error, EgressDenied):
        return problem(error, step="sign_in")
    if offered:
        return Finding(
            "sign_in",
            "problem",
            f"The server’s sign-in service is in your own network too. {error.what}",
            next_step="If it is yours, allow exactly this address.",
            seen=error.address or error.host,
        )
    return Finding(
        "sign_in",
        "problem",
        f"The server's sign-in data points to a place where Gatehouse does not go. {error.what}",
        why="A server must not be able to send us into your network, or into other people's.",
        next_step=ANOTHER_WAY,
        seen=error.address or error.host,
    )
