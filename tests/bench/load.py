"""Agents in a closed loop: each has one kept-alive connection, asks, checks the answer, asks again.

`python -m tests.bench.load URL --agents 16 --seconds 4 --tool NAME [--key KEY] [--method tools/list]` prints JSON.
With `--rate 200` they ask so often a second in all, and no oftener.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop


@dataclass
class Tally:
    seconds: list[float] = field(default_factory=list)
    bytes: int = 0
    wrong: list[str] = field(default_factory=list)


class Agent(asyncio.Protocol):
    """Asks until the time is up; `done` resolves then."""

    def __init__(self, wish: argparse.Namespace, number: int, tally: Tally, until: float) -> None:
        self._wish, self._number, self._tally, self._until = wish, number, tally, until
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count = 0
        url = urlsplit(wish.url)
        target = f"{url.path}?{url.query}" if url.query else url.path
        key = f"authorization: Bearer {wish.key}\r\n" if wish.key else ""
        key += f"mcp-session-id: {wish.session}\r\n" if wish.session else ""
        self._head = (
            f"POST {target} HTTP/1.1\r\nhost: {url.netloc}\r\ncontent-type: application/json\r\n"
            f"accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\n{key}"
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._due = time.monotonic() + self._wish.gap * self._number / self._wish.agents
        self._next()

    def _next(self) -> None:
        """At once, or when its turn has come; it does not hurry to make up for a slow answer."""
        self._due = max(time.monotonic(), self._due + self._wish.gap)
        asyncio.get_running_loop().call_later(
            self._due - time.monotonic() if self._wish.gap else 0, self._ask
        )

    def _ask(self) -> None:
        self._count += 1
        self._text = f"{self._number}-{self._count}"
        params = {"name": self._wish.tool, "arguments": {"text": self._text}}
        message = {"jsonrpc": "2.0", "id": self._count, "method": self._wish.method}
        if self._wish.method == "tools/call":
            message["params"] = params
        body = json.dumps(message).encode()
        self._parser, self._body = httptools.HttpResponseParser(self), b""
        self._began = time.perf_counter()
        self._transport.write(f"{self._head}content-length: {len(body)}\r\n\r\n".encode() + body)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self._tally.seconds.append(now - self._began)
        self._tally.bytes += len(self._body)
        wanted = f'"{self._text}"' if self._wish.method == "tools/call" else '"tools":['
        if wanted.encode() not in self._body.replace(b'": ', b'":'):
            self._tally.wrong.append(self._body[:300].decode("utf-8", "replace"))
        if now < self._until and len(self._tally.wrong) < 10:
            self._next()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._tally.wrong.append(f"the connection was closed: {error}")
            self.done.set_result(None)


async def load(wish: argparse.Namespace) -> dict[str, Any]:
    tally, loop, url = Tally(), asyncio.get_running_loop(), urlsplit(wish.url)
    began = time.perf_counter()
    agents: list[Agent] = []
    for number in range(wish.agents):
        _, agent = await loop.create_connection(
            lambda number=number: Agent(wish, number, tally, began + wish.seconds), url.hostname, url.port
        )
        agents.append(agent)
    await asyncio.gather(*(agent.done for agent in agents))
    took, times = time.perf_counter() - began, sorted(tally.seconds)
    return {
        "calls": len(times),
        "rate": len(times) / took,
        "p50_ms": 1000 * times[len(times) // 2],
        "p95_ms": 1000 * times[int(len(times) * 0.95)],
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
        "bytes": tally.bytes,
        "wrong": tally.wrong[:3],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--agents", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--tool", default="get_item_0")
    parser.add_argument("--key", default="")
    parser.add_argument("--method", default="tools/call")
    parser.add_argument("--session", default="")
    parser.add_argument("--rate", type=float, default=0)
    wish = parser.parse_args()
    wish.gap = wish.agents / wish.rate if wish.rate else 0  # seconds between two calls of one agent
    print(json.dumps(uvloop.run(load(wish))))


if __name__ == "__main__":
    main()
