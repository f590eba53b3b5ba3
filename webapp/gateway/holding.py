"""What an agent's program hears while its call waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from webapp.gateway.voice import Voice

Report = Callable[[dict[str, Any]], Awaitable[None]]
FIRST_SECONDS, EVERY_SECONDS = 1.0, 5.0


class Rising:
    """Progress may never fall: what the server reports once the call runs goes on from where the waiting was."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._waited = 0

    async def waits(self, message: str) -> None:
        self._waited += 1
        await self._report({"progress": self._waited, "message": message})

    async def __call__(self, progress: dict[str, Any]) -> None:
        shifted = {
            name: progress[name] + self._waited
            for name in ("progress", "total")
            if isinstance(progress.get(name), (int, float))
        }
        await self._report(progress | shifted)


class Guest:
    """An agent's program that holds the line until its call has an outcome."""

    running = False  # a person said yes, and the server reports from now on

    def __init__(self, report: Report | None = None, voice: Voice | None = None) -> None:
        self.over = asyncio.Event()
        self.on_progress = Rising(report) if report else None
        self.voice = voice

    @asynccontextmanager
    async def told(self, approval_id: str) -> AsyncIterator[None]:
        """Every few seconds that it waits, where it wants to hear of progress."""
        if self.on_progress is None:
            yield
            return
        telling = asyncio.create_task(self._tell(self.on_progress, approval_id))
        try:
            yield
        finally:
            telling.cancel()

    async def _tell(self, progress: Rising, approval_id: str) -> None:
        await asyncio.sleep(FIRST_SECONDS)
        while not self.running:
            await progress.waits(f"Waiting for a person to approve this call ({approval_id})")
            await asyncio.sleep(EVERY_SECONDS)
