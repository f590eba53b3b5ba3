"""Follows the pages of a tool list to the end, or as far as is sensible."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from webapp.errors import BadReply, NeedsAuthorization, RpcError, UpstreamError
from webapp.upstream.listing import Listing, parse_tools

MAX_PAGES = 200
MAX_TOOLS = 20_000
MAX_BYTES = 64 * 1024 * 1024

# The page at a cursor (None for the first): its result, and its size in bytes.
Fetch = Callable[[str | None], Awaitable[tuple[dict[str, Any], int]]]


@dataclass
class _Pages:
    max_pages: int
    max_tools: int
    raw: list[object] = field(default_factory=list)
    cursors: set[str] = field(default_factory=set)
    count: int = 0
    size: int = 0

    def add(self, page: dict[str, Any], size: int) -> str | None:
        """The cursor of the next page; raises BadReply for a page that is none."""
        self.count += 1
        self.size += size
        tools, cursor = page.get("tools"), page.get("nextCursor")
        if not isinstance(tools, list):
            raise BadReply("The server sent no list of tools where one should be.", kind="not_mcp")
        self.raw += tools
        if cursor is not None and not isinstance(cursor, str):
            raise BadReply(
                "The server names the next page of its list in a way MCP does not know.", kind="not_mcp"
            )
        return cursor

    def why_stop_before(self, cursor: str) -> str:
        if cursor in self.cursors:
            return "The list runs in a circle: a page that was read before comes again."
        self.cursors.add(cursor)
        if len(self.raw) >= self.max_tools:
            return f"The list has more than {self.max_tools:,} tools; the rest was not read."
        if self.count >= self.max_pages:
            return f"The list has more than {self.max_pages} pages; the rest was not read."
        if self.size >= MAX_BYTES:
            return f"The list is larger than {MAX_BYTES // (1024 * 1024)} MB; the rest was not read."
        return ""


async def collect(fetch: Fetch, *, max_pages: int = MAX_PAGES, max_tools: int = MAX_TOOLS) -> Listing:
    """Raises what the first page raises. A later page that fails leaves the listing incomplete.

    "" is a cursor like any other (2026-07-28), but some servers mean by it that this was all: those refuse it, or begin
    from the start.
    """
    pages = _Pages(max_pages, max_tools)
    page, size = await fetch(None)
    if page.get("tools", ...) is None:
        return Listing(
            [], [], complete=False, problem="The server sent an empty answer (null) instead of a list."
        )
    cursor, first, problem = pages.add(page, size), page["tools"], ""
    while cursor is not None and not (problem := pages.why_stop_before(cursor)):
        try:
            page, size = await fetch(cursor)
            if cursor == "" and page.get("tools") == first:
                break
            cursor = pages.add(page, size)
        except NeedsAuthorization:
            raise
        except RpcError as error:
            problem = _unread(error) if cursor else ""
            break
        except UpstreamError as error:
            problem = _unread(error)
            break
    if len(pages.raw) > max_tools and not problem:
        problem = f"The list has more than {max_tools:,} tools; the rest was not read."
    tools, quarantined = parse_tools(pages.raw[:max_tools])
    return Listing(tools, quarantined, complete=not problem, problem=problem)


def _unread(error: UpstreamError) -> str:
    return f"A later page of the list could not be read. {error.what}"
