"""The writing thread where the disk is full: all of a group or nothing of it, and everybody hears the truth."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from peewee import DatabaseError

from tests.databases import on_sqlite_only
from webapp.store.database import open_store
from webapp.store.models import State, database, remember, state
from webapp.store.problems import explained
from webapp.store.writer import QUIET_TURNS, Writer

pytestmark = on_sqlite_only


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    open_store(tmp_path / "data")
    made = Writer()
    made.start()
    yield made
    made.stop()


def in_one_group(writer: Writer, *jobs: Callable[[], object]) -> list[Future[object]]:
    """The thread is held up until all of them wait for it."""
    go = Event()
    writer.submit(go.wait)
    waiting = [writer.submit(job) for job in jobs]
    go.set()
    return waiting


def spill() -> None:
    """More than SQLite keeps in memory: it goes to the disk before the commit."""
    database.execute_sql("PRAGMA cache_size = 10")
    remember("large", "x" * 2_000_000)


@contextmanager
def full(tmp_path: Path) -> Iterator[None]:
    """As a full disk does it: the file grows no more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = (tmp_path / "data" / "gatehouse.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_in_a_group_leaves_nothing_of_it(writer: Writer, tmp_path: Path) -> None:
    writer.submit(lambda: remember("before", 1)).result()
    with full(tmp_path):
        waiting = in_one_group(writer, lambda: remember("first", 1), spill, lambda: remember("last", 1))
        failures = [one.exception() for one in waiting]
    assert all(isinstance(failure, DatabaseError) for failure in failures)
    assert {explained(failure).reason for failure in failures if isinstance(failure, Exception)} <= {
        "disk_full",
        "disk_error",
    }
    with database.connection_context():
        assert [row.key for row in State.select().where(State.key.in_(("first", "large", "last")))] == []
        assert state("before") == 1
    writer.submit(lambda: remember("after", 1)).result()
    with database.connection_context():
        assert state("after") == 1


def test_a_job_that_fails_by_itself_harms_no_neighbour(writer: Writer) -> None:
    def wrong() -> None:
        remember("wrong", 1)
        raise ZeroDivisionError

    first, failed, last = in_one_group(
        writer, lambda: remember("first", 1), wrong, lambda: remember("last", 1)
    )
    first.result(), last.result()
    with pytest.raises(ZeroDivisionError):
        failed.result()
    with database.connection_context():
        assert (state("first"), state("wrong"), state("last")) == (1, None, 1)


def test_what_is_added_in_turns_that_follow_one_another_is_taken_as_one_list(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "webapp.store.writer.LONGEST_WAIT", 3600
    )  # so what ends the wait is that no other came
    taken: list[list[int]] = []

    async def live() -> None:
        together = []
        for number in range(3 * QUIET_TURNS):
            together.append(writer.add(taken.append, number, lost=print))
            await asyncio.sleep(0)
        await asyncio.gather(*together)
        await writer.add(taken.append, -1, lost=print)

    asyncio.run(asyncio.wait_for(live(), 60))
    assert taken == [[*range(3 * QUIET_TURNS)], [-1]]


def test_one_is_not_kept_waiting_by_those_that_come_after_it_without_end(writer: Writer) -> None:
    taken: list[list[int]] = []

    async def live() -> None:
        added = [writer.add(taken.append, 0, lost=print)]
        while not added[0].done():
            await asyncio.sleep(0)
            added.append(writer.add(taken.append, len(added), lost=print))
        await asyncio.gather(*added)

    asyncio.run(asyncio.wait_for(live(), 60))
    assert len(taken) > 1


def test_everybody_hears_of_a_list_that_failed_and_the_rest_is_told_for_who_left(writer: Writer) -> None:
    lost: list[int] = []

    def fails(numbers: list[int]) -> None:
        raise ZeroDivisionError

    async def live() -> None:
        stays, leaves = (writer.add(fails, number, lost=lost.append) for number in (1, 2))
        leaves.cancel()
        with pytest.raises(ZeroDivisionError):
            await stays

    asyncio.run(asyncio.wait_for(live(), 60))
    assert lost == [2]
