"""What a stranger may take of a worker before anybody knows who asks: bytes of a head, and time.

uvicorn's parser has an end to neither: a head without end would fill the memory, and a body that never comes would
keep its connection for ever. A proxy in front may be as strict; this holds without one.
"""

from __future__ import annotations

import asyncio
from asyncio.events import TimerHandle

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 20.0
BODY_SECONDS = 60.0
TOO_LARGE = b"The head of this request is too large."


class Doorway(HttpToolsProtocol):
    """One connection. A request has to be here, head and body, within a time; the server's answer may take longer.

    Most are here at once, and need no timer."""

    _timer: TimerHandle | None = None
    _beside = 0  # bytes of this request that are no body: head, chunks' sizes, trailers
    _body = 0
    _begun = False  # its first byte is here, its last is not
    _seconds = HEAD_SECONDS  # for what is still to come of it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._begun:
            self._beside = self._body = 0
        self._beside += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._beside > HEAD_BYTES + self._body:
            self._refuse()
        elif self._timer is None and (self._begun or self._has_begun_nothing):
            self._expect(self._seconds)

    def on_message_begin(self) -> None:
        self._begun, self._seconds = True, HEAD_SECONDS
        self._expect_nothing()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._seconds = BODY_SECONDS
        self._expect_nothing()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._beside -= len(body)
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._begun, self._seconds = False, HEAD_SECONDS
        self._expect_nothing()
        super().on_message_complete()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _has_begun_nothing(self) -> bool:
        """Line breaks, say, and no request before that its server still answers, or waits after."""
        return not self._answering and self.timeout_keep_alive_task is None

    def _expect(self, seconds: float) -> None:
        self._expect_nothing()
        self._timer = self.loop.call_later(seconds, self._too_late, seconds)

    def _expect_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self, seconds: float) -> None:
        if self._answering and (seconds == HEAD_SECONDS or self.pipeline):
            self._expect(seconds)  # to the request before it, which is here
        else:
            self.transport.abort()

    def _refuse(self) -> None:
        if self._answering:
            return self.transport.abort()
        head = (
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        )
        self.transport.write(head % len(TOO_LARGE) + TOO_LARGE)
        self.transport.close()
