"""A light MCP server to measure against: canned JSON, both protocol eras, any number of tools, any delay.

`python -m tests.bench.upstream`; it prints its port. `/t/<tools>/mcp` has that many tools, `?ms=50` makes it slow;
`/v/<tools>/mcp` has various ones, reads and writes with the texts and schemas that people have to look through.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httptools
import uvloop

SERVER = {"name": "bench", "version": "1"}
VERSIONS = ["2026-07-28"]


def definitions(count: int) -> list[dict[str, Any]]:
    return [
        {
            "name": f"get_item_{number}",
            "description": f"Reads item number {number} of the store and returns what is known about it.",
            "inputSchema": {
                "type": "object",
                "properties": {"text": {"type": "string", "description": "What to say back."}},
                "required": ["text"],
            },
        }
        for number in range(count)
    ]


VERBS = ("get", "list", "search", "create", "update", "delete", "send", "assign", "merge", "sync")
NOUNS = (
    "ticket", "device", "client", "contract", "invoice", "backup", "user", "group", "licence", "alert",
    "printer", "mailbox", "site", "note", "asset", "schedule", "report", "policy", "agent", "domain",
)  # fmt: skip


def various(count: int) -> list[dict[str, Any]]:
    """As the servers of vendors have them: 200 characters of text, a schema with a dozen arguments."""
    return [_various(number) for number in range(count)]


def _various(number: int) -> dict[str, Any]:
    verb, noun = VERBS[number % len(VERBS)], NOUNS[number // len(VERBS) % len(NOUNS)]
    words = f"{verb.title()}s a {noun} of the service desk. Use the id that the list of {noun}s returned. "
    about = words + "Fields that are left out stay as they are; what is sent is written down by the server."
    arguments = {
        f"{noun}_{field}": {
            "type": "string",
            "description": f"The {field} of the {noun}, at most 200 characters.",
        }
        for field in (
            "id",
            "name",
            "status",
            "owner",
            "queue",
            "due",
            "note",
            "tag",
            "site",
            "kind",
            "from",
            "to",
        )
    }
    schema = {"type": "object", "properties": arguments, "required": [f"{noun}_id"]}
    return {"name": f"{verb}_{noun}_{number}", "description": about, "inputSchema": schema}


class Requests:
    """How many came, by method; shared by all connections."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}
        self._lists: dict[str, list[dict[str, Any]]] = {}

    def result(self, message: dict[str, Any], path: str) -> dict[str, Any] | None:
        method = message["method"]
        self.seen[method] = self.seen.get(method, 0) + 1
        if method == "tools/call":
            text = message["params"]["arguments"].get("text", "")
            return {"content": [{"type": "text", "text": text}], "isError": False}
        if method == "tools/list":
            return {"tools": self._tools(path)}
        if method == "server/discover":
            return {"supportedVersions": VERSIONS, "capabilities": {"tools": {}}, "serverInfo": SERVER}
        if method == "initialize":
            version = message["params"]["protocolVersion"]
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": SERVER}
        return None

    def _tools(self, path: str) -> list[dict[str, Any]]:
        if path not in self._lists:
            _, kind, count, *_ = path.split("/")
            self._lists[path] = {"t": definitions, "v": various}[kind](int(count))
        return self._lists[path]


class Connection(asyncio.Protocol):
    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body = b"", b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url, self._body = url, b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        url = urlsplit(self._url.decode())
        if url.path == "/seen":
            return self._send(200, self._requests.seen)
        if self._parser.get_method() != b"POST":
            return self._send(405, {})
        message = json.loads(self._body)
        if "id" not in message:
            return self._send(202, None)
        result = self._requests.result(message, url.path)
        said: dict[str, Any] = {"result": result} if result else {"error": {"code": -32601, "message": "no"}}
        answer = {"jsonrpc": "2.0", "id": message["id"]} | said
        if ms := float(parse_qs(url.query).get("ms", ["0"])[0]) * (message["method"] == "tools/call"):
            asyncio.get_running_loop().call_later(ms / 1000, self._send, 200, answer)
        else:
            self._send(200, answer)

    def _send(self, status: int, body: object) -> None:
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        self._transport.write(head.encode() + data)


async def main() -> None:
    requests = Requests()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(requests), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
