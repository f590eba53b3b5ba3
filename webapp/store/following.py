"""Knowing the store's generation on PostgreSQL without asking for each call: a thread that listens.

What it knows is never older than a second. Where it can't be sure it says so, and whoever needs to know asks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

CHANNEL = "gatehouse_generation"
ASK_SECONDS = 0.25  # besides: a silent line may be a dead one
GOOD_FOR_SECONDS = 1.0
TRY_AGAIN_SECONDS = 0.5
log = logging.getLogger(__name__)


def generation_in(execute: Callable[[str], Any]) -> int:
    row = execute("SELECT value FROM state WHERE key = 'generation'").fetchone()
    return int(row[0]) if row else 0


class Follower:
    """`connect` opens a connection of its own (psycopg, autocommit)."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._generation = 0
        self._asked_at = float("-inf")  # when what we know was asked for
        self._doubts = 0

    def known(self) -> int | None:
        """None: not for sure just now."""
        return self._generation if time.monotonic() - self._asked_at < GOOD_FOR_SECONDS else None

    def doubt(self) -> None:
        """This process has just raised it itself, so what is known is out of date until it was asked for again."""
        with self._lock:
            self._doubts += 1
            self._asked_at = float("-inf")

    def start(self) -> None:
        self._over.clear()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()
        self.doubt()

    def _follow(self) -> None:
        while not self._over.is_set():
            try:
                with self._connect() as connection:
                    self._listen(connection)
            except Exception as error:  # the thread outlives a server that restarts
                log.warning("lost the line to the database: %s; trying again", str(error).partition("\n")[0])
                self._over.wait(TRY_AGAIN_SECONDS)

    def _listen(self, connection: Any) -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        while not self._over.is_set():
            doubts, asked_at = self._doubts, time.monotonic()
            number = generation_in(connection.execute)
            with self._lock:
                if doubts == self._doubts:
                    self._generation, self._asked_at = number, asked_at
            for _ in connection.notifies(timeout=ASK_SECONDS, stop_after=1):
                pass
