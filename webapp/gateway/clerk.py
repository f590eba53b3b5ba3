"""The store, from the event loop: who waits for a write goes on when it is on disk, and a write that must be is made
again until it is there, whoever goes away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from peewee import DatabaseError

from webapp.services import audit
from webapp.services.audit import Row
from webapp.store.models import database
from webapp.store.writer import Writer

T = TypeVar("T")
TRY_AGAIN_SECONDS = 1.0
log = logging.getLogger(__name__)


class Clerk:
    """One per worker."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._under_way: set[asyncio.Task[Any]] = set()

    async def append(self, row: Row) -> None:
        """To the log; nothing else changes with it, so rows go there in bundles."""
        try:
            await self._writer.add(audit.append, row, lost=self._append_again)
        except DatabaseError:
            await asyncio.shield(self._append_again(row))

    def _append_again(self, row: Row) -> asyncio.Task[None]:
        """It must be there, whether or not anybody waits for it."""
        return self.later(lambda: audit.append([row]))

    def soon(self, job: Callable[[], object]) -> None:
        """For what may be lost: nobody hears whether it was written."""
        self._writer.submit(job)

    async def write(self, job: Callable[[], T]) -> T:
        """Resolves after the commit. Shielded: a caller that goes away does not lose the write."""
        return await asyncio.shield(asyncio.wrap_future(self._writer.submit(job)))

    async def surely(self, job: Callable[[], T]) -> T:
        """For what has happened and must be on record: tried until the store takes it."""
        return await asyncio.shield(self.later(job))

    def later(self, job: Callable[[], T]) -> asyncio.Task[T]:
        """The same, for nobody who waits."""
        return self.in_background(self._until_written(job))

    def in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Goes on whoever goes away; a worker that stops waits for it."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def close(self) -> None:
        while self._under_way:
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _until_written(self, job: Callable[[], T]) -> T:
        while True:
            try:
                return await self.write(job)
            except DatabaseError as error:  # locked by another program, or the disk is full
                log.warning("the store could not be written: %s; trying again", error)
                await asyncio.sleep(TRY_AGAIN_SECONDS)

    @staticmethod
    async def read(query: Callable[[], T]) -> T:
        def connected() -> T:
            with database.connection_context():
                return query()

        return await asyncio.to_thread(connected)
