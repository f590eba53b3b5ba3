"""All of it as one ASGI program, and the way to run it."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import uvicorn
from mcp.server.transport_security import DEFAULT_MAX_REQUEST_BODY_SIZE, RequestBodyLimitMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from webapp.practice.doors import DOORS
from webapp.practice.guards import ThisMachineOnly
from webapp.practice.ledger import Ledger
from webapp.practice.page import Page
from webapp.practice.sign_in import SignIn
from webapp.practice.toolbox import Toolbox

TOKEN_SECONDS = 60


def create_app(token_seconds: int = TOKEN_SECONDS, now: Callable[[], float] = time.time) -> Starlette:
    """A desk of its own each time. The app can be started once, as the SDK's endpoints can."""
    toolbox, ledger = Toolbox(), Ledger(token_seconds, now)
    doors = {door.name: door.build(toolbox.server, ledger) for door in DOORS}

    @asynccontextmanager
    async def doors_open(app: Starlette) -> AsyncIterator[None]:
        # Mounted apps get no lifespan events of their own.
        async with AsyncExitStack() as stack:
            for door in doors.values():
                await stack.enter_async_context(door.router.lifespan_context(door))
            yield

    mounts = [Mount(f"/{name}", app=door) for name, door in doors.items()]
    return Starlette(
        routes=[*Page(toolbox, ledger).routes, *SignIn(ledger).routes, *mounts],
        middleware=[
            Middleware(ThisMachineOnly),
            Middleware(RequestBodyLimitMiddleware, max_body_size=DEFAULT_MAX_REQUEST_BODY_SIZE),
        ],
        lifespan=doors_open,
    )


def serve(port: int, token_seconds: int = TOKEN_SECONDS) -> None:
    """Serves on 127.0.0.1 until it is stopped; port 0 takes a free one. OSError: port taken."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        print(f"Practice server: http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
        config = uvicorn.Config(
            create_app(token_seconds),
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            # Listening agents keep a stream open for ever; they must not keep the process alive.
            timeout_graceful_shutdown=1,
        )
        uvicorn.Server(config).run(sockets=[listener])
