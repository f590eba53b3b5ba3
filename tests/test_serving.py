"""Gatehouse as it is really served: several workers, and what happens when one dies."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from config import ROOT
from tests.serving import alive, answers, gatehouse, listens, practice_server
from tests.test_doorway import said


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_a_killed_worker_is_replaced_and_the_program_comes_back_after_losing_all(tmp_path: Path) -> None:
    with gatehouse(tmp_path) as server:
        first = server.kill(0)
        server.wait_ready()
        assert first not in server.workers()
        everybody = [server.pid, *server.workers()]
        server.kill("all")
        assert not listens(port_of(server.url))
        assert not any(map(alive, everybody))
        server.up()
        everybody = [server.pid, *server.workers()]
        assert len(everybody) == 3
        assert server.house.run("setup-code").stdout.startswith("Open ")
    assert not any(map(alive, everybody))
    assert "Traceback" not in server.said()


def test_wrong_settings_end_the_start_with_one_sentence(tmp_path: Path) -> None:
    wrong = {"ENTRA_TENANT": "common", "ENTRA_CLIENT_ID": "app", "ENTRA_CLIENT_SECRET": "x" * 40}
    env = os.environ | wrong | {"GATEHOUSE_DATA": str(tmp_path / "data"), "PORT": "0"}
    serve = ["gunicorn", "--config", "python:webapp.serving", "webapp.asgi:program()"]
    for command in (serve, ["flask", "--app", "webapp", "servers"]):
        ended = subprocess.run(
            [sys.executable, "-m", *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 1 and "ENTRA_TENANT must be the Directory (tenant) ID" in ended.stderr
        assert "Traceback" not in ended.stderr and not (tmp_path / "data").exists()


def test_workers_stand_behind_the_doorway(tmp_path: Path) -> None:
    with gatehouse(tmp_path, workers=1) as server:
        head = said(port_of(server.url), b"GET /healthz HTTP/1.1\r\nX: ", *[b"a" * 10_000] * 100)
    assert head[:13] in (b"HTTP/1.1 431 ", b"")  # or hung up on in the middle of it


MANY_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from webapp import serving
serving.on_starting(None)
assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
"""


def test_it_takes_as_many_connections_as_the_system_lets_it() -> None:
    subprocess.run([sys.executable, "-c", MANY_FILES], cwd=ROOT, check=True)


def test_it_stops_quickly_and_cleanly_when_asked(tmp_path: Path) -> None:
    with gatehouse(tmp_path, workers=1) as server:
        assert server.stop() == 0
        assert not answers(f"{server.url}/healthz")


def test_the_practice_server_starts_and_stops(tmp_path: Path) -> None:
    with practice_server(tmp_path) as url:
        assert answers(f"{url}/")
    assert not listens(port_of(url))


# Answers come and go, and between them come small things that stay; then the worker is at rest.
TO_AND_FRO = """
import asyncio, ctypes, os, sys
from webapp import memory, serving

def megabytes():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024**2

size, served = int(sys.argv[1]), "as served" in sys.argv
if served:
    serving.on_starting(None)
libc, small = ctypes.CDLL(None), []
libc.malloc.restype = ctypes.c_void_p
before = megabytes()
for _ in range(5):
    answers = []
    for _ in range(20 * 2**20 // size):
        answers.append(b"x" * size)
        small.append(libc.malloc(ctypes.c_size_t(1000)))
    del answers
if "at rest" in sys.argv:
    memory.TRIM_SECONDS = 0
    worker = object.__new__(serving.Worker)
    worker.ppid, worker.notify, worker._holes = os.getppid(), lambda: None, memory.Holes()
    asyncio.run(worker.callback_notify())  # as every two seconds
print(megabytes() - before)
"""


@pytest.mark.parametrize(("size", "state"), [(2**20, "at work"), (2**17, "at rest")])
def test_what_answers_took_goes_back_to_the_system(size: int, state: str) -> None:
    def kept(*how: str) -> float:
        command = [sys.executable, "-c", TO_AND_FRO, str(size), *how]
        return float(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout)

    assert kept("as served", state) < 5
    if platform.libc_ver()[0] == "glibc":
        assert kept() > 15, "glibc gives back by itself what it was freed of: the settings may go"
