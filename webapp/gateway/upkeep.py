"""What every worker does beside its calls: beat, settle what the dead left, expire, sync what is due."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from datetime import datetime

from webapp.errors import Refused
from webapp.services import approvals, intents, sync
from webapp.services.audit import SYSTEM
from webapp.store.fields import now
from webapp.store.models import database
from webapp.store.writer import Writer

SYNC_LOOK_SECONDS = 15
log = logging.getLogger(__name__)


class Upkeep:
    def __init__(self, writer: Writer, worker: str) -> None:
        self._writer = writer
        self._worker = worker

    async def beat(self) -> None:
        """A few times within the span after which a silent worker counts as dead.

        Whoever could not beat itself (the store was locked, the machine slept, the clock jumped) judges nobody:
        the others may have lived through the same.
        """
        last = now()
        while True:
            await self._try(lambda: intents.beat(self._worker))
            await self._try(functools.partial(_settle_dead, last))
            last = now()
            await self._try(approvals.expire_old)
            await asyncio.sleep(intents.BEAT_SECONDS)

    async def sync(self) -> None:
        """Whoever moves the due date first does it: one worker per server and turn."""
        while True:
            await asyncio.sleep(SYNC_LOOK_SECONDS)
            try:
                await asyncio.to_thread(_sync_due)
            except Exception:  # upkeep goes on: what is due is looked for again
                log.exception("the scheduled sync failed")

    async def _try(self, job: Callable[[], object]) -> None:
        try:
            await asyncio.wrap_future(self._writer.submit(job))
        except Exception:  # upkeep goes on: the next beat tries again
            log.exception("upkeep failed")


def _settle_dead(last: datetime) -> None:
    """Unless more time than usual has passed since the last look."""
    if abs(now() - last) < intents.DEAD_AFTER / 2:
        intents.settle_dead()


def _sync_due() -> None:
    with database.connection_context():
        for integration in sync.due():
            if not sync.take(integration):
                continue
            try:
                sync.sync(integration, SYSTEM)
            except Refused as refusal:  # written on the integration's page by the sync itself
                log.info("scheduled sync of %s: %s", integration.name, refusal.what)
