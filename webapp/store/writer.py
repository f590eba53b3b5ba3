"""One thread that commits many small writes together, so that a busy gateway pays for the disk once a group."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from peewee import DatabaseError

from webapp.store.database import writing
from webapp.store.models import database

T = TypeVar("T")
LARGEST_GROUP = 200
log = logging.getLogger(__name__)


@dataclass
class _Job:
    run: Callable[[], Any]
    future: Future[Any]
    value: Any = None
    failure: BaseException | None = None

    def settle(self) -> None:
        if self.future.cancelled() or not self.future.set_running_or_notify_cancel():
            return
        self.future.set_exception(self.failure) if self.failure else self.future.set_result(self.value)


@dataclass
class _Items:
    """What several callers hand to the same function, which takes it all at once."""

    take: Callable[[list[Any]], Any]
    items: list[Any]
    waiting: list[asyncio.Future[None]]
    value: Any = None
    failure: BaseException | None = field(default=None)

    def run(self) -> Any:
        return self.take(self.items)

    def settle(self) -> None:
        """One nudge for an event loop, however many wait on it."""
        loops = {future.get_loop() for future in self.waiting}
        for loop in loops:
            waiting = [future for future in self.waiting if future.get_loop() is loop]
            loop.call_soon_threadsafe(_tell, waiting, self.failure)


class Writer:
    """Jobs run in the order they came, each in its own savepoint, a group in one commit.

    A future resolves only after the commit that holds its write; a job that raises loses its own writes only.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | _Items | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Everything submitted before is committed first."""
        self._jobs.put(None)
        self._thread.join()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._jobs.put(_Job(job, future))
        return future

    def add(self, take: Callable[[list[T]], Any], item: T) -> asyncio.Future[None]:
        """For an event loop, and much cheaper than a job: neighbours for the same `take` go to it as one list.

        When that list fails nothing of it is written, and each of them hears so.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Items(take, [item], [future]))
        return future

    def _work(self) -> None:
        with database.connection_context():
            while group := self._next_group():
                self._commit(list(_joined(group)))

    def _next_group(self) -> list[_Job | _Items]:
        group, job = [], self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == LARGEST_GROUP or self._jobs.empty():
                return group
            job = self._jobs.get()
        self._jobs.put(None) if group else None
        return group

    def _commit(self, group: list[_Job | _Items]) -> None:
        try:
            with writing():
                for job in group:
                    self._run(job, alone=len(group) == 1)
                    if job.failure and not database.in_turn():
                        raise job.failure  # the others would write outside of any transaction
        except Exception as error:  # nobody's write is on disk, and everybody must hear it
            if isinstance(error, DatabaseError):
                log.warning("a group of %d writes could not be committed: %s", len(group), error)
            elif len(group) > 1 or error is not group[0].failure:
                log.exception("a group of %d writes could not be committed", len(group))
            for job in group:
                job.failure = error
        for job in group:
            job.settle()

    @staticmethod
    def _run(job: _Job | _Items, *, alone: bool) -> None:
        """A job alone in its transaction needs no savepoint: what it loses is the whole."""
        try:
            if alone:
                job.value = job.run()
                return
            with database.atomic():
                job.value = job.run()
        except Exception as error:  # handed to whoever waits for the future
            job.failure = error
            if alone:
                raise


def _joined(group: Iterable[_Job | _Items]) -> Iterator[_Job | _Items]:
    last: _Job | _Items | None = None
    for job in group:
        if isinstance(last, _Items) and isinstance(job, _Items) and last.take == job.take:
            last.items += job.items
            last.waiting += job.waiting
            continue
        if last is not None:
            yield last
        last = job
    if last is not None:
        yield last


def _tell(waiting: Iterable[asyncio.Future[None]], failure: BaseException | None) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(failure) if failure else future.set_result(None)
