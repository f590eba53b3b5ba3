"""`make run`: two servers under one command, and nothing of them left when it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import ROOT
from tests.serving import Process, answers, free_port

pytestmark = [
    pytest.mark.skipif(
        not (ROOT / ".venv/runtime").exists(), reason="`make run` would first install a .venv here"
    ),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes in /proc"),
]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Process]:
    """Started in a session of its own, like in a terminal; both servers answer."""
    port, practice = free_port(), free_port()
    env = {"PORT": str(port), "PRACTICE_PORT": str(practice)}
    env |= {"GATEHOUSE_DATA": str(tmp_path / "data"), "WEB_CONCURRENCY": "1"}
    process = Process(["make", "--silent", "run"], tmp_path / "run.log", env)
    # A shell that runs these tests in the background makes them, and all that they start, deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process.start()
    session = process.pid
    try:
        process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "Gatehouse answered")
        process.wait_until(lambda: answers(f"http://127.0.0.1:{practice}/"), "the practice server answered")
        yield process
    finally:
        process.kill_group()
        for pid in members(session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def members(session: int) -> list[int]:
    """The processes of a session that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


def nothing_left(session: int, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while left := members(session):
        if time.monotonic() > deadline:
            print(left)
            return False
        time.sleep(0.05)
    return True


def test_ctrl_c_stops_both_servers(run: Process, tmp_path: Path) -> None:
    assert re.search(rf"^Open http://127\.0\.0\.1:{run.env['PORT']}/setup .*code: \S+$", run.said(), re.M)
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    assert len(members(run.pid)) >= 5  # make, its shell, gunicorn with a worker, the practice server
    os.killpg(run.pid, signal.SIGINT)
    assert nothing_left(run.pid)


def test_when_one_server_dies_the_other_is_stopped_too(run: Process) -> None:
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in members(run.pid)}
    master = min(pid for pid, words in commands.items() if any(word.endswith("gunicorn") for word in words))
    os.kill(master, signal.SIGKILL)
    assert nothing_left(run.pid)
