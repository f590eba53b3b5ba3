"""One thread that commits many small writes together, so that a busy gateway pays for the disk once a group."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from peewee import DatabaseError

from webapp.store.database import writing
from webapp.store.models import database

T = TypeVar("T")
LARGEST_GROUP = 200
QUIET_TURNS = 2  # of the event loop: what has just been read leads to a row within so many
LONGEST_WAIT = 0.005  # seconds
log = logging.getLogger(__name__)


@dataclass
class _Job:
    work: Callable[[], Any]
    future: Future[Any]
    value: Any = None
    failure: BaseException | None = None

    def run(self) -> None:
        self.value = self.work()

    def settle(self) -> None:
        if self.future.cancelled() or not self.future.set_running_or_notify_cancel():
            return
        self.future.set_exception(self.failure) if self.failure else self.future.set_result(self.value)


@dataclass
class _Bundle:
    """What several callers hand to the same function, which takes it all at once."""

    take: Callable[[list[Any]], Any]
    lost: Callable[[Any], object]
    loop: asyncio.AbstractEventLoop
    items: list[Any] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    failure: BaseException | None = None
    began: float = field(default_factory=time.monotonic)
    turns: int = 0  # of the loop that began since the last one joined

    def waits_for_more(self) -> bool:
        return self.turns <= QUIET_TURNS and time.monotonic() - self.began < LONGEST_WAIT

    def run(self) -> None:
        self.take(self.items)

    def settle(self) -> None:
        """One nudge for the event loop, however many wait on it."""
        self.loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        for item, future in zip(self.items, self.waiting, strict=True):
            if not future.done():
                future.set_exception(self.failure) if self.failure else future.set_result(None)
            elif self.failure:
                self.lost(item)


class Writer:
    """Jobs run in the order they came, each in its own savepoint, a group in one commit.

    A future resolves only after the commit that holds its write; a job that raises loses its own writes only.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | _Bundle | None] = queue.SimpleQueue()
        self._open: dict[Callable[[list[Any]], Any], _Bundle] = {}
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

    def add(
        self, take: Callable[[list[T]], Any], item: T, *, lost: Callable[[T], object]
    ) -> asyncio.Future[None]:
        """For one event loop, and much cheaper than a job: what is added while it has its hands full goes to `take` as
        one list, and wakes the thread once.

        When that list fails nothing of it is written, and each of them hears so; of an item that nobody waits for any
        more, `lost` does.
        """
        loop = asyncio.get_running_loop()
        bundle = self._open.get(take)
        if bundle is None:
            bundle = self._open[take] = _Bundle(take, lost, loop)
            loop.call_soon(self._hand_over, bundle)
        future: asyncio.Future[None] = loop.create_future()
        bundle.items.append(item)
        bundle.waiting.append(future)
        bundle.turns = 0
        return future

    def _hand_over(self, bundle: _Bundle) -> None:
        """A commit costs as much for one as for many, and while it is made both threads want the interpreter."""
        bundle.turns += 1
        if bundle.waits_for_more():
            bundle.loop.call_soon(self._hand_over, bundle)
        else:
            self._jobs.put(self._open.pop(bundle.take))

    def _work(self) -> None:
        with database.connection_context():
            while group := self._next_group():
                self._commit(group)

    def _next_group(self) -> list[_Job | _Bundle]:
        group, job = [], self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == LARGEST_GROUP or self._jobs.empty():
                return group
            job = self._jobs.get()
        self._jobs.put(None) if group else None
        return group

    def _commit(self, group: list[_Job | _Bundle]) -> None:
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
    def _run(job: _Job | _Bundle, *, alone: bool) -> None:
        """A job alone in its transaction needs no savepoint: what it loses is the whole."""
        try:
            if alone:
                job.run()
                return
            with database.atomic():
                job.run()
        except Exception as error:  # handed to whoever waits for the future
            job.failure = error
            if alone:
                raise
