"""Which kind of sign-in a server wants, told from its refusal and from what it publishes."""

from __future__ import annotations

import re
from http import HTTPStatus

from mcp.client.auth.utils import extract_field_from_www_auth

from webapp.errors import Unreachable
from webapp.upstream import documents
from webapp.upstream.discovery import as_response, named_in
from webapp.upstream.exchange import Reply, shown_url
from webapp.upstream.findings import Verdict, Wanted, fact
from webapp.upstream.visit import Visit

ASKS = "The server asks for a sign-in."
PASTE_TOKEN = "Paste a token or an API key of the vendor, or give the header the vendor's manual names."
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9_-]*)(?=\s+[^=\s,]|\s*(?:,|$))")


async def walled(visit: Visit, reply: Reply) -> Verdict | None:
    """The verdict on a server that will not talk to us before a sign-in, or at all; None for any other."""
    if reply.status == HTTPStatus.FORBIDDEN and not reply.challenge:
        return _blocked(visit, reply)
    if not is_wall(reply):
        return None
    text = "There is a server, but what it speaks shows only after the sign-in."
    visit.say("protocol", "info", text, seen=reply.status_words)
    verdict = visit.verdict("modern", await wanted(visit, reply.status, reply.challenge))
    visit.say("tools", "info", "Its tools show after the sign-in.")
    return verdict


def is_wall(reply: Reply) -> bool:
    if reply.status == HTTPStatus.FORBIDDEN:
        return bool(reply.challenge)
    return reply.status == HTTPStatus.UNAUTHORIZED


async def wanted(visit: Visit, status: int, challenge: str, text: str = ASKS) -> Wanted:
    """What a 401, or a 403 with a challenge, asks for. `text` says which question it answered."""
    visit.say("sign_in", "info", text, seen=evidence(status, challenge))
    if visit.headers:
        _say_refused(visit, status, challenge)
    published = await documents.look_up(visit, challenge)
    if published.error is not None:
        announced = "resource_metadata" in challenge or not isinstance(published.error, Unreachable)
        return Wanted("oauth" if announced else "unknown", offer=published.offer)
    if published.service is not None:
        return Wanted("oauth", published.as_dict())
    return _without_oauth(visit, status, challenge)


async def offered(visit: Visit) -> Wanted:
    """Some servers look at the token only inside a tool. What they publish gives them away."""
    published = await documents.look_up(visit, "", unusable="note", only_announced=True)
    if published.error is not None:
        text = "What the server publishes about a sign-in could not be read, but it answers without one."
        visit.say("sign_in", "note", text, why=published.error.what)
        return Wanted("none")
    if published.service is None:
        seen = "\n".join(look.words for look in published.looks)
        visit.say("sign_in", "ok", "No sign-in is needed.", seen=seen)
        return Wanted("none")
    visit.say(
        "sign_in",
        "note",
        "The server answers without a sign-in, but offers one; some of its tools may need it.",
        next_step="Sign in now, or later when a tool asks for it.",
    )
    return Wanted("oauth_late", published.as_dict())


def evidence(status: int, challenge: str) -> str:
    """The parts of a challenge that tell something; never its free text, which may repeat a token."""
    lines = [f"HTTP {status}"]
    if schemes := _SCHEME.findall(challenge):
        lines.append(fact("WWW-Authenticate", ", ".join(schemes)))
    if named := named_in(challenge):
        lines.append(fact("resource_metadata", shown_url(named)))
    for name in ("scope", "error"):
        if (value := extract_field_from_www_auth(as_response(challenge), name)) is not None:
            lines.append(fact(name, value))
    return "\n".join(lines)


def _without_oauth(visit: Visit, status: int, challenge: str) -> Wanted:
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


def _say_refused(visit: Visit, status: int, challenge: str) -> None:
    error = extract_field_from_www_auth(as_response(challenge), "error")
    if status == HTTPStatus.FORBIDDEN and error == "insufficient_scope":
        visit.credentials = "lacking"
        visit.demanded = extract_field_from_www_auth(as_response(challenge), "scope") or ""
        visit.say(
            "token",
            "problem",
            "The server knows these credentials, but they lack a permission.",
            why="Somebody allowed less than the server asks for.",
            next_step="Sign in with more access, or get a token with that permission.",
            seen=evidence(status, challenge),
        )
        return
    visit.credentials = "refused"
    in_browser = bool(visit.known.issuer)
    visit.say(
        "token",
        "problem",
        "The server does not accept these credentials.",
        why="The sign-in may have been revoked there, or the server changed its sign-in service."
        if in_browser
        else "They may be mistyped, expired, or meant for another header.",
        next_step="Press Reconnect and sign in again."
        if in_browser
        else "Enter them again, or get new ones from the vendor.",
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
