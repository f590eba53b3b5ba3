"""The least that any Python gateway costs: a reverse proxy that copies bytes and understands nothing.

`python -m tests.bench.floor PORT` forwards to that port; it prints its own.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop


class Half(asyncio.Protocol):
    """One side of a connection; what arrives before the other side is there waits."""

    def __init__(self) -> None:
        self.other: Half | None = None
        self._transport: Any = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self.other.write(data)

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def join(self, other: Half) -> None:
        self.other = other
        for data in self._early:
            other.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.close()


class Front(Half):
    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        _, back = await asyncio.get_running_loop().create_connection(Half, "127.0.0.1", self._port)
        back.other = self
        self.join(back)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Front(port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
