"""One thread that commits many small writes together, so that a busy gateway pays for the disk once a group."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from webapp.store.database import writing
from webapp.store.models import database

T = TypeVar("T")
LARGEST_GROUP = 200
log = logging.getLogger(__name__)


class Writer:
    """Jobs run in the order they came, each in its own savepoint, a group in one commit.

    A job's future resolves only after the commit that holds it; a job that raises loses its own writes only.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Everything submitted before is committed first."""
        self._jobs.put(None)
        self._thread.join()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future

    def _work(self) -> None:
        with database.connection_context():
            while group := self._next_group():
                self._commit(group)

    def _next_group(self) -> list[tuple[Callable[[], Any], Future[Any]]]:
        group, job = [], self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == LARGEST_GROUP or self._jobs.empty():
                return group
            job = self._jobs.get()
        self._jobs.put(None) if group else None
        return group

    def _commit(self, group: list[tuple[Callable[[], Any], Future[Any]]]) -> None:
        results: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with writing():
                for job, future in group:
                    results.append((future, *self._run(job)))
        except (
            Exception
        ) as error:  # the commit itself failed: nobody's write is on disk, and everybody must hear it
            log.exception("a group of %d writes could not be committed", len(group))
            results = [(future, None, error) for _, future in group]
        for future, value, failure in results:
            if future.cancelled() or not future.set_running_or_notify_cancel():
                continue
            future.set_exception(failure) if failure else future.set_result(value)

    @staticmethod
    def _run(job: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        try:
            with database.atomic():
                return job(), None
        except Exception as error:  # handed to whoever waits for the future
            return None, error
