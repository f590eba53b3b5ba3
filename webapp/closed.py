"""What is served while Gatehouse can't start: one page that says why, until the trouble is mended."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from pathlib import Path
from typing import Any, Protocol

from peewee import DatabaseError

from webapp.errors import Refused
from webapp.store.problems import StoreProblem, explained

TRY_AGAIN_SECONDS, QUICK_TRIES = 3.0, 20
LATER_SECONDS = 20.0  # some tries are work: each copies the database before an upgrade that fails
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Gatehouse can’t start</title></head>
<body><main><h1>Gatehouse can’t start</h1><p>{what}</p><p>{next_step}</p>
<p>Its log says more. It goes on by itself as soon as this is mended: reload the page then. Agents are told to come
back later.</p>
</main></body></html>
"""
HEADERS = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"retry-after", b"10"),
]
log = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Opened(Protocol):
    """The program itself, as asgi.py makes it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...
    async def begin(self) -> None: ...
    async def end(self) -> None: ...
    def leaving(self) -> None: ...


def unfit(error: Exception) -> Refused:
    """Why it can't start, in words."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, OSError):
        return StoreProblem(
            f"{error.filename} can't be used: {error.strerror}.", reason="data_unusable",
            next_step="Look whether its disk is mounted and has room, and whether Gatehouse's user may write there.",
        )  # fmt: skip
    return explained(error)


class Closed:
    """In the place of the program. Becomes it as soon as it can be made."""

    def __init__(self, error: Exception, data: Path, make: Callable[[], Opened]) -> None:
        self._data = str(data)
        self._make = make
        self._program: Opened | None = None
        self._why = Refused("")
        self._note(unfit(error))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._program:
            await self._program(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, send)

    def leaving(self) -> None:
        if self._program:
            self._program.leaving()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        task = asyncio.create_task(self._wait())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if self._program:
            await self._program.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _wait(self) -> None:
        tries = 0
        while not self._program:
            tries += 1
            await asyncio.sleep(TRY_AGAIN_SECONDS if tries < QUICK_TRIES else LATER_SECONDS)
            try:
                program = await asyncio.to_thread(self._make)
                await program.begin()
            except (Refused, DatabaseError, OSError) as error:
                self._note(unfit(error))
            else:
                log.info("Gatehouse has started")
                self._program = program

    def _note(self, why: Refused) -> None:
        """In the log once for each reason."""
        if self._why.what != why.what:
            log.error("Gatehouse can't start: %s", " ".join(filter(None, (why.what, why.why, why.next_step))))
        self._why = why

    async def _answer(self, scope: Scope, send: Send) -> None:
        status, kind, body = self._body(scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body)), *HEADERS]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _body(self, path: str) -> tuple[int, str, bytes]:
        if path == "/healthz":
            return 200, "application/json", b'{"status":"ok"}'
        if path == "/readyz":
            reason = getattr(self._why, "reason", "unknown")
            return 503, "application/json", json.dumps({"status": "not ready", "reasons": [reason]}).encode()
        if path == "/mcp" or path.startswith("/mcp/"):
            about = {"gatehouse/error": {"kind": "gatehouse", "retry": "later"}}
            error = {
                "code": -32603,
                "message": "Gatehouse is closed just now. Try again later.",
                "data": about,
            }
            return (
                503,
                "application/json",
                json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode(),
            )
        words = {"what": self._told(self._why.what), "next_step": self._told(self._why.next_step)}
        return 503, "text/html; charset=utf-8", PAGE.format(**words).encode()

    def _told(self, text: str) -> str:
        """Anybody may read it: where things lie on this machine stays in the log."""
        return escape(text.replace(f"{self._data}/", "").replace(self._data, "the data folder"))
