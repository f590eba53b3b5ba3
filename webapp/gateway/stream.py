"""How an answer travels: one JSON body when it is quick, server-sent events when it is slow or reports progress."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from webapp.upstream.strict import encoded

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]
Headers = Iterable[tuple[bytes, bytes]]
Reply = tuple[int, dict[str, Any] | bytes]  # HTTP status; the message, or the bytes of one
Reachable = Callable[[Callable[[], None]], AbstractContextManager[None]]
EVENT_STREAM = b"text/event-stream"
CALLED_OFF = "the agent called it off"
AT_ONCE = 0.25  # seconds, as the next two
EVENTS_AFTER = 5.0
PING_EVERY = 10.0


class AgentGone(Exception):
    """The agent closed the connection before its answer was ready, or took its request back."""


async def send_body(
    send: Send, status: int, body: bytes, headers: Headers = (), content_type: bytes = b"application/json"
) -> None:
    start = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    extra = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start + extra})
    await send({"type": "http.response.body", "body": body})


class EventStream:
    """Carries one answer. Becomes SSE only when it must, and only for a client that takes events.

    It knows nothing of the request, which knows it: both go when the answer has left, and don't wait, with all that
    they hold, for the garbage collector.
    """

    def __init__(self, send: Send, receive: Receive, *, takes_events: bool) -> None:
        self._send = send
        self._receive = receive
        self.takes_events = takes_events
        self._open = False
        self._gone = self._called_off = self.over = False
        self._sending = asyncio.Lock()

    def progress_to(self, token: object) -> Callable[[dict[str, Any]], Awaitable[None]]:
        async def report(progress: dict[str, Any]) -> None:
            await self.tell("notifications/progress", progress | {"progressToken": token})

        return report

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        """A notification ahead of the answer; nothing for a client that takes no events."""
        await self._event(encoded({"jsonrpc": "2.0", "method": method, "params": params}))

    async def ask(self, id: str, method: str, params: Mapping[str, Any]) -> None:
        """A request of ours, or of a server behind us (handshake era); its answer comes in by another way."""
        await self._event(encoded({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))

    async def carry(self, work: Coroutine[Any, Any, Reply], reachable: Reachable) -> Reply:
        """The work's reply; meanwhile the line is kept alive. Cancels the work when the agent hangs up or says so:
        `reachable` is entered with a way to call the work off, once it takes longer than most.

        Most answers come at once: whoever watches the line is called only when one does not.
        """
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        watch: asyncio.Task[None] | None = None

        def begin() -> None:
            nonlocal watch
            watch = loop.create_task(self._watch(me, reachable))  # type: ignore[arg-type]

        timer = loop.call_later(AT_ONCE, begin)
        try:
            return await work
        except asyncio.CancelledError:
            if not (self._gone or self._called_off) or me is None or me.uncancel():
                raise
            if self._called_off:
                await self._end()
            raise AgentGone from None
        finally:
            timer.cancel()
            if watch is not None:
                watch.cancel()

    async def _watch(self, waiting: asyncio.Task[Any], reachable: Reachable) -> None:
        gone, patience = asyncio.create_task(self._hang_up()), EVENTS_AFTER
        try:
            with reachable(functools.partial(self._call_off, waiting)):
                while not (await asyncio.wait((gone,), timeout=patience))[0]:
                    await self._ping()
                    patience = PING_EVERY
            self._gone = True
            waiting.cancel()
        finally:
            gone.cancel()

    def _call_off(self, waiting: asyncio.Task[Any]) -> None:
        self._called_off = True
        waiting.cancel(CALLED_OFF)

    async def finish(self, status: int, body: dict[str, Any] | bytes, headers: Headers = ()) -> None:
        data = body if isinstance(body, bytes) else encoded(body)
        if self._open:
            await self._event(data)
        self.over = True
        if not self._open:
            return await send_body(self._send, status, data, headers)
        await self._send({"type": "http.response.body", "body": b""})

    async def _end(self) -> None:
        """Without an answer: whoever called it off wants none (2025-11-25, cancellation), but HTTP wants an end."""
        self.over = True
        if self._open:
            await self._send({"type": "http.response.body", "body": b""})
        elif self.takes_events:
            await send_body(self._send, 200, b"", content_type=EVENT_STREAM)
        else:
            await send_body(self._send, 202, b"")

    async def _hang_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _ping(self) -> None:
        await self._write(b": still working\n\n")

    async def _event(self, message: bytes) -> None:
        await self._write(b"event: message\ndata: " + message + b"\n\n")

    async def _write(self, data: bytes) -> None:
        """A call that a person approved goes on after its agent was told to come back: nothing more is sent then."""
        if not self.takes_events:
            return
        async with self._sending:
            if self.over:
                return
            if not self._open:
                self._open = True
                headers = [
                    (b"content-type", EVENT_STREAM),
                    (b"cache-control", b"no-store"),
                    (b"x-accel-buffering", b"no"),
                ]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
