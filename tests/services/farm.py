"""The zoo in a thread of its own, at a plain loopback address, for code that is not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.upstream.zoo import Animal, Zoo, opened
from webapp.upstream.egress import Allowance


@dataclass
class Farm:
    zoo: Zoo

    @property
    def port(self) -> int:
        return self.zoo.port

    @property
    def allowance(self) -> Allowance:
        return Allowance("127.0.0.1", self.port, "127.0.0.0/24", cleartext=True)

    def url(self, path: str = "/mcp") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def put(self, animal: Animal, path: str = "/mcp") -> str:
        self.zoo.put(animal, path)
        return self.url(path)

    def sent(self, header: str) -> list[str]:
        """The values of one header, of all requests so far that had it."""
        return [ask.headers[header] for ask in self.zoo.asked if header in ask.headers]


@contextmanager
def farm() -> Iterator[Farm]:
    ready: threading.Event = threading.Event()
    found: list[Any] = []

    async def live() -> None:
        async with opened() as zoo:
            stop = asyncio.Event()
            found.extend((zoo, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    assert ready.wait(60)
    zoo, loop, stop = found
    try:
        yield Farm(zoo)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def tool(name: str, description: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}, **more}
