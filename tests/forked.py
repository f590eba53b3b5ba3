"""`python -m …` for tests, as a fork of a process that has the program loaded: loading it takes two seconds each time.

What is forked has only been imported, nothing of it runs; signals, groups, exit codes and output are those of any
other process. tests/test_make_run.py and tests/test_deploy.py start the program as its users do.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock

from config import ROOT

# Not webapp.serving, which reads its settings when it is imported.
LOADED = [
    "tests.once", "webapp.asgi", "webapp.practice",
    "gunicorn.app.wsgiapp", "uvicorn_worker", "uvloop", "httptools",
]  # fmt: skip
NOTHING = Path(os.devnull)
_on = False
# An exit code can be read once only, and whoever starts a process reads those of all others.
_reading = Lock()
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(LOADED)


@dataclass
class Forked:
    """As much of `subprocess.Popen` as tests need."""

    process: BaseProcess

    @property
    def pid(self) -> int:
        assert self.process.pid
        return self.process.pid

    def wait(self, timeout: float | None = None) -> int:
        wait_for([self.process.sentinel], timeout)
        code = self._code()
        if code is None:
            raise subprocess.TimeoutExpired(self.process.name, timeout or 0)
        return code

    def send_signal(self, sign: int) -> None:
        if self._code() is None:
            os.kill(self.pid, sign)

    def _code(self) -> int | None:
        with _reading:
            return self.process.exitcode


def install() -> None:
    """From now on. Without it, as where start-up and memory are measured, all processes are made from nothing."""
    global _on
    _on = True


def start(
    command: list[str], env: dict[str, str], *, stdin: Path = NOTHING, stdout: Path, stderr: Path
) -> Forked | subprocess.Popen[bytes]:
    """In a session of its own, at the top of the tree. What is in the files already stays."""
    files = (stdin, stdout, stderr)
    if not _on or command[:2] != [sys.executable, "-m"]:
        with stdin.open("rb") as read, stdout.open("ab") as write, stderr.open("ab") as errors:
            return subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=read, stdout=write, stderr=errors, start_new_session=True
            )
    process = _context.Process(target=_run, args=(command[2:], env, files), name=command[2])
    with _reading:
        process.start()
    return Forked(process)


def _run(argv: list[str], env: dict[str, str], files: tuple[Path, ...]) -> None:
    os.setsid()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(env)
    for number, path in enumerate(files):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.argv = list(argv)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
