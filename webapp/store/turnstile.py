"""Whose turn it is to write, among all processes that share one SQLite file.

SQLite has a lock and no queue: whoever finds it taken looks again after 1, 2, 5, 10, … 100 ms, while others go ahead.
With two workers that both wrote much, one in twenty writes waited 40 ms to begin, and took 2 (docs/performance.md).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOOK_SECONDS = 0.0003
PATIENCE_SECONDS = 1.0


class Turnstile:
    """A courtesy, for the lock is SQLite's: whoever waits too long, or can't open the files, goes on without.

    Two locks make a queue: who has had the turn stands in line for the next one behind whoever waits already. They
    are the system's (flock), so they end with their process, and are held by file, so threads wait for each other too.
    """

    def __init__(self, folder: Path, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: seconds."""
        self._line, self._turn = folder / "turn.line", folder / "turn.lock"
        self._patience = patience

    @contextmanager
    def passed(self) -> Iterator[None]:
        deadline = time.monotonic() + self._patience
        with ExitStack() as turn:
            with _held(self._line, deadline):
                turn.enter_context(_held(self._turn, deadline))
            yield


@contextmanager
def _held(path: Path, deadline: float) -> Iterator[None]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a read-only or full disk: SQLite will say so
        yield
        return
    try:
        while not _taken(file) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(file)


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
