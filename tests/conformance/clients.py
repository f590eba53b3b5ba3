"""Runs tests.conformance.client for those who ask at a socket, see turns.py: a few at a time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Any

from tests import forked

AT_ONCE = 3


@contextlib.contextmanager
def clients(seconds: float) -> Iterator[Path]:
    """The socket. What takes longer than this is killed."""
    with tempfile.TemporaryDirectory() as folder, _Clients(Path(folder), seconds) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.place
        finally:
            server.shutdown()
            thread.join()


class _Clients(ThreadingUnixStreamServer):
    request_queue_size = 100

    def __init__(self, folder: Path, seconds: float) -> None:
        self.place = folder / "socket"
        self.seconds = seconds
        self.places = threading.Semaphore(AT_ONCE)
        super().__init__(str(self.place), _Asked)


class _Asked(StreamRequestHandler):
    server: _Clients

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        with self.server.places:
            answer = _client(asked["url"], asked["env"], self.server.seconds)
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def _client(url: str, env: dict[str, str], seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        said = {name: Path(folder, name) for name in ("stdout", "stderr")}
        running = forked.start([sys.executable, "-m", "tests.conformance.client", url], env, **said)
        try:
            code = running.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            code = running.wait()
        return {"code": code} | {name: path.read_text(errors="replace") for name, path in said.items()}
