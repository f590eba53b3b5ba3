"""A website on loopback: what it answers is a table, what it was asked is kept whole."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Pages = Mapping[str, tuple[int, dict[str, str]]]
"""Path → status and headers. Status 0 is silence. `%PORT%` in a header is the site's own port."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _answer(
    writer: asyncio.StreamWriter, status: int, headers: dict[str, str], port: int, body: bytes
) -> None:
    if status == 0:
        await asyncio.Event().wait()
    lines = [f"HTTP/1.1 {status} Said so", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value.replace('%PORT%', str(port))}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
    await writer.drain()


@asynccontextmanager
async def site(pages: Pages, *, body: bytes = b"", tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    seen = Site()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                seen.requests.append(request := await _read(reader))
                await _answer(writer, *pages.get(request.path, (404, {})), seen.port, body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The client has read enough.
        finally:
            writer.close()

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(handle(reader, writer)))

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
