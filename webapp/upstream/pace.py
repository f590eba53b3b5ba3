"""How fast a server may speak beside its answer: a flood of notifications is read no faster than it can be borne."""

from __future__ import annotations

import asyncio
import time

AT_ONCE = 1000  # messages of one call, before anybody minds
PER_SECOND = 500  # after that


class Pace:
    """One per call. Whoever reads the stream waits here after each message, and so does the server, in time."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._heard = 0

    async def keep(self) -> None:
        self._heard += 1
        due = self._began + (self._heard - AT_ONCE) / PER_SECOND
        if (ahead := due - time.monotonic()) > 0:
            await asyncio.sleep(ahead)
