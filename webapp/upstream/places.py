"""So many at once; whoever comes when all places are taken waits for one, in the order of coming."""

from __future__ import annotations

import asyncio
from collections import deque


class Places:
    """Of one event loop. asyncio's semaphore does the same with a dozen calls where nobody waits, which is nearly
    always."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    def taken(self) -> bool:
        """One of those that are free, if there is one."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def take(self) -> None:
        if self.taken():
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # it had just been handed over
                self.give_back()
            raise

    def give_back(self) -> None:
        """A place goes straight to whoever has waited longest."""
        while self._waiting:
            next_one = self._waiting.popleft()
            if not next_one.done():
                return next_one.set_result(None)
        self._free += 1
