"""Servers of every temper on one loopback port, told apart by path: honest, old, broken and hostile ones."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from webapp.upstream.client import MODERN, Client
from webapp.upstream.egress import Allowance, Egress

HOST = "zoo.test"
INFO = {"name": "menagerie", "title": "The Menagerie", "version": "7.1"}
ECHO = {"name": "echo", "description": "Says it again", "inputSchema": {"type": "object"}}


@dataclass
class Ask:
    """One request as it came in. `hang_up` cuts the connection; `write` sends bytes as they are."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter = field(repr=False)

    @property
    def message(self) -> dict[str, Any]:
        parsed = json.loads(self.body or b"{}")
        assert isinstance(parsed, dict)
        return parsed

    @property
    def rpc(self) -> str:
        return str(self.message.get("method", ""))

    @property
    def params(self) -> dict[str, Any]:
        params = self.message.get("params", {})
        assert isinstance(params, dict)
        return params

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hang_up(self) -> None:
        self.writer.transport.abort()


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


# Answers one request; None where it has written its answer, or broken off, by itself.
Animal = Callable[[Ask], Awaitable[Answer | None]]


@dataclass
class Zoo:
    port: int
    scheme: str
    animals: dict[str, Animal] = field(default_factory=dict)
    asked: list[Ask] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{HOST}:{self.port}"

    def url(self, path: str = "/mcp") -> str:
        return self.origin + path

    def put(self, animal: Animal, path: str = "/mcp") -> str:
        self.animals[path] = animal
        return self.url(path)

    def publish(self, path: str, document: object) -> None:
        self.put(always(as_json(document)), path)

    def egress(self, *, allowed: bool = True, ca_file: str | None = None) -> Egress:
        place = Allowance(HOST, self.port, "127.0.0.0/8", cleartext=True)
        return Egress([place] if allowed else [], resolver=lambda host, port: ["127.0.0.1"], ca_file=ca_file)

    @asynccontextmanager
    async def client(self, animal: Animal, **settings: Any) -> AsyncIterator[Client]:
        url = self.put(animal)
        async with self.egress().http() as http:
            client = Client(url, http, **{"timeout": 5.0, **settings})
            yield client
            await client.aclose()

    def rpcs(self) -> list[str]:
        """What was asked, in order: MCP methods, or HTTP methods where there was no message."""
        return [(ask.rpc if ask.body else "") or ask.method for ask in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                ask = await _read(reader, writer)
                self.asked.append(ask)
                animal = self.animals.get(ask.path, always(Answer(404, b'{"message":"Not Found"}')))
                if (answer := await animal(ask)) is not None:
                    await ask.write(_written(answer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The client has gone, which is its right.
        finally:
            writer.close()


@asynccontextmanager
async def opened(tls: ssl.SSLContext | None = None) -> AsyncIterator[Zoo]:
    tasks: set[asyncio.Task[None]] = set()
    zoo = Zoo(0, "https" if tls else "http")

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(zoo.serve(reader, writer)))

    server = await asyncio.start_server(start, "127.0.0.1", 0, ssl=tls)
    zoo.port = server.sockets[0].getsockname()[1]
    try:
        yield zoo
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


# Answers


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"content-type": "application/json", **(headers or {})})


def result(ask: Ask, value: object, headers: Mapping[str, str] | None = None) -> Answer:
    return as_json({"jsonrpc": "2.0", "id": ask.message["id"], "result": value}, headers=headers)


def error(ask: Ask, code: int, message: str, data: object = None, status: int = 200) -> Answer:
    body: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        body["data"] = data
    return as_json({"jsonrpc": "2.0", "id": ask.message.get("id"), "error": body}, status)


def page(status: int = 200) -> Answer:
    return Answer(
        status, b"<!doctype html><title>Welcome</title>", {"content-type": "text/html; charset=utf-8"}
    )


def event(message: object, number: str = "") -> bytes:
    mark = f"id: {number}\n" if number else ""
    return f"event: message\n{mark}data: {json.dumps(message)}\n\n".encode()


async def begin_stream(ask: Ask) -> None:
    await ask.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")


# Animals


def always(answer: Answer) -> Animal:
    async def animal(ask: Ask) -> Answer:
        return answer

    return animal


async def silent(ask: Ask) -> Answer | None:
    await asyncio.Event().wait()
    return None


Replies = Mapping[str, Animal]


def modern(tools: object = (ECHO,), **replies: Animal) -> Animal:
    """A server of 2026-07-28. `replies` answer instead of it, by method: tools_list=…, tools_call=…"""

    async def animal(ask: Ask) -> Answer | None:
        if ask.method != "POST":
            return Answer(405)
        if ask.headers.get("mcp-protocol-version") != MODERN:
            return error(ask, -32022, "Unsupported protocol version", {"supported": [MODERN]}, 400)
        if ask.rpc == "server/discover":
            meta = {"io.modelcontextprotocol/serverInfo": INFO}
            return result(ask, {"supportedVersions": [MODERN], "capabilities": {}, "_meta": meta})
        return await _reply(ask, tools, replies)

    return animal


def legacy(
    tools: object = (ECHO,), *, version: str = "2025-06-18", sessions: bool = False, **replies: Animal
) -> Animal:
    """A server with a handshake. With `sessions` it knows only ids given out since the last `forget`."""
    known: list[str] = []

    async def animal(ask: Ask) -> Answer | None:
        if ask.method == "DELETE":
            known.remove(ask.headers["mcp-session-id"])
            return Answer(204)
        if ask.method != "POST":
            return Answer(405)
        if ask.rpc == "initialize":
            return _welcome(ask)
        if sessions and ask.headers.get("mcp-session-id") not in known:
            return error(ask, -32000, "Session not found", status=404)
        if ask.rpc == "forget":
            known.clear()
            return result(ask, {})
        if "id" not in ask.message or "method" not in ask.message:
            return Answer(202)
        return await _reply(ask, tools, replies)

    def _welcome(ask: Ask) -> Answer:
        greeting = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": INFO}
        if not sessions:
            return result(ask, greeting)
        known.append(f"session-{len(known) + 1}-{id(ask)}")
        return result(ask, greeting, {"mcp-session-id": known[-1]})

    return animal


def guarded(
    animal: Animal,
    challenge: str = "",
    *,
    status: int = 401,
    methods: tuple[str, ...] = (),
    credentials: tuple[str, str] = ("", ""),
) -> Animal:
    """Refuses `methods` (all, where none are named) to whoever does not send the header `credentials`."""
    name, value = credentials

    async def animal_behind_bars(ask: Ask) -> Answer | None:
        wanted = not methods or (ask.body != b"" and ask.rpc in methods)
        if wanted and not (name and ask.headers.get(name) == value):
            return Answer(status, b"no", {"www-authenticate": challenge} if challenge else {})
        return await animal(ask)

    return animal_behind_bars


async def old_event_stream(ask: Ask) -> Answer | None:
    """HTTP+SSE of 2024-11-05."""
    if ask.method == "POST":
        return Answer(405)
    await begin_stream(ask)
    await ask.write(b"event: endpoint\ndata: /messages?session=1\n\n")
    await asyncio.Event().wait()
    return None


def redirect(to: str, status: int) -> Animal:
    return always(Answer(status, headers={"location": to}))


async def _reply(ask: Ask, tools: object, replies: Mapping[str, Animal]) -> Answer | None:
    if (own := replies.get(ask.rpc.replace("/", "_"))) is not None:
        return await own(ask)
    if ask.rpc == "tools/list":
        return result(ask, {"tools": list(tools) if isinstance(tools, tuple) else tools})
    if ask.rpc == "tools/call" and ask.params["name"] == "echo":
        return result(ask, {"content": [{"type": "text", "text": json.dumps(ask.params.get("arguments"))}]})
    return error(ask, -32602, "Unknown tool")


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Ask:
    head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head.split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Ask(method, target.partition("?")[0], headers, body, writer)


def _written(answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} X", f"Content-Length: {len(answer.body)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body
