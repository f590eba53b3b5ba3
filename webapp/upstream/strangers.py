"""What to say about a server that is not MCP, or not the MCP of today."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

import httpx2

from webapp.errors import RpcError, Unreachable
from webapp.upstream.exchange import Reply, is_event_stream, shown_url
from webapp.upstream.findings import Verdict
from webapp.upstream.sign_in import walled
from webapp.upstream.visit import Visit


async def look_for_event_stream(visit: Visit, post: Reply) -> Verdict:
    """Servers of 2024-11-05 refuse the POST and begin with a GET, whose answer names where to post."""
    try:
        async with visit.exchange().stream(visit.seconds) as response:
            get = Reply(response.status_code, response.headers, None)
            if (verdict := await walled(visit, get)) is not None:
                return verdict
            if response.status_code == HTTPStatus.OK and is_event_stream(response):
                return await _event_stream(visit, response)
    except Unreachable:
        # The POST did get an answer, and that one counts.
        return _not_mcp(visit, post, post)
    return _not_mcp(visit, post, get)


async def _event_stream(visit: Visit, response: httpx2.Response) -> Verdict:
    try:
        async with asyncio.timeout(visit.seconds):
            first = await anext(aiter(httpx2.EventSource(response)), None)
    except TimeoutError:
        first = None
    if first is None or first.event != "endpoint":
        text = "There is a stream of events at this address, but not one of MCP."
        visit.say("protocol", "problem", text, next_step="Check the path in the vendor's manual.")
        return visit.verdict("not_mcp")
    visit.say(
        "protocol",
        "problem",
        "This is an MCP server of the old kind (HTTP+SSE), which the standard calls deprecated.",
        why="Its successor has been around since March 2025, and most vendors offer both.",
        next_step="Try the new address, or ask the vendor for the one called “Streamable HTTP”.",
        seen="GET → event: endpoint",
        suggestion=_under_mcp(visit.url),
    )
    return visit.verdict("http_sse")


def _not_mcp(visit: Visit, post: Reply, get: Reply) -> Verdict:
    if post.is_web_page or get.is_web_page:
        text = "This address answered with a web page, not as an MCP server."
    elif post.status == HTTPStatus.NOT_FOUND:
        text = "There is nothing at this address."
    else:
        text = f"This address answered {post.status_words}, but not as an MCP server."
    suggestion = _under_mcp(visit.url)
    visit.say(
        "protocol",
        "problem",
        text,
        why="Most servers live under /mcp." if suggestion else "The path may be mistyped.",
        next_step=f"Try {shown_url(suggestion)}." if suggestion else "Check the path in the vendor's manual.",
        seen=f"POST → {post.status_words}, GET → {get.status_words}",
        suggestion=suggestion,
    )
    return visit.verdict("not_mcp")


def refused_to_begin(visit: Visit, error: RpcError) -> Verdict:
    visit.say(
        "protocol",
        "problem",
        f"The server knows MCP's language but would not begin: {error.message[:300] or 'no reason given'}",
        why="It may want something first, such as a key, or it has a fault.",
        next_step="Ask whoever runs the server.",
        seen=f"initialize → error {error.code}",
    )
    return visit.verdict("not_mcp")


def strange_versions(visit: Visit, versions: list[str]) -> Verdict:
    named = ", ".join(version[:40] for version in versions[:5])
    visit.say(
        "protocol",
        "problem",
        f"The server speaks MCP, but only in versions that Gatehouse does not know: {named}.",
        next_step="Look for a newer Gatehouse.",
        seen="server/discover → error -32022",
    )
    return visit.verdict("not_mcp")


def _under_mcp(url: str) -> str:
    """Where most servers live, or nothing for a URL that already says so."""
    parts = urlsplit(url)
    folder, _, last = parts.path.rstrip("/").rpartition("/")
    if last == "mcp":
        return ""
    path = f"{folder}/mcp" if last == "sse" else "/mcp"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
