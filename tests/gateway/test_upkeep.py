"""Upkeep goes on after whatever happened to the store, and judges nobody after a standstill of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from config import Config
from tests import databases
from tests.databases import on_sqlite_only
from tests.routes.settings_house import (  # noqa: F401
    Connect,
    app,
    connect,
    furnished,
    meadow,
    servers,
)  # fmt: skip
from tests.services.farm import Farm, tool
from tests.upstream.zoo import Answer, Ask, modern, result
from tests.waiting import eventually
from webapp.gateway import upkeep
from webapp.gateway.upkeep import Upkeep
from webapp.services import audit, daily_backups, intents, retention, tallying, turns
from webapp.services.audit import COMMAND, Actor, Row
from webapp.services.retention import Retention
from webapp.store.database import open_store, writing
from webapp.store.fields import now
from webapp.store.models import Entry, Integration, Tool, Worker, database
from webapp.store.writer import Writer

# ruff: noqa: F811


@pytest.fixture
def store(tmp_path: Path) -> Iterator[None]:
    databases.migrated(tmp_path / "data")
    open_store(tmp_path / "data")
    with database.connection_context():
        yield


@asynccontextmanager
async def running(writer: Writer, job: str) -> AsyncIterator[None]:
    writer.start()
    task = asyncio.create_task(getattr(Upkeep(writer, "me"), job)())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.stop()


def living() -> set[str]:
    return {worker.id for worker in Worker.select()}


def dies(worker: str, at: timedelta) -> None:
    with writing():
        Worker.insert(id=worker, started_at=now(), seen_at=now() + at).execute()


class Gathering:
    """Servers that give no list of their tools before all of them are asked for it."""

    def __init__(self, expected: int) -> None:
        self.asked, self._expected = list[str](), expected
        self._all_here = asyncio.Event()

    async def __call__(self, ask: Ask) -> Answer:
        self.asked.append(ask.path)
        if len(self.asked) >= self._expected:
            self._all_here.set()
        async with asyncio.timeout(60):
            await self._all_here.wait()
        return result(ask, {"tools": [tool("get_news", "Get the news")]})


@pytest.mark.parametrize("workers", [1, 2])
def test_all_servers_that_are_due_are_asked_side_by_side_and_by_one_worker_each(
    connect: Connect, servers: Farm, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.05)
    names = [f"s{number}" for number in range(20)]
    for name in names:
        connect(name)
    gathering = Gathering(len(names))
    for name in names:
        servers.put(modern(tools_list=gathering), f"/{name}")
    Integration.update(sync_due_at=now()).execute()
    # Who waits for a server keeps no connection to PostgreSQL; SQLite has no such limit.
    monkeypatch.setattr(database.obj, "_max_connections", 10, raising=False)

    async def live() -> None:
        async with AsyncExitStack() as stack:
            for _ in range(workers):
                await stack.enter_async_context(running(Writer(), "look_after_servers"))
            await eventually(lambda: Tool.select().where(Tool.name == "get_news").count() == len(names))

    asyncio.run(live())
    assert sorted(gathering.asked) == sorted(f"/{name}" for name in names)


def test_a_server_that_does_not_answer_holds_up_no_other(
    connect: Connect, servers: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those that come due later, either."""
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.05)
    slow, other = connect("slow"), connect("other")
    gathering = Gathering(2)
    servers.put(modern(tools_list=gathering), "/slow")
    Integration.update(sync_due_at=now()).where(Integration.id == slow.id).execute()

    def synced_since(moment: datetime) -> bool:
        return bool(Integration.get_by_id(other.id).synced_at > moment)

    async def live() -> None:
        async with running(Writer(), "look_after_servers"):
            await eventually(lambda: gathering.asked == ["/slow"])
            for _ in range(2):
                moment = now()
                Integration.update(sync_due_at=moment).where(Integration.id == other.id).execute()
                await eventually(lambda: synced_since(moment))  # noqa: B023 - awaited within
            assert gathering.asked == ["/slow"], "it is still waited for"
            gathering.asked.append("enough")
            servers.put(modern(tools_list=gathering), "/other")
            Integration.update(sync_due_at=now()).where(Integration.id == other.id).execute()
            await eventually(lambda: Tool.select().where(Tool.name == "get_news").count() == 2)

    asyncio.run(live())


@pytest.mark.parametrize("at", [-timedelta(minutes=1), timedelta(hours=1)])
def test_a_silent_worker_is_settled_even_when_the_clock_was_set_back(
    store: None, monkeypatch: pytest.MonkeyPatch, at: timedelta
) -> None:
    monkeypatch.setattr(intents, "BEAT_SECONDS", 0.05)
    dies("silent", at)

    async def live() -> None:
        async with running(Writer(), "beat"):
            await eventually(lambda: living() == {"me"})

    asyncio.run(live())


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the others were judged, each time that a worker might."""
    seen, judged = list[bool](), list[None]()
    look, settle = upkeep._settle_dead, intents.settle_dead

    def looking(last: datetime) -> None:
        judged.clear()
        look(last)
        seen.append(bool(judged))

    monkeypatch.setattr(upkeep, "_settle_dead", looking)
    monkeypatch.setattr(intents, "settle_dead", lambda: (judged.append(None), settle()))
    return seen


def test_after_a_standstill_the_others_get_time_to_beat(
    store: None, monkeypatch: pytest.MonkeyPatch, looks: list[bool]
) -> None:
    monkeypatch.setattr(intents, "DEAD_AFTER", timedelta(seconds=1))
    monkeypatch.setattr(intents, "BEAT_SECONDS", 0.05)
    stands, goes_on = threading.Event(), threading.Event()

    async def live() -> None:
        writer = Writer()
        async with running(writer, "beat"):
            await eventually(lambda: living() == {"me"} and looks[-1:] == [True])
            writer.submit(lambda: (stands.set(), goes_on.wait(60)))
            await eventually(stands.is_set)
            await asyncio.sleep(1.1)  # longer than anybody may be silent
            before = len(looks)
            goes_on.set()
            dies("the other", -timedelta(seconds=1.5))
            await eventually(lambda: living() == {"me"})
            assert not looks[before], "it lived through the same, perhaps"

    asyncio.run(live())


def test_the_schedule_survives_a_failure_of_the_store(store: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.05)
    Integration.create(kind="server", name="gone", title="Gone", state="connected", url="http://127.0.0.1:1/")

    async def live() -> None:
        database.execute_sql("ALTER TABLE integration RENAME TO elsewhere")
        async with running(Writer(), "look_after_servers"):
            await asyncio.sleep(0.3)
            database.execute_sql("ALTER TABLE elsewhere RENAME TO integration")
            await eventually(lambda: Integration.get().state == "unreachable")

    asyncio.run(live())


def test_the_log_is_counted_ahead_and_shortened_by_itself(store: None, tmp_path: Path) -> None:
    retention.configure(Config(data=tmp_path / "data"))
    with writing():
        audit.append(
            Row("call", Actor("agent", "Claude"), "call", at=now() - timedelta(days=age))
            for age in (90, 80, 1)
        )
    retention.change(Retention(60), COMMAND)

    async def live() -> None:
        async with running(Writer(), "look_after_log"):
            await eventually(lambda: tallying.tallied() >= 4)
            await eventually(lambda: not Entry.select().where(Entry.id < 3).exists())

    asyncio.run(live())
    assert audit.verify().intact
    assert audit.verify().sealed == 2
    assert [path.name for path in (tmp_path / "data" / "log").iterdir()] == [
        "log-000000001-000000002.jsonl.gz"
    ]


@on_sqlite_only
def test_one_of_two_workers_makes_the_backup_that_is_due(
    store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.05)
    daily_backups.configure(Config(data=tmp_path / "data"))
    with writing():
        audit.record("user.renamed", COMMAND)
        turns.put_off(daily_backups.DUE, now() - timedelta(minutes=1))

    taken: list[bool] = []
    real = daily_backups.take

    def take() -> bool:
        taken.append(real())
        return taken[-1]

    monkeypatch.setattr(daily_backups, "take", take)

    async def scene() -> None:
        async with running(Writer(), "keep_copies"), running(Writer(), "keep_copies"):
            await eventually(lambda: len(daily_backups.kept()) > 0 and len(taken) > 10)

    asyncio.run(scene())
    assert len(daily_backups.kept()) == 1 and taken.count(True) == 1
    assert Entry.select().where(Entry.action == "backup.made").count() == 1


@on_sqlite_only
def test_a_backup_that_fails_stops_no_upkeep(
    store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.05)
    daily_backups.configure(Config(data=tmp_path / "data"))
    (tmp_path / "data" / "backups").touch()
    with writing():
        audit.record("user.renamed", COMMAND)
        turns.put_off(daily_backups.DUE, now() - timedelta(minutes=1))

    async def scene() -> None:
        async with running(Writer(), "keep_copies"):
            await eventually(lambda: daily_backups.problem() != "")
            (tmp_path / "data" / "backups").unlink()
            with writing():
                turns.put_off(daily_backups.DUE, now() - timedelta(minutes=1))
            await eventually(lambda: len(daily_backups.kept()) == 1 and daily_backups.problem() == "")

    asyncio.run(scene())
