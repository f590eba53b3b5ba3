"""A whole Gatehouse for a test: the real program on a loopback port, a real MCP client, the real commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import uvicorn
from flask import Flask
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests import databases, forked
from webapp.store import generation
from webapp.store.database import writing
from webapp.store.models import Agent, database

T = TypeVar("T")
PASSWORD = "correct horse battery staple"
HELD_SECONDS = 60


@dataclass(frozen=True)
class Finished:
    code: int
    stdout: str
    stderr: str


@dataclass
class House:
    """`url` is where the program listens. Everything is done from outside: HTTP, MCP, the command line."""

    url: str
    data: Path
    env: dict[str, str]
    app: Flask | None = None

    def run(self, *arguments: str, stdin: str = "", check: bool = True) -> Finished:
        """`flask --app webapp …`: in this process where the program runs here too, else in one of its own."""
        if self.app is not None:
            runner = self.app.test_cli_runner()
            result = self.do(lambda: runner.invoke(args=arguments, input=stdin))
            done = Finished(result.exit_code, result.stdout, result.stderr)
        else:
            env = os.environ | {"DATABASE_URL": databases.url(self.data)} | self.env
            done = _finished(arguments, dict(env), stdin)
        if check and done.code:
            raise AssertionError(f"{arguments} failed: {done.stderr}")
        return done

    def do(self, work: Callable[[], T]) -> T:
        """In a thread of its own, as a worker would: the test's thread may have an event loop running."""

        def connected() -> T:
            with database.connection_context():
                return work()

        assert databases.is_open(self.data), "another house was opened in this process since"
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(connected).result()

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.run(*arguments, "--json").stdout)
        return rows

    def agent(self, name: str, *options: str, held: bool = False) -> str:
        """Its key. `held`: its calls that need a person are held until there is a decision, however long that takes."""
        key = self.run("create-agent", name, *options).stdout.strip()
        if held:
            self.do(lambda: _hold(name))
        return key

    @contextlib.asynccontextmanager
    async def client(self, key: str, *, path: str = "/mcp", mode: str = "legacy") -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=2 * HELD_SECONDS, trust_env=False) as http:
            transport = streamable_http_client(self.url + path, http_client=http)
            async with Client(transport, mode=mode) as client:
                yield client

    def post(self, message: object, key: str | None, **headers: str) -> httpx2.Response:
        sent = {"accept": "application/json, text/event-stream"} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        return httpx2.post(
            f"{self.url}/mcp", json=message, headers=sent, timeout=2 * HELD_SECONDS, trust_env=False
        )

    def call(
        self, key: str, name: str, arguments: dict[str, Any] | None = None, id: int = 1
    ) -> dict[str, Any]:
        """One tools/call, raw: the JSON-RPC answer."""
        params = {"name": name, "arguments": arguments or {}}
        reply = self.post({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}, key)
        return last_message(reply)

    @contextlib.contextmanager
    def browser(self, email: str = "ann@example.com") -> Iterator[httpx2.Client]:
        """A signed-in browser without JavaScript."""
        options: dict[str, Any] = {"follow_redirects": True, "timeout": 60, "trust_env": False}
        with httpx2.Client(base_url=self.url, headers={"Origin": self.url}, **options) as http:
            self._sign_in(http, email)
            yield http

    @staticmethod
    def _sign_in(http: httpx2.Client, email: str) -> None:
        page = http.get("/login")
        form = {"email": email, "password": PASSWORD, "csrf_token": token_in(page.text)}
        assert http.post("/login", data=form).url.path == "/"


def _hold(name: str) -> None:
    with writing():
        Agent.update(hold_seconds=HELD_SECONDS).where(Agent.name == name).execute()
        generation.raise_by_one()


def _finished(arguments: tuple[str, ...], env: dict[str, str], stdin: str) -> Finished:
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, name) for name in ("stdin", "stdout", "stderr")}
        files["stdin"].write_text(stdin)
        command = [sys.executable, "-m", "flask", "--app", "webapp", *arguments]
        code = forked.start(command, env, **files).wait(120)
        return Finished(code, files["stdout"].read_text(), files["stderr"].read_text())


def modern_meta(capabilities: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a program of 2026-07-28 says of itself with each request, in `params._meta`."""
    return {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "by hand", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities or {},
    }


def last_message(reply: httpx2.Response) -> dict[str, Any]:
    """The answer, whether it came as JSON or as the last server-sent event."""
    if reply.headers.get("content-type", "").startswith("text/event-stream"):
        data = [line[5:] for line in reply.text.splitlines() if line.startswith("data:")]
        message: dict[str, Any] = json.loads(data[-1])
    else:
        message = reply.json()
    return message


def token_in(html: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', html)
    assert found, "the page has no form with a token"
    return found.group(1)


@contextlib.contextmanager
def served(app: Any, port: int = 0) -> Iterator[str]:
    """An ASGI app on a loopback port, a free one where none is given, in a thread; yields its URL."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    with socket.create_server(("127.0.0.1", port)) as listener, in_thread(Server(config), listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class Server(uvicorn.Server):
    """Hears at once that it is to stop; uvicorn's own looks ten times a second whether it is."""

    _wake: Callable[[], object] | None = None

    async def main_loop(self) -> None:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(told.set)
        seconds = 0
        while not await self.on_tick(10 * seconds):  # each tenth renews the Date of the answers
            seconds += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), 1)

    def stop(self) -> None:
        self.should_exit = True
        if self._wake:
            with contextlib.suppress(RuntimeError):  # its loop is closed: it has stopped
                self._wake()


@contextlib.contextmanager
def in_thread(server: Server, *listeners: socket.socket) -> Iterator[None]:
    thread = threading.Thread(target=server.run, kwargs={"sockets": list(listeners)})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "it could not start"
            time.sleep(0.005)
        yield
    finally:
        server.stop()
        thread.join()


def text_of(answer: dict[str, Any]) -> str:
    """The first text of a tools/call answer."""
    text: str = answer["result"]["content"][0]["text"]
    return text
