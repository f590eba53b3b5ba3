"""`tools/list`: all an agent may call, or, where that is much, a search for it."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from typing import Any

from webapp.errors import RpcError
from webapp.gateway.catalogue import Catalogue, CatalogueTool, KnownAgent
from webapp.services import own_tools
from webapp.upstream.strict import encoded

Dress = Callable[[dict[str, Any]], dict[str, Any]]

PAGE = 1000
# Different lists kept ready: agents with the same limits and mode share theirs.
MOST_KEPT = 100
UNKNOWN_CURSOR = RpcError({"code": -32602, "message": "Unknown cursor"})


def listed_bytes(
    catalogue: Catalogue, agent: KnownAgent, server: str, cursor: object, dress: Dress, era: str
) -> bytes:
    """The whole result as JSON. First pages are made once for all who may call the same, as long as the catalogue
    holds; cursors could be without number."""
    if cursor is not None:
        return encoded(dress(listed(catalogue, agent, server, cursor)))
    key = (agent.sources, agent.mode, server, era)
    kept = catalogue.lists.get(key)
    if kept is None:
        kept = encoded(dress(listed(catalogue, agent, server, None)))
        if len(catalogue.lists) >= MOST_KEPT:
            catalogue.lists.clear()
        catalogue.lists[key] = kept
    return kept


def listed(catalogue: Catalogue, agent: KnownAgent, server: str, cursor: object) -> dict[str, Any]:
    """`tools` and perhaps `nextCursor`. Ordered by wire name; the cursor is the last name given, so that it survives
    tools coming and going."""
    after = _name_in(cursor)
    offered = catalogue.offered(agent, server)
    approvals = [*own_tools.FOR_APPROVALS] if any(tool.policy == "approval" for tool in offered) else []
    if cursor is None and agent.mode.searches(len(offered)):  # a walk that has begun goes on to its end
        servers = Counter(tool.source.name for tool in offered)
        return {"tools": [own_tools.search_tools(servers), own_tools.CALL_TOOL, *approvals]}
    page = [tool for tool in offered if tool.wire_name > after][: PAGE + 1]
    tools = [shown(tool, server) for tool in page[:PAGE]]
    if len(page) <= PAGE:
        return {"tools": tools + approvals}
    return {
        "tools": tools,
        "nextCursor": base64.urlsafe_b64encode(page[PAGE - 1].wire_name.encode()).decode(),
    }


def shown(tool: CatalogueTool, server: str) -> dict[str, Any]:
    """At the address of one server its tools have their own names."""
    return tool.readable if server else tool.on_the_wire


def _name_in(cursor: object) -> str:
    if cursor is None:
        return ""
    try:
        return base64.b64decode(str(cursor), altchars=b"-_", validate=True).decode()
    except ValueError as problem:
        raise UNKNOWN_CURSOR from problem
