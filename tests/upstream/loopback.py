"""Small servers on loopback that answer byte for byte what a test tells them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Loopback:
    """One server: where it listens, and the heads of all requests it got."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    connections: int = 0


def reply(body: bytes = b"ok", status: str = "200 OK", *headers: str) -> Answer:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()

    return answer


def raw(*pieces: bytes) -> Answer:
    """These bytes, then the end of the connection."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
        writer.close()

    return answer


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def endless(head: bytes, piece: bytes, pause: float) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


@contextmanager
def shaking_hands(tls: ssl.SSLContext) -> Iterator[int]:
    """A port that sends its alert when the handshake fails, as real servers do and asyncio's don't."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        plain, _ = listener.accept()
        secure = tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        with suppress(ssl.SSLError):
            secure.do_handshake()
        with socket.socket(fileno=secure.detach()) as rest:
            rest.shutdown(socket.SHUT_WR)
            while rest.recv(65536):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(60)
        listener.close()


@asynccontextmanager
async def serving(
    answer: Answer | None = None, tls: ssl.SSLContext | None = None, read_request: bool = True
) -> AsyncIterator[Loopback]:
    """Serves the same answer to every request on 127.0.0.1 until the block ends.

    Without `read_request` the first bytes of any kind are enough for an answer.
    """
    seen = Loopback()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        try:
            while not writer.is_closing():
                if read_request:
                    seen.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                else:
                    await reader.read(65536)
                await (answer or reply())(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The client has gone, which is what many of these tests are about.
        finally:
            writer.close()

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(handle(reader, writer))
        tasks.add(task)

    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: seen.names.append(str(name))
    server = await asyncio.start_server(start, "127.0.0.1", 0, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
