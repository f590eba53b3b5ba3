"""Waiting for what other threads, processes and programs do, by looking, where nothing tells."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

LONGEST = 60.0  # seconds


def until(happened: Callable[[], bool], what: str = "it happened", seconds: float = LONGEST) -> None:
    """Raises AssertionError when time is up."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not happened():
        assert time.monotonic() < end, f"not in {seconds:g} s: {what}"
        pause.wait(0.05)


async def eventually(happened: Callable[[], bool]) -> None:
    """The same on an event loop, which goes on meanwhile."""
    async with asyncio.timeout(LONGEST):
        while not happened():
            await asyncio.sleep(0.01)
