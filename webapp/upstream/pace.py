"""How fast servers may speak: what comes faster than it can be borne is not read yet, and in time they wait, too."""

from __future__ import annotations

import asyncio
import time

AT_ONCE = 500  # messages of one call, before anybody minds
PER_SECOND = 250  # after that
SHOWN_AT_ONCE, SHOWN_PER_SECOND = 100, 20  # messages about progress, of which each outdates the one before
SLICE = 128 * 1024  # bytes of one answer, after which others have their turn
SLICE_SECONDS = 0.002


class Pace:
    """Of the messages beside one call's answer. Whoever reads the stream waits here after each."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._heard = 0
        self._shown = 0.0

    def shows(self) -> bool:
        """Whether one more message about progress goes on to who waits; what comes faster is left out."""
        moment = time.monotonic()
        if self._heard >= SHOWN_AT_ONCE and moment - self._shown < 1 / SHOWN_PER_SECOND:
            return False
        self._shown = moment
        return True

    async def keep(self) -> None:
        self._heard += 1
        due = self._began + (self._heard - AT_ONCE) / PER_SECOND
        # Also where it is not ahead: a thousand may be here already, and others must have their turn between them.
        await asyncio.sleep(max(0, due - time.monotonic()))


class Turns:
    """Of all answers that are larger than a slice: together they get a slice at a time, so many times a second."""

    def __init__(self) -> None:
        self._next = 0.0

    def wait(self) -> float:
        """Seconds until whoever asks may read its next slice."""
        moment = time.monotonic()
        self._next = max(moment, self._next) + SLICE_SECONDS
        return self._next - moment
