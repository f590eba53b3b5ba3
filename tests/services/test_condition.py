"""How Gatehouse itself is, in words: what a clock that jumps or a disk that is nearly full looks like."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from peewee import OperationalError

from config import Config
from tests import databases
from tests.routes.visitors import Visitor, text_of
from webapp.services import audit, condition
from webapp.services.audit import COMMAND, Actor, Row
from webapp.store.database import open_store, writing
from webapp.store.fields import now
from webapp.store.models import database, remember

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    databases.migrated(tmp_path / "data")
    open_store(tmp_path / "data")
    condition.configure(Config(data=tmp_path / "data"))
    condition.stopped_writing()
    with database.connection_context():
        yield tmp_path / "data"


def reasons() -> list[str]:
    return [one.reason for one in condition.look()]


def test_nothing_is_wrong_at_first(data: Path) -> None:
    assert condition.look() == []


def test_a_clock_behind_the_log_is_said_until_an_entry_fits(data: Path) -> None:
    with writing():
        audit.append([Row("change", COMMAND, "user.renamed", at=now() + timedelta(days=30))])
    (trouble,) = condition.look()
    assert trouble.reason == "clock_behind" and not trouble.stops
    assert trouble.what == "The clock of this machine is 29 days behind the newest entry of the log."
    with writing():
        audit.record("user.renamed", COMMAND)
    assert condition.look() == [] and audit.verify().intact


class Jumping:
    """The two clocks of a machine."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wall, self.steady = NOON, 1000.0
        patch.setattr(condition, "now", lambda: self.wall)
        patch.setattr(condition.time, "monotonic", lambda: self.steady)

    def go(self, *, seconds: float, wall: float | None = None) -> None:
        self.steady += seconds
        self.wall += timedelta(seconds=seconds if wall is None else wall)


@pytest.mark.parametrize(("wall", "words"), [(7202, "went ahead by 2 hours"), (-86398, "went back by 1 day")])
def test_a_clock_that_jumps_is_said_for_a_day(
    data: Path, monkeypatch: pytest.MonkeyPatch, wall: float, words: str
) -> None:
    clocks = Jumping(monkeypatch)
    clock = condition.Clock()
    for _ in range(20):
        clocks.go(seconds=2)
        clock.look()
    assert condition.look() == []
    clocks.go(seconds=2, wall=wall)
    clock.look()
    (trouble,) = condition.look()
    assert trouble.reason == "clock_jumped" and words in trouble.what and not trouble.stops
    clocks.go(seconds=86_401)
    assert condition.look() == []


def test_a_slow_machine_is_no_jump(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Jumping(monkeypatch)
    clock = condition.Clock()
    clocks.go(seconds=3600)
    clock.look()
    assert condition.look() == []


def test_a_disk_that_is_nearly_full_is_said_before_it_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(condition.shutil, "disk_usage", lambda _: usage(1, 1, 99 * 1024 * 1024))
    (trouble,) = condition.look()
    assert trouble.reason == "disk_low" and "Only 99 MB are left" in trouble.what and not trouble.stops


def test_a_writer_that_can_not_write_is_said_and_one_that_can_again_is_not(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(5):
        condition.wrote(OperationalError("database or disk is full"))
    assert reasons() == ["disk_full"] and not condition.can_write()
    condition.wrote()
    assert reasons() == [] and condition.can_write()
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"], (
        "once each, not with each beat"
    )
    condition.stopped_writing()


def test_a_writer_that_stands_still_is_said(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Jumping(monkeypatch)
    condition.wrote()
    clocks.go(seconds=condition.STUCK_SECONDS + 1)
    assert reasons() == ["database_busy"]
    condition.stopped_writing()


def test_everybody_sees_it_on_home(viewer: Visitor) -> None:
    with writing():
        remember("clock_jump", {"at": now().isoformat(), "seconds": 7200})
    home = text_of(viewer.get("/"))
    assert "went ahead by 2 hours" in home and "kept right (NTP)" in home
    assert viewer.browser.get("/readyz").json == {"status": "ready", "warnings": ["clock_jumped"]}


def test_clocks_that_differ_by_a_minute_are_nobodys_trouble(data: Path) -> None:
    with writing():
        audit.append([Row("call", Actor("agent", "a"), "call", at=now() + timedelta(minutes=1))])
    assert condition.look() == []
