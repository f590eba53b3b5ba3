"""What every worker does beside its calls: beat, settle what the dead left, expire, renew and sync what is due,
count the log ahead and keep it as short as wanted."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from datetime import datetime

from peewee import DatabaseError

from webapp.errors import Refused
from webapp.gateway.errands import errand
from webapp.gateway.side_by_side import SideBySide
from webapp.services import (
    approvals,
    condition,
    daily_backups,
    intents,
    notices,
    retention,
    sync,
    tallying,
    tokens,
)
from webapp.services.audit import SYSTEM
from webapp.store.fields import now
from webapp.store.models import Integration, database
from webapp.store.writer import Writer

LOOK_SECONDS = 15
NOTICE_SECONDS = 2  # a look at two rows; how often notices are sent is a setting
BREATH_SECONDS = 0.05  # between two bites of a long job
log = logging.getLogger(__name__)


class Upkeep:
    def __init__(self, writer: Writer, worker: str) -> None:
        self._writer = writer
        self._worker = worker
        self._shortening = False
        self._clock = condition.Clock()

    async def beat(self) -> None:
        """A few times within the span after which a silent worker counts as dead.

        Whoever could not beat itself (the store was locked, the machine slept, the clock jumped) judges nobody:
        the others may have lived through the same.
        """
        last = now()
        while True:
            await self._beat()
            await self._try(functools.partial(_settle_dead, last))
            last = now()
            await self._try(approvals.expire_old)
            await asyncio.sleep(intents.BEAT_SECONDS)

    async def look_after_servers(self) -> None:
        """Whoever moves the due date does it: one worker per server, and many servers side by side."""
        syncs = SideBySide()
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    for integration in await errand(_due):
                        syncs.start(_sync, integration)
                except Exception:  # upkeep goes on: what is due is looked for again
                    log.exception("could not look which servers are due")
        finally:
            await syncs.close()

    async def keep_signed_in(self) -> None:
        """Whoever takes the lease does it. One after the other: each keeps a connection to the store, so that a new
        token is never lost."""
        await _again_and_again(_renew_due, LOOK_SECONDS, "could not look which sign-ins are due")

    async def keep_copies(self) -> None:
        """Whoever moves the due date makes the backup; for itself, as it may take minutes."""
        await _again_and_again(_back_up, LOOK_SECONDS, "looking for due backups failed")

    async def tell_people(self) -> None:
        """Whoever moves a channel's due date tells what waits: one worker per notice."""
        await _again_and_again(_tell_people, NOTICE_SECONDS, "could not send notices")

    async def look_after_log(self) -> None:
        """Both in bites: what is left at a stop is taken up by the next look."""
        while True:
            for job in (_count_ahead, self._shorten_log):
                try:
                    while await asyncio.to_thread(job):
                        await asyncio.sleep(BREATH_SECONDS)
                except Exception:  # upkeep goes on: what is due is looked for again
                    log.exception("looking after the log failed")
            await asyncio.sleep(LOOK_SECONDS)

    def _shorten_log(self) -> bool:
        """The worker that takes the daily look goes on until it is done."""
        with database.connection_context():
            if not self._shortening and retention.take():
                tallying.forget_old()
                self._shortening = True
            if self._shortening:
                self._shortening = retention.step()
            return self._shortening

    async def _beat(self) -> None:
        def beat() -> None:
            intents.beat(self._worker)
            self._clock.look()

        try:
            await asyncio.wrap_future(self._writer.submit(beat))
        except DatabaseError as error:
            condition.wrote(error)
        else:
            condition.wrote()

    async def _try(self, job: Callable[[], object]) -> None:
        try:
            await asyncio.wrap_future(self._writer.submit(job))
        except DatabaseError as error:  # what is wrong with the store is known from the beat
            log.debug("upkeep failed: %s", error)
        except Exception:  # upkeep goes on: the next beat tries again
            log.exception("upkeep failed")


async def _again_and_again(job: Callable[[], None], seconds: float, words: str) -> None:
    """`words`: what the log says when it fails. Upkeep goes on then: what is due is looked for again."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await errand(job)
        except Exception:
            log.exception(words)


def _settle_dead(last: datetime) -> None:
    """Unless more time than usual has passed since the last look."""
    if abs(now() - last) < intents.DEAD_AFTER / 2:
        intents.settle_dead()


def _count_ahead() -> bool:
    with database.connection_context():
        return tallying.count_ahead() > 0


def _renew_due() -> None:
    with database.connection_context():
        for integration in tokens.due():
            try:
                tokens.present(integration, early=True)
            except Refused as refusal:  # written on the integration's page by the attempt itself
                log.info("renewing the sign-in of %s: %s", integration.name, refusal.what)


def _back_up() -> None:
    with database.connection_context():
        if not daily_backups.take():
            return
        try:
            log.info("backup written to %s", daily_backups.make().path)
        except Refused as refusal:
            log.error("the daily backup failed: %s", refusal.what)


def _tell_people() -> None:
    with database.connection_context():
        notices.tell()


def _due() -> list[Integration]:
    with database.connection_context():
        return sync.due()


def _sync(integration: Integration) -> None:
    with database.connection_context():
        if not sync.take(integration):
            return
        try:
            sync.sync(integration, SYSTEM)
        except Refused as refusal:  # written on the integration's page by the sync itself
            log.info("scheduled sync of %s: %s", integration.name, refusal.what)
