"""A server made with the SDK whose tools change, in either era: old ones say so on a session's GET stream, new ones to
whoever subscribed."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ToolsListChanged
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.house import served

MODERN = b"2026-07-28"


@dataclass
class Shifting:
    """`url` is its endpoint; `asked` the methods of all it was asked, and a GET once its stream is open."""

    url: str
    asked: list[str] = field(default_factory=list)

    def offer(self, name: str, times: int = 1) -> None:
        """Has a tool of that name from now on, and says so, perhaps many times over."""
        address = self.url.removesuffix("/mcp")
        reply = httpx2.post(
            f"{address}/offer", json={"name": name, "times": times}, timeout=60, trust_env=False
        )
        assert reply.status_code == 200


def old(app: Any, asked: list[str]) -> Any:
    """As it was before 2026-07-28."""

    async def elder(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            await send(message)
            if scope.get("method") == "GET" and message["type"] == "http.response.start":
                asked.append("GET")

        if (b"mcp-protocol-version", MODERN) in scope.get("headers", ()):
            refusal = JSONResponse({"error": "Bad Request: Unsupported protocol version"}, 400)
            await refusal(scope, receive, send)
        else:
            await app(scope, receive, sent)

    return elder


@contextmanager
def shifting(*, era: str, port: int = 0, tool: str = "get_first") -> Iterator[Shifting]:
    """`era` is new, or old."""
    bus, sessions, server_is = InMemorySubscriptionBus(), dict[int, ServerSession](), Shifting("")

    async def watch(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        server_is.asked.append(ctx.method)
        sessions[id(ctx.session)] = ctx.session
        return await call_next(ctx)

    server = MCPServer("shifting", log_level="ERROR", subscriptions=bus, middleware=[watch])
    server.add_tool(lambda: "here", name=tool, description="Reads something")
    declares = functools.partial(
        server._lowlevel_server.create_initialization_options, NotificationOptions(tools_changed=True)
    )
    server._lowlevel_server.create_initialization_options = declares  # type: ignore[method-assign]

    @server.custom_route("/offer", methods=["POST"])
    async def offer(request: Request) -> Response:
        wanted = await request.json()
        server.add_tool(lambda: "here", name=wanted["name"], description=f"Reads {wanted['name']}")
        for _ in range(wanted["times"]):
            await bus.publish(ToolsListChanged())
            if era == "old":
                for session in list(sessions.values()):
                    await session.send_tool_list_changed()
        return JSONResponse({})

    app = server.streamable_http_app()
    with served(old(app, server_is.asked) if era == "old" else app, port) as address:
        server_is.url = f"{address}/mcp"
        yield server_is
