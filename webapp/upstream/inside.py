"""What a server shows once it talks to us: its tools, and whether calling them needs more than looking."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from webapp.errors import NeedsAuthorization, UpstreamError
from webapp.upstream import documents, sign_in
from webapp.upstream.client import Client
from webapp.upstream.exchange import Reply, shown_url
from webapp.upstream.findings import Kind, SignIn, Verdict, Wanted, problem
from webapp.upstream.handshake import Session
from webapp.upstream.visit import Visit

NO_SUCH_TOOL = "gatehouse-check.no-such-tool"
MAX_PAGES = 20
GOODBYE_SECONDS = 0.5
_LATE: Mapping[SignIn, SignIn] = {"oauth": "oauth_late", "bearer": "calls_only"}


async def look_inside(visit: Visit, session: Session) -> Verdict:
    info = session.info
    visit.say("protocol", "ok", f"It speaks MCP, version {info.version}.", seen=shown_url(visit.url))
    if name := info.title or info.name:
        version = f", version {info.server_version}" if info.server_version else ""
        visit.say("server", "ok", f"It calls itself “{name}”{version}.")
    kind: Kind = "modern" if session.modern else "legacy"
    visit.reached = replace(visit.verdict(kind), version=info.version, server=info)
    client = Client.carrying_on(visit.exchange(), session, timeout=visit.seconds)
    try:
        count, wanted = await _tools_and_sign_in(visit, client)
    finally:
        await client.aclose(seconds=GOODBYE_SECONDS)
    return replace(
        visit.reached, sign_in=wanted.sign_in, oauth=wanted.oauth, offer=wanted.offer, tool_count=count
    )


async def _tools_and_sign_in(visit: Visit, client: Client) -> tuple[int | None, Wanted]:
    try:
        count = await _count_tools(visit, client)
    except NeedsAuthorization as error:
        if error.http_status == HTTPStatus.FORBIDDEN and not error.challenge:
            visit.add(problem(error, step="sign_in", seen="tools/list → 403"))
            return None, Wanted("unknown")
        wanted = await sign_in.wanted(visit, error.http_status, error.challenge)
        visit.say(
            "tools", "info", "Its tools show after the sign-in.", seen=f"tools/list → {error.http_status}"
        )
        return None, wanted
    return count, await _sign_in_for_calls(visit, client)


async def _count_tools(visit: Visit, client: Client) -> int | None:
    try:
        async with asyncio.timeout(visit.seconds):
            listing = await client.list_tools(max_pages=MAX_PAGES)
    except TimeoutError:
        visit.say("tools", "note", "Its list of tools is too long to count them during this check.")
        return None
    except NeedsAuthorization:
        raise
    except UpstreamError as error:
        visit.add(problem(error, step="tools", seen="tools/list"))
        return None
    count = len(listing.tools)
    more = "" if listing.complete else "at least "
    visit.say("tools", "ok" if count else "note", f"It offers {more}{_tools(count)}.", why=listing.problem)
    if listing.quarantined:
        first = listing.quarantined[0]
        visit.say(
            "tools",
            "note",
            f"{_tools(len(listing.quarantined)).capitalize()} can't be used and will be set aside.",
            why=f"“{first.name}”: {first.reason}",
            next_step="The others are not affected.",
        )
    return count


async def _sign_in_for_calls(visit: Visit, client: Client) -> Wanted:
    reply = await _call_no_tool(client)
    if reply is not None and sign_in.is_wall(reply):
        text = sign_in.ASKS if visit.headers else "It shows its tools to anybody, but calls need a sign-in."
        wanted = await sign_in.wanted(visit, reply.status, reply.challenge, text)
        return wanted if visit.headers else replace(wanted, sign_in=_LATE.get(wanted.sign_in, wanted.sign_in))
    if visit.headers:
        return await _do_credentials_matter(visit, client.version)
    return await sign_in.offered(visit)


async def _do_credentials_matter(visit: Visit, version: str) -> Wanted:
    """The same questions without them: only a difference shows that they work."""
    try:
        refusal = await _without_credentials(visit, version)
    except UpstreamError as error:
        text = "The server accepts these credentials."
        visit.say("token", "note", text, why=f"Without them: {error.what}")
        return Wanted("unknown")
    # Where to sign in matters again only to those who signed in that way.
    published = await documents.look_up(
        visit, refusal.challenge, unusable="note", only_announced=not visit.known.issuer
    )
    if refusal.status:
        seen = sign_in.evidence(refusal.status, refusal.challenge)
        visit.say("sign_in", "ok", "Whoever asks without a sign-in is refused.", seen=seen)
        text = "The credentials work: with them the server answers, without them it refuses."
        visit.say("token", "ok", text)
        visit.credentials = "accepted"
        return Wanted(_kind_of(visit.headers), published.as_dict())
    visit.credentials = "not looked at"
    visit.say(
        "token",
        "note",
        "The server answers the same with and without these credentials.",
        why="It needs none, or looks at them only when a tool runs.",
    )
    return Wanted("none", published.as_dict())


@dataclass(frozen=True)
class _Refusal:
    status: int = 0
    challenge: str = ""


async def _without_credentials(visit: Visit, version: str) -> _Refusal:
    """A status of 0 where nothing is refused. Raises UpstreamError where there is no telling."""
    bare = Client(visit.url, visit.http, version=version, timeout=visit.seconds)
    try:
        for reply in (await bare.reply_to("tools/list"), await _call_no_tool(bare)):
            if reply is not None and reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                return _Refusal(reply.status, reply.challenge)
        return _Refusal()
    except NeedsAuthorization as error:
        return _Refusal(error.http_status, error.challenge)
    finally:
        await bare.aclose(seconds=GOODBYE_SECONDS)


async def _call_no_tool(client: Client) -> Reply | None:
    """Calls a tool that can't exist: nothing happens, but a guard in front of calls shows itself."""
    try:
        return await client.reply_to("tools/call", {"name": NO_SUCH_TOOL, "arguments": {}})
    except UpstreamError:
        return None


def _kind_of(headers: Mapping[str, str]) -> SignIn:
    authorization = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    return "basic" if authorization.lower().startswith("basic ") else "bearer"


def _tools(count: int) -> str:
    return {0: "no tools", 1: "one tool"}.get(count, f"{count:,} tools")
