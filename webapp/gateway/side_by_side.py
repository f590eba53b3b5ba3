"""Work on many servers at once, each in a thread of its own: one that is slow holds up no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from webapp.gateway.errands import errand
from webapp.store.models import Integration

AT_ONCE = 20  # more wait for their turn
Work = Callable[[Integration], None]
log = logging.getLogger(__name__)


class SideBySide:
    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[tuple[Work, int], asyncio.Task[None]] = {}

    def start(self, work: Work, integration: Integration) -> None:
        """Unless the same is under way for this server."""
        key = (work, integration.id)
        if key not in self._under_way:
            task = self._under_way[key] = asyncio.get_running_loop().create_task(self._do(work, integration))
            task.add_done_callback(lambda _: self._under_way.pop(key, None))

    async def close(self) -> None:
        """Whoever waits for a turn gets none; a thread at work ends by itself."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _do(self, work: Work, integration: Integration) -> None:
        async with self._places:
            try:
                await errand(work, integration)
            except Exception:  # what is due is looked for again
                log.exception("scheduled work on %s failed", integration.name)
