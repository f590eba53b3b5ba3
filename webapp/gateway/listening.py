"""Idle listening: one worker of the installation holds one stream to every server that tells when its tools change."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from webapp.errors import Refused
from webapp.gateway.errands import errand
from webapp.services import connections, intents
from webapp.services.egress import egress_for
from webapp.store.models import Connection, Integration, database
from webapp.upstream.client import Client
from webapp.upstream.wire import Wire

LOOK_SECONDS = 2.0
STREAM_SECONDS = 900.0  # then a new one: a machine that vanished hangs up nothing
LARGEST_STREAM = 1024 * 1024
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
STEADY_SECONDS = 60.0  # a stream that stood so long was a good one
NO_STREAM_SECONDS = 3600.0  # before a server that declared it but has no stream is asked again
LISTENED_TO = ("connected", "needs_review", "unreachable")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mark:
    """Differs when the stream must be made anew."""

    integration_id: int
    setup: str


@dataclass
class _Ear:
    """One server's stream, taken up again for as long as somebody wants it."""

    mark: Mark
    heard: Callable[[int], None]
    pause: float = FIRST_PAUSE
    missed: bool = True  # nobody listened for a while, so perhaps something changed that nobody heard
    task: asyncio.Task[None] | None = field(default=None)

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            there = await self._once()
            if loop.time() - began >= STEADY_SECONDS:
                self.pause = FIRST_PAUSE
            await asyncio.sleep(self.pause * random.uniform(0.5, 1.0) if there else NO_STREAM_SECONDS)
            self.pause = min(self.pause * 2, LONGEST_PAUSE)

    async def _once(self) -> bool:
        """One stream to its end; False where the server has none."""
        try:
            client, wire = await errand(self._open)
            try:
                return await self._hear_out(client)
            finally:
                await client.aclose()
                await wire.aclose()
        except Refused as refusal:
            log.debug("the stream of integration %d: %s", self.mark.integration_id, refusal.what)
        except Exception:  # the ear outlives what one stream does to it
            log.exception("the stream of integration %d broke", self.mark.integration_id)
        self.missed = True
        return True

    async def _hear_out(self, client: Client) -> bool:
        if not (await client.connect()).tells_changes:
            return False
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                return await client.listen(seconds=2 * STREAM_SECONDS, on_open=self._opened)
        except TimeoutError:
            return True

    def _opened(self) -> None:
        if self.missed:
            self._tell()
        self.missed = False

    def _open(self) -> tuple[Client, Wire]:
        with database.connection_context():
            integration = Integration.get_by_id(self.mark.integration_id)
            sent = connections.credentials_for(integration).headers
            egress = egress_for(integration)
            wire = Wire(egress, integration.url, max_bytes=LARGEST_STREAM, total_seconds=2 * STREAM_SECONDS)
            return connections.client_for(integration, wire, sent, self._tell), wire

    def _tell(self) -> None:
        self.heard(self.mark.integration_id)


class Listening:
    def __init__(self, worker: str, heard: Callable[[int], None]) -> None:
        self._worker = worker
        self._heard = heard
        self._ears: dict[Mark, _Ear] = {}

    async def watch(self) -> None:
        """Runs as long as the worker does: who is to be listened to, and by whom, may change at any time."""
        try:
            while True:
                try:
                    await self._follow(await asyncio.to_thread(_wanted, self._worker))
                except Exception:  # the watch must outlive a locked or briefly missing database
                    log.exception("could not look whom to listen to")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._follow(set())

    async def _follow(self, wanted: set[Mark]) -> None:
        gone = [self._ears.pop(mark) for mark in set(self._ears) - wanted]
        tasks = [ear.task for ear in gone if ear.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for mark in wanted - set(self._ears):
            ear = self._ears[mark] = _Ear(mark, self._heard)
            ear.task = asyncio.get_running_loop().create_task(ear.listen())


def _wanted(worker: str) -> set[Mark]:
    with database.connection_context():
        if not intents.is_oldest(worker):
            return set()
        return {_mark(row) for row in _servers() if row.server.get("tells_changes", True)}


def _servers() -> list[Integration]:
    rows = (
        Integration.select(Integration, Connection.changed_at.alias("changed"))
        .left_outer_join(Connection)
        .where(Integration.kind == "server", Integration.state.in_(LISTENED_TO))
    )
    return list(rows.objects())


def _mark(row: Integration) -> Mark:
    made_of = (row.url, row.protocol, row.allowances, row.changed, row.server.get("name"))
    return Mark(row.id, repr(made_of))
