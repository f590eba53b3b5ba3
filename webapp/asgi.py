"""One program, one port: `/mcp` goes to the gateway, which is asynchronous; everything else is Flask, in threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from a2wsgi import WSGIMiddleware

from config import from_environment
from webapp import create_app
from webapp.gateway.worker import Gateway

PAGE_THREADS = 16
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs addresses, and those may carry secrets

config = from_environment()
pages = WSGIMiddleware(create_app(config), workers=PAGE_THREADS)
gateway = Gateway(config)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["path"] == "/mcp" or scope["path"].startswith("/mcp/s/"):
        await gateway.endpoint(scope, receive, send)
    else:
        await pages(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await gateway.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await gateway.stop()
    await asyncio.sleep(0)
    await send({"type": "lifespan.shutdown.complete"})
