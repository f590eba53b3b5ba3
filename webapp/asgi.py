"""One program, one port: `/mcp` goes to the gateway, which is asynchronous; everything else is Flask, in threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from a2wsgi import WSGIMiddleware
from peewee import DatabaseError

from config import Config, from_environment
from webapp import create_app, logs
from webapp.closed import Closed
from webapp.compression import Compressed
from webapp.errors import Refused
from webapp.forms import Forms, Full, Gone
from webapp.gateway.worker import Gateway

PAGE_THREADS = 16
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def program(config: Config | None = None) -> Program | Closed:
    """What the server is given, `webapp.asgi:program()`: the program, or a page that says why there is none, until
    there is one."""
    config = config or from_environment()
    logs.configure(config.log_format)
    try:
        return Program(config)
    except (Refused, DatabaseError, OSError) as error:
        return Closed(error, config.data, lambda: Program(config))


class Program:
    def __init__(self, config: Config) -> None:
        self.app = create_app(config)
        self.pages = Compressed(WSGIMiddleware(self.app, workers=PAGE_THREADS))  # type: ignore[arg-type]
        self.gateway = Gateway(config)
        self._forms = Forms()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        if scope["type"] == "http":
            send = logs.numbered(send)
        if scope["path"] == "/mcp" or scope["path"].startswith("/mcp/s/"):
            await self.gateway.endpoint(scope, receive, send)
        else:
            await self._page(scope, receive, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            whole = await self._forms.gathered(scope, receive) if scope["type"] == "http" else receive
        except Gone:
            return
        except Full:
            headers = [(b"content-type", b"text/plain"), (b"retry-after", b"10")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            return await send(
                {"type": "http.response.body", "body": b"Too much comes in at once. Try again."}
            )
        await self.pages(_without_underscores(scope), whole, send)

    async def begin(self) -> None:
        await self.gateway.start()

    async def end(self) -> None:
        await self.gateway.stop()

    def leaving(self) -> None:
        """The server has been told to stop, and waits for requests that are under way."""
        self.gateway.leaving()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.begin()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.end()
        await send({"type": "lifespan.shutdown.complete"})


def _without_underscores(scope: Scope) -> Scope:
    """WSGI can't tell X_Forwarded_For from X-Forwarded-For, which only our own proxy may set; nginx and gunicorn
    drop such names too, but not every proxy does."""
    if scope["type"] != "http":
        return scope
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if b"_" not in name]}
