"""A server says that its tools changed: it is synced within seconds, however often it says so."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from webapp.errors import Refused
from webapp.services import sync
from webapp.services.audit import SYSTEM
from webapp.store.models import database
from webapp.store.writer import Writer

SETTLE_SECONDS = 0.05  # servers that change many tools often say so once for each
# Between two syncs of one server: a few in quick succession, then twice as long each time, as some say it whenever
# their tools are listed.
QUICK, QUICK_SECONDS = 5, 0.3
FIRST_SECONDS, LONGEST_SECONDS = 2.0, 60.0
CALM_SECONDS = 300.0  # after so long it may be as quick as at first
AT_ONCE = 4  # slow ones among them must not hold up the others
log = logging.getLogger(__name__)


@dataclass
class _Pace:
    """When one server may be synced again. Its news that come in between wait for that together."""

    news: bool = False
    work: asyncio.Task[None] | None = None
    last: float = -CALM_SECONDS
    count: int = 0

    def pause(self, moment: float) -> float:
        """And then it is synced."""
        since = moment - self.last
        self.count = 0 if since >= CALM_SECONDS else self.count
        pause = max(SETTLE_SECONDS, self._gap() - since)
        self.last, self.count = moment + pause, self.count + 1
        return pause

    def _gap(self) -> float:
        if self.count < QUICK:
            return QUICK_SECONDS
        return min(FIRST_SECONDS * 2.0 ** min(self.count - QUICK, 10), LONGEST_SECONDS)


class Hearing:
    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._paces: dict[int, _Pace] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sync")

    def heard(self, integration_id: int) -> None:
        """On the event loop; costs next to nothing, for a server may say it a thousand times."""
        pace = self._paces.setdefault(integration_id, _Pace())
        pace.news = True
        if pace.work is None:
            pace.work = asyncio.get_running_loop().create_task(self._work(integration_id, pace))

    async def close(self) -> None:
        """What was still to be done stays due, for whoever looks next."""
        tasks = [pace.work for pace in self._paces.values() if pace.work is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _work(self, integration_id: int, pace: _Pace) -> None:
        loop = asyncio.get_running_loop()
        try:
            while pace.news:
                await asyncio.sleep(pace.pause(loop.time()))
                pace.news = False
                await self._sync(integration_id)
        finally:
            pace.work = None

    async def _sync(self, integration_id: int) -> None:
        try:
            await asyncio.wrap_future(self._writer.submit(lambda: sync.hasten(integration_id)))
            await asyncio.get_running_loop().run_in_executor(self._threads, _sync_now, integration_id)
        except Exception:  # what is due is looked for again by every worker's upkeep
            log.exception("a sync that a server asked for failed")


def _sync_now(integration_id: int) -> None:
    """Unless another worker was faster, or it is not synced by itself."""
    with database.connection_context():
        integration = next((one for one in sync.due() if one.id == integration_id), None)
        if integration is None or not sync.take(integration):
            return
        try:
            sync.sync(integration, SYSTEM)
        except Refused as refusal:  # written on the integration's page by the sync itself
            log.info("sync of %s, whose tools changed: %s", integration.name, refusal.what)
