"""The lean way to a server in use: kept-alive HTTP/1.1 connections to its one address, opened through the guard.

httpx2 takes 20 times as long for a call, most of it in its layers. What it is asked for here is little: a POST, its
answer whole or as a stream of events, nothing compressed, no redirect, no cookie.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httptools
import httpx2

from webapp.errors import InvalidInput, UpstreamError
from webapp.upstream.egress import Egress
from webapp.upstream.transport import no_answer, refuse_unread, too_large, too_slow

MOST_CONNECTIONS = 100
# Many servers hang up on silence after 60 seconds, Node's after 5: those are seen to close.
IDLE_SECONDS = 20.0
# What is read ahead of whoever reads the stream of events.
AHEAD = 256 * 1024


class Wire:
    """Stands in for `httpx2.AsyncClient` where an Exchange asks, for one URL."""

    def __init__(self, egress: Egress, url: str, *, max_bytes: int, total_seconds: float) -> None:
        egress.check_url(url)
        self._egress = egress
        self._url = httpx2.URL(url)
        self._port = self._url.port or (443 if self._url.scheme == "https" else 80)
        self._most = max_bytes
        self._seconds = total_seconds
        self._idle: deque[_Connection] = deque()
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)
        self._line = f"{self._url.raw_path.decode('ascii')} HTTP/1.1\r\nhost: {_netloc(self._url)}\r\n"

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None,
        headers: Mapping[str, str],
        timeout: httpx2.Timeout,
        extensions: Mapping[str, Any],
    ) -> AsyncIterator[httpx2.Response]:
        """`url` must be the wire's own. Raises UpstreamError, or httpx2's ReadError for a cut-off answer."""
        if url != str(self._url):
            raise ValueError("this wire leads elsewhere")
        seconds = float(extensions.get("total_seconds", self._seconds))
        request = self._request(method, content, headers)
        async with self._places:
            connection = self._kept() or await self._open(timeout.connect or seconds)
            try:
                async with asyncio.timeout(seconds):
                    yield await connection.exchange(request, self._most)
            except TimeoutError as error:
                raise self._late(connection, seconds) from error
            finally:
                self._put_back(connection)

    async def aclose(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _request(self, method: str, content: bytes | None, headers: Mapping[str, str]) -> bytes:
        lines = [f"{method} {self._line}accept-encoding: identity\r\n"]
        for name, value in headers.items():
            if "\r" in value or "\n" in value or not value.isascii():
                raise InvalidInput(f"The value of the header {name} can't be sent.", field="headers")
            lines.append(f"{name}: {value}\r\n")
        body = content or b""
        if method == "POST":
            lines.append(f"content-length: {len(body)}\r\n")
        return "".join(lines).encode("ascii") + b"\r\n" + body

    def _kept(self) -> _Connection | None:
        """The one used last: the others may go when things calm down."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return None

    async def _open(self, seconds: float) -> _Connection:
        host = self._url.host
        tls = self._egress.tls if self._url.scheme == "https" else None

        async def attempt(address: str, share: float) -> _Connection:
            async with asyncio.timeout(share):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(host), address, self._port,
                    ssl=tls, server_hostname=host if tls else None,
                )  # fmt: skip
                return connection

        return await self._egress.connect(host, self._port, seconds, attempt)

    def _put_back(self, connection: _Connection) -> None:
        if not connection.reusable:
            connection.close()
            return
        self._idle.append(connection)
        while self._idle and not self._idle[0].usable:
            self._idle.popleft().close()

    def _late(self, connection: _Connection, seconds: float) -> UpstreamError:
        return too_slow(self._url.host, seconds) if connection.began else no_answer(self._url.host, seconds)


def _netloc(url: httpx2.URL) -> str:
    return url.netloc.decode("ascii")


class _Events(httpx2.AsyncByteStream):
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._connection.chunks():
            yield chunk


class _Connection(asyncio.Protocol):
    """One exchange at a time. The methods below `exchange` are called by the event loop and by the parser."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._closed = False
        self._failure: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._idle_since = time.monotonic()
        self._parser: Any = None
        self.began = False

    @property
    def usable(self) -> bool:
        return not self._closed and time.monotonic() - self._idle_since < IDLE_SECONDS

    @property
    def reusable(self) -> bool:
        return not self._closed and self._complete and self._keep_alive

    async def exchange(self, request: bytes, most: int) -> httpx2.Response:
        """The answer whole; a stream of events as soon as it begins."""
        self._begin(most)
        assert self._transport
        self._transport.write(request)
        while not self._headers_complete:
            await self._more()
        headers = httpx2.Headers(self._headers)
        refuse_unread(headers, self._host, most)
        if headers.get("content-type", "").startswith("text/event-stream"):
            self._is_stream = True
            question = httpx2.Request("POST", f"http://{self._host}")
            return httpx2.Response(self._status, headers=headers, stream=_Events(self), request=question)
        while not self._complete:
            await self._more()
        return httpx2.Response(self._status, headers=headers, content=b"".join(self._chunks))

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._ahead -= len(chunk)
                yield chunk
            if self._complete:
                return
            if self._transport and not self._transport.is_reading() and not self._closed:
                self._transport.resume_reading()
            await self._more()

    def close(self) -> None:
        if self._transport is not None and not self._closed:
            self._transport.abort() if not self._complete else self._transport.close()
        self._closed = True

    def _begin(self, most: int) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._most, self._size, self._ahead = most, 0, 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: deque[bytes] = deque()
        self._headers_complete = self._complete = self._is_stream = self.began = False
        self._status, self._keep_alive = 0, False

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise httpx2.RemoteProtocolError("peer closed connection: incomplete message")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._wake()
        self.close()

    # --- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._complete:  # nobody asked
            self.close()
            return
        self.began = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(httpx2.RemoteProtocolError(f"not HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        if (
            self._parser is not None
            and self._headers_complete
            and not self._complete
            and self._until_closed()
        ):
            self._complete = error is None
        self._wake()

    def _until_closed(self) -> bool:
        return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    # --- called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status >= 200:
            self._headers_complete = True
            self._wake()

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._most:
            self._fail(too_large(self._host, self._most))
            return
        self._chunks.append(body)
        self._ahead += len(body)
        if self._ahead > AHEAD and self._is_stream and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self._status < 200:  # 100 Continue, 103 Early Hints: the answer is yet to come
            self._headers.clear()
            return
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()
        self._idle_since = time.monotonic()
        self._wake()
