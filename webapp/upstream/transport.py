"""HTTP over the guard: where it may connect, how much it may read, and for how long."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore2
import httpx2

from webapp.errors import BadReply, EgressDenied, Unreachable

if TYPE_CHECKING:
    from webapp.upstream.egress import Egress


CONNECT_SECONDS = 5.0


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens sockets for the pool. Connects to a checked address; TLS goes on to verify the host's name."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        async def attempt(address: str, seconds: float) -> httpcore2.AsyncNetworkStream:
            return await self._sockets.connect_tcp(address, port, seconds, local_address, socket_options)

        return await self._egress.connect(
            host, port, CONNECT_SECONDS if timeout is None else timeout, attempt
        )

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        raise EgressDenied("A socket on this machine can't be used as a server.", kind="never")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Built on httpcore2's public pool: httpx2's own transport takes a backend only in a private field."""

    def __init__(self, egress: Egress, tls: ssl.SSLContext, max_bytes: int, total_seconds: float) -> None:
        self._egress = egress
        self._max_bytes = max_bytes
        self._total_seconds = total_seconds
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            network_backend=GuardedBackend(egress),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=20.0,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._egress.check_url(request.url)
        host = request.url.host
        seconds = float(request.extensions.get("total_seconds", self._total_seconds))
        most = int(request.extensions.get("max_bytes", self._max_bytes))
        deadline = asyncio.get_running_loop().time() + seconds
        # A compressed answer may be a bomb: 50 KB that become 50 MB.
        request.headers["Accept-Encoding"] = "identity"
        response = await self._headers(request, deadline, seconds)
        body = CappedBody(response.stream, host, most, deadline, seconds)
        answer = httpx2.Response(
            response.status, headers=response.headers, stream=body, extensions=response.extensions
        )
        try:
            refuse_unread(answer.headers, host, most)
        except BadReply:
            await body.aclose()
            raise
        return answer

    async def _headers(self, request: httpx2.Request, deadline: float, seconds: float) -> httpcore2.Response:
        try:
            with _as_httpx2():
                async with asyncio.timeout_at(deadline):
                    return await self._pool.handle_async_request(_core_request(request, seconds))
        except TimeoutError as error:
            raise no_answer(request.url.host, seconds) from error

    async def aclose(self) -> None:
        await self._pool.aclose()


class CappedBody(httpx2.AsyncByteStream):
    """An answer's body, cut at a number of bytes and at a deadline that a drip of bytes can't put off."""

    def __init__(self, stream: Any, host: str, most: int, deadline: float, seconds: float) -> None:
        self._stream = stream
        self._host = host
        self._most = most
        self._deadline = deadline
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        chunks = aiter(self._stream)
        while (chunk := await self._next(chunks)) is not None:
            size += len(chunk)
            if size > self._most:
                raise too_large(self._host, self._most)
            yield chunk

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            with _as_httpx2():
                async with asyncio.timeout_at(self._deadline):
                    return await anext(chunks, None)
        except TimeoutError as error:
            raise too_slow(self._host, self._seconds) from error

    async def aclose(self) -> None:
        await self._stream.aclose()


def _core_request(request: httpx2.Request, seconds: float) -> httpcore2.Request:
    assert isinstance(request.stream, AsyncIterable)
    # Connecting ends before the total does: a handshake that stalls is no slow answer, nothing was sent.
    timeouts = dict(request.extensions.get("timeout", {}))
    timeouts["connect"] = min(timeouts.get("connect") or CONNECT_SECONDS, seconds * 0.8)
    return httpcore2.Request(
        method=request.method,
        url=httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        ),
        headers=request.headers.raw,
        content=request.stream,
        extensions={**request.extensions, "timeout": timeouts},
    )


def refuse_unread(headers: Mapping[str, str], host: str, most: int) -> None:
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise BadReply(
            f"{host} sent a compressed answer, which we had asked it not to do.",
            kind="compressed",
            why="A small compressed answer can grow to any size, so we don't unpack it.",
            next_step="Switch compression off for this address on the server or the proxy in front of it.",
        )
    if (length := headers.get("content-length", "")).isdecimal() and int(length) > most:
        raise too_large(host, most)


def too_slow(host: str, seconds: float) -> BadReply:
    return BadReply(
        f"The answer of {host} was not complete after {seconds:g} seconds.",
        kind="too_slow",
        why="It came too slowly, or never ends.",
        next_step="Try again later.",
    )


def no_answer(host: str, seconds: float) -> Unreachable:
    return Unreachable(
        f"{host} did not answer within {seconds:g} seconds.",
        kind="read_timeout",
        why="It may be busy, or stuck on this request.",
        next_step="Try again later.",
        sent=True,
    )


def too_large(host: str, most: int) -> BadReply:
    return BadReply(
        f"The answer of {host} is larger than {most / (1024 * 1024):g} MB.",
        kind="too_large",
        why="Tools with very large answers would crowd out the others.",
        next_step="Ask for less at a time.",
    )


def endless_head(host: str) -> BadReply:
    return BadReply(
        f"The answer of {host} begins with more headers than any server needs.",
        kind="too_large",
        why="The server has a fault, or wants to fill the memory of this machine.",
        next_step="Ask whoever runs the server.",
    )


@contextmanager
def _as_httpx2() -> Generator[None]:
    """httpcore2's exceptions under the same names in httpx2, which callers and other libraries expect."""
    try:
        yield
    except (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx2, type(error).__name__)(str(error)) from error
    except ssl.SSLError as error:
        # httpcore2 lets the alerts through that TLS 1.3 sends after the handshake.
        raise httpx2.ReadError(str(error)) from error
