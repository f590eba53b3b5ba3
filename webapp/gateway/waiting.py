"""Calls that wait for people, without a thread each: one watch per worker looks when the store changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from webapp.gateway.holding import Guest
from webapp.services import approvals
from webapp.store import generation
from webapp.store.fields import now
from webapp.store.models import database

TICK = 0.1
# A worker whose agent is still waiting starts an approved call at once; the others leave it this head start.
HEAD_START = timedelta(seconds=0.6)
log = logging.getLogger(__name__)


class WaitingRoom:
    def __init__(self, start: Callable[[str], Awaitable[None]]) -> None:
        self._start = start
        self._guests: dict[str, set[Guest]] = {}
        self._seen: int | None = -1

    async def wait(self, approval_id: str, guest: Guest, seconds: float) -> None:
        """Returns when the approval is over, or when the time is."""
        self._guests.setdefault(approval_id, set()).add(guest)
        self.look()
        try:
            async with asyncio.timeout(seconds), guest.told(approval_id):
                await guest.over.wait()
        except TimeoutError:
            return
        finally:
            guests = self._guests[approval_id]
            guests.discard(guest)
            if not guests:
                del self._guests[approval_id]

    def speaker(self, approval_id: str) -> Guest:
        """Whom the server may speak to while the call runs: one of those who wait for it, if any."""
        for guest in self._guests.get(approval_id, ()):
            guest.running = True
        return next(iter(self._guests.get(approval_id, ())), Guest())

    def close(self) -> None:
        """Everybody is told to come back: this worker stops."""
        for guests in self._guests.values():
            for guest in guests:
                guest.over.set()

    def look(self) -> None:
        """Look at the next tick, whatever the generation says."""
        self._seen = -1

    async def watch(self) -> None:
        """Runs as long as the worker does."""
        while True:
            try:
                if (current := generation.known()) != self._seen:
                    self._seen = current
                    await self._news()
            except Exception:  # the watch must outlive a locked or briefly missing database
                log.exception("could not look for decided approvals")
                self._seen = -1
            await asyncio.sleep(TICK)

    async def _news(self) -> None:
        startable, states = await asyncio.to_thread(self._read, list(self._guests))
        for approval_id, state in states.items():
            if state in approvals.FINISHED:
                for guest in self._guests.get(approval_id, ()):
                    guest.over.set()
        for approval_id, decided_at in startable:
            if approval_id in self._guests or now() - decided_at > HEAD_START:
                await self._start(approval_id)
            else:
                self._seen = -1

    @staticmethod
    def _read(ids: list[str]) -> tuple[list[tuple[str, datetime]], dict[str, str]]:
        with database.connection_context():
            return [(a.id, a.decided_at) for a in approvals.startable()], approvals.states_of(ids)
