"""The lean way to a server in use: kept-alive HTTP/1.1 connections to its one address, opened through the guard.

httpx2 takes 20 times as long for a call, most of it in its layers. What it is asked for here is little: a POST, its
answer whole or as a stream of events, nothing compressed, no redirect, no cookie.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httptools
import httpx2

from webapp.errors import InvalidInput
from webapp.upstream.egress import Egress
from webapp.upstream.failures import kept_and_closed
from webapp.upstream.pace import SLICE, Turns
from webapp.upstream.places import Places
from webapp.upstream.transport import endless_head, no_answer, refuse_unread, too_large, too_slow

MOST_CONNECTIONS = 100
# Many servers hang up on silence after 60 seconds, Node's after 5: those are seen to close.
IDLE_SECONDS = 20.0
MOST_HEADS = 64
# What is read ahead of whoever reads the stream of events.
AHEAD = 256 * 1024
# Bytes without a head's end or a part of a body: headers, trailers and interim answers that never end.
MOST_BESIDES = 32 * 1024
# What is taken apart at a time: a read may bring a quarter of a megabyte, of nothing but line ends.
BITE = 16 * 1024
MANY_LINES = 500
FEW_PIECES = 2
# What a piece of a body costs beside its bytes: whoever sends one byte at a time fills the memory forty times as fast.
PIECE_COSTS = 64
# 101 is for protocols that nobody asked for.
NOT_HTTP = (httptools.HttpParserError, httptools.HttpParserUpgrade)
_turns = Turns()


class Wire:
    """Stands in for `httpx2.AsyncClient` where an Exchange asks, for one URL."""

    def __init__(
        self,
        egress: Egress,
        url: str,
        *,
        max_bytes: int,
        total_seconds: float,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        egress.check_url(url)
        self._egress = egress
        self._url = httpx2.URL(url)
        self._address = str(self._url)
        self.host = self._url.host
        self._port = self._url.port or (443 if self._url.scheme == "https" else 80)
        self.most_bytes = max_bytes
        self._seconds = total_seconds
        self._idle: deque[_Connection] = deque()
        self._places = Places(most_connections)
        self._heads: dict[tuple[Any, ...], bytes] = {}
        self._line = f"{self._url.raw_path.decode('ascii')} HTTP/1.1\r\nhost: {_netloc(self._url)}\r\n"

    def stream(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None,
        headers: Mapping[str, str],
        timeout: httpx2.Timeout,
        extensions: Mapping[str, Any],
    ) -> _Turn:
        """`url` must be the wire's own. Entering raises UpstreamError, or httpx2's errors for a cut-off answer."""
        if url != self._address:
            raise ValueError("this wire leads elsewhere")
        seconds = float(extensions.get("total_seconds", self._seconds))
        return _Turn(self, self._request(method, content, headers), seconds, timeout.connect or seconds)

    async def take(self, connect_seconds: float) -> _Connection:
        await self._places.take()
        try:
            return self._kept() or await self._open(connect_seconds)
        except BaseException:
            self._places.give_back()
            raise

    def put_back(self, connection: _Connection) -> None:
        self._places.give_back()
        reusable = connection.reusable
        connection.let_go()
        if not reusable:
            connection.close()
            return
        self._idle.append(connection)
        self.tidy()

    def tidy(self) -> None:
        """Those that were not used for long are at the front."""
        while self._idle and not self._idle[0].usable:
            self._idle.popleft().close()

    async def aclose(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _request(self, method: str, content: bytes | None, headers: Mapping[str, str]) -> bytes:
        """The head of one call is nearly always that of the call before."""
        key = (method, *headers.items())
        if (head := self._heads.get(key)) is None:
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            head = self._heads[key] = self._head(method, headers)
        if method != "POST":
            return head + b"\r\n"
        body = content or b""
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)

    def _head(self, method: str, headers: Mapping[str, str]) -> bytes:
        lines = [f"{method} {self._line}accept-encoding: identity\r\n"]
        for name, value in headers.items():
            if "\r" in value or "\n" in value or not value.isascii():
                raise InvalidInput(f"The value of the header {name} can't be sent.", field="headers")
            lines.append(f"{name}: {value}\r\n")
        return "".join(lines).encode("ascii")

    def _kept(self) -> _Connection | None:
        """The one used last: the others may go when things calm down."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return None

    async def _open(self, seconds: float) -> _Connection:
        host = self.host
        tls = self._egress.tls if self._url.scheme == "https" else None

        async def attempt(address: str, share: float) -> _Connection:
            async with asyncio.timeout(share):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(host), address, self._port,
                    ssl=tls, server_hostname=host if tls else None,
                )  # fmt: skip
                return connection

        return await self._egress.connect(host, self._port, seconds, attempt)


class _Turn:
    """One exchange on one connection, which goes back afterwards."""

    def __init__(self, wire: Wire, request: bytes, seconds: float, connect_seconds: float) -> None:
        self._wire = wire
        self._request = request
        self._seconds = seconds
        self._connect_seconds = connect_seconds

    async def __aenter__(self) -> Whole | httpx2.Response:
        self._connection = connection = await self._wire.take(self._connect_seconds)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, connection.expire, self._seconds)
        kept = connection.answered
        try:
            return await connection.exchange(self._request, self._wire.most_bytes)
        except httpx2.RemoteProtocolError as error:
            self._end()
            if not kept or connection.began:
                raise
            await self._wire.aclose()  # the others were kept no better
            raise kept_and_closed(self._wire.host) from error
        except BaseException:
            self._end()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._timer.cancel()
        self._wire.put_back(self._connection)


class Head(Mapping[str, str]):
    """The headers of an answer by their names in lower case; repeated ones joined."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in raw:
            self._values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def get_list(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def get(self, name: str, default: Any = None) -> Any:
        """As a mapping has it, without an exception for each header that is not there."""
        found = self._values.get(name)
        return default if found is None else ", ".join(found)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Whole:
    """An answer that is here to its end."""

    status_code: int
    headers: Head
    content: bytes

    async def aread(self) -> bytes:
        return self.content


def _netloc(url: httpx2.URL) -> str:
    return url.netloc.decode("ascii")


def _bites(chunk: bytes) -> Iterable[bytes]:
    """One large event in its large pieces, which leave fewer holes in memory; many small ones few at a time."""
    if len(chunk) <= BITE or chunk.count(b"\n") <= MANY_LINES:
        return (chunk,)
    return (chunk[start : start + BITE] for start in range(0, len(chunk), BITE))


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
        self._resting = False
        self._idle_since = time.monotonic()
        self._parser: Any = None
        self.began = self.answered = False

    @property
    def usable(self) -> bool:
        return not self._closed and time.monotonic() - self._idle_since < IDLE_SECONDS

    @property
    def reusable(self) -> bool:
        return not self._closed and self._complete and self._keep_alive

    async def exchange(self, request: bytes, most: int) -> Whole | httpx2.Response:
        """The answer whole; a stream of events as soon as it begins."""
        self._begin(most)
        assert self._transport
        self._transport.write(request)
        while not self._headers_complete:
            await self._more()
        head = Head(self._headers)
        refuse_unread(head, self._host, most)
        if head.get("content-type", "").lower().startswith("text/event-stream"):
            self._is_stream = True
            if self._body:  # came with the head
                self._put_by(bytes(self._body))
            question = httpx2.Request("POST", f"http://{self._host}")
            return httpx2.Response(
                self._status, headers=self._headers, stream=_Events(self), request=question
            )
        while not self._complete:
            await self._more()
        return Whole(self._status, head, bytes(self._body))

    def expire(self, seconds: float) -> None:
        if not self._complete:
            self._fail(too_slow(self._host, seconds) if self.began else no_answer(self._host, seconds))

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._ahead -= len(chunk)
                for bite in _bites(chunk):
                    yield bite
                    await asyncio.sleep(0)
            if self._complete:
                return
            self._read_on()
            await self._more()

    def _rest(self) -> None:
        """Others have their turn; whoever sends waits meanwhile."""
        if self._transport is not None and not self._resting:
            self._resting, self._slice = True, 0
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(_turns.wait(), self._rested)

    def _rested(self) -> None:
        self._resting = False
        self._read_on()

    def _read_on(self) -> None:
        """Unless it rests, or whoever reads the stream of events has enough to read."""
        held_up = self._resting or (self._is_stream and self._ahead > AHEAD)
        if self._transport is not None and not self._closed and not held_up:
            self._transport.resume_reading()

    def let_go(self) -> None:
        """Of the answer: it may be large. A failure knows, by its traceback, all that was read before it."""
        self._chunks.clear()
        self._body = bytearray()
        self._failure = None

    def close(self) -> None:
        if self._transport is not None and not self._closed:
            self._transport.abort() if not self._complete else self._transport.close()
        self._closed = True

    def _begin(self, most: int) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._most, self._size, self._ahead, self._besides, self._slice = most, 0, 0, 0, 0
        self._pieces = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: deque[bytes] = deque()  # of a stream
        self._body = bytearray()  # of what is wanted whole: one piece of memory, however many it comes in
        self._headers_complete = self._complete = self._is_stream = self.began = False
        self._status, self._keep_alive = 0, False

    def _more(self) -> asyncio.Future[None]:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise httpx2.RemoteProtocolError("peer closed connection: incomplete message")
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

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
        start, size = 0, BITE
        while start < len(data) and self._failure is None:
            before = self._pieces
            self._take(data[start : start + size])
            start += size
            if self._pieces - before <= FEW_PIECES:  # nothing but a large body
                size *= 4

    def _take(self, data: bytes) -> None:
        self._besides += len(data)
        try:
            self._parser.feed_data(data)
        except NOT_HTTP as error:
            self._fail(httpx2.RemoteProtocolError(f"not HTTP: {error}"))
        if self._besides > MOST_BESIDES:  # of one header without end the parser would keep all
            self._fail(endless_head(self._host))

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        if (
            self._parser is not None
            and self._failure is None
            and self._headers_complete
            and not self._complete
            and self._until_closed()
        ):
            self._complete = error is None
        self._parser = None  # it knows us as well
        self._wake()

    def _until_closed(self) -> bool:
        return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    # --- called by the parser

    def on_message_begin(self) -> None:
        if self._complete:  # a second answer; ends the parsing and the connection, the first one holds
            raise ValueError("nobody asked")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status >= 200:
            self._headers_complete, self._besides = True, 0
            self._wake()

    def on_body(self, body: bytes) -> None:
        size = len(body)
        self._size, self._besides, self._pieces = self._size + size, 0, self._pieces + 1
        if self._size > self._most or self._pieces * PIECE_COSTS > self._most:
            self._fail(too_large(self._host, self._most))
            return
        self._slice += size + PIECE_COSTS
        if self._slice > SLICE:
            self._rest()
        if self._is_stream:
            self._put_by(body)
        else:
            self._body += body
        self._wake()

    def _put_by(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._ahead += len(chunk)
        if self._ahead > AHEAD and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._status < 200:  # 100 Continue, 103 Early Hints: the answer is yet to come
            self._headers.clear()
            return
        self._complete = self.answered = True
        self._keep_alive = self._parser.should_keep_alive()
        self._idle_since = time.monotonic()
        self._wake()
