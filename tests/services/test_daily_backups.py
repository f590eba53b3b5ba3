"""One backup a day by itself: sound or not there, never too many, never too few, and said when it fails."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import Config
from tests import databases
from tests.databases import on_sqlite_only, tamper
from tests.routes.visitors import Visitor, text_of
from webapp.errors import Forbidden, Refused
from webapp.services import audit, daily_backups, retention, schedule, turns
from webapp.services.audit import COMMAND, SYSTEM, Actor
from webapp.store.copies import Copy
from webapp.store.database import open_store, writing
from webapp.store.fields import now
from webapp.store.models import Entry, Integration, database, remember, state

pytestmark = on_sqlite_only
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    databases.migrated(tmp_path / "data")
    open_store(tmp_path / "data")
    daily_backups.configure(Config(data=tmp_path / "data"))
    with database.connection_context():
        with writing():
            audit.record("user.renamed", COMMAND)
        yield tmp_path / "data"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Clock:
    """What time it is for the jobs that come every day."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.time = NOON
        for module in (daily_backups, turns, retention, schedule):
            patch.setattr(module, "now", lambda: self.time)

    def go(self, **by: float) -> None:
        self.time += timedelta(**by)


def files(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "backups").iterdir())


def test_the_first_comes_after_an_hour_and_then_one_a_day(data: Path, clock: Clock) -> None:
    assert not daily_backups.take()
    clock.go(minutes=59)
    assert not daily_backups.take()
    clock.go(minutes=2)
    assert daily_backups.take()
    assert not daily_backups.take(), "it is somebody else's turn already"
    daily_backups.make()
    clock.go(hours=23)
    assert not daily_backups.take()
    clock.go(hours=2)
    assert daily_backups.take()


def test_seven_days_and_four_weeks_stay(data: Path, clock: Clock) -> None:
    for _ in range(60):
        daily_backups.make()
        clock.go(days=1)
    days = [(NOON + timedelta(days=59)) - copy.at for copy in daily_backups.kept()]
    assert [span.days for span in days[:7]] == list(range(7))
    weeks = {copy.at.isocalendar()[:2] for copy in daily_backups.kept()}
    assert len(weeks) == 4 and len(days) <= 7 + 3


def test_files_of_others_in_the_folder_break_nothing(data: Path) -> None:
    mine = daily_backups.make()
    for name in ("gatehouse-99999999T999999Z.db", "gatehouse-20260101T000000Z.db.part", "gatehouse-old.db"):
        (data / "backups" / name).touch()
    (data / "backups" / "gatehouse-20260101T000000Z.db").symlink_to("nowhere")
    assert daily_backups.kept() == [mine] and daily_backups.problem() == ""


MOMENTS = st.lists(st.integers(-400 * 24, 400 * 24), unique=True, max_size=60)


@given(MOMENTS)
def test_whatever_is_there_the_newest_of_the_past_and_all_of_the_future_stay(hours: list[int]) -> None:
    copies = [Copy(Path(str(at)), now() + timedelta(hours=at, minutes=5), 1) for at in hours]
    going = daily_backups.superfluous(copies)
    staying = [one for one in copies if one not in going]
    past = [one for one in copies if one.at <= now()]
    assert all(one in staying for one in copies if one not in past)
    if past:
        assert max(past, key=lambda one: one.at) in staying
    assert len([one for one in staying if one in past]) <= daily_backups.DAILY + daily_backups.WEEKLY


def test_copies_made_before_upgrades_stay_beside_the_others(data: Path, clock: Clock) -> None:
    daily_backups.make()
    for day in (1, 2, 3):
        (data / "backups" / f"gatehouse-2026010{day}T000000Z-before-0009_words.db").touch()
    for _ in range(40):
        clock.go(days=1)
        daily_backups.make()
    assert [name for name in files(data) if "before" in name] == [
        f"gatehouse-2026010{day}T000000Z-before-0009_words.db" for day in (2, 3)
    ]


def test_it_restores_and_holds_no_key(data: Path) -> None:
    made = daily_backups.make()
    assert made.path.stat().st_mode & 0o777 == 0o600 and made.path.parent.stat().st_mode & 0o777 == 0o700
    assert (data / "secret.key").read_bytes().strip() not in made.path.read_bytes()
    assert audit.verify_in(database.obj).intact


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As a full disk does it: nothing grows beyond this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_on_the_way_leaves_no_half_file(data: Path, clock: Clock) -> None:
    daily_backups.make()
    good = files(data)
    with writing():
        remember("filler", "x" * 3_000_000)
    database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    clock.go(days=1)
    with largest_file(1_000_000), pytest.raises(Refused, match="could not be written"):
        daily_backups.make()
    assert files(data) == good
    assert daily_backups.problem().startswith("The last backup failed.")
    assert Entry.select().where(Entry.action == "backup.failed").count() == 1
    clock.go(minutes=30)
    assert not daily_backups.take()
    clock.go(minutes=31)
    assert daily_backups.take(), "it is tried again within the hour"
    daily_backups.make()
    assert daily_backups.problem() == "" and len(files(data)) == 2


def test_where_the_log_was_changed_nothing_older_is_removed(data: Path, clock: Clock) -> None:
    for _ in range(9):
        daily_backups.make()
        clock.go(days=1)
    good = files(data)
    tamper("UPDATE entry SET actor = 'somebody else' WHERE id = 1")
    for _ in range(3):
        with pytest.raises(Refused, match="does not fit from row 1"):
            daily_backups.make()
        clock.go(days=1)
    assert files(data) == sorted([*good, "gatehouse-doubtful.db"])
    assert "does not fit" in daily_backups.problem()


def test_a_folder_that_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    daily_backups.configure(Config(data=data, backup_dir=tmp_path / "file" / "backups"))
    with pytest.raises(Refused, match="can't be used"):
        daily_backups.make()
    assert "can't be used" in daily_backups.problem()


def test_one_that_is_overdue_is_said(data: Path, clock: Clock) -> None:
    assert daily_backups.problem() == ""
    daily_backups.take()
    clock.go(hours=8)
    assert "No backup was made yet" in daily_backups.problem()
    daily_backups.make()
    assert daily_backups.problem() == ""
    clock.go(days=3)
    assert daily_backups.problem() == "The last backup is 3 days old; one is due every day."


@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_that_jumps_stops_none_of_the_daily_jobs(data: Path, clock: Clock, years: int) -> None:
    server = Integration.create(kind="server", name="desk", title="Desk", state="connected")
    clock.go(days=365 * years)
    daily_backups.take()
    clock.go(hours=2)
    assert daily_backups.take() and retention.take() and schedule.take(server)
    daily_backups.make()
    clock.go(days=-365 * years)
    assert daily_backups.take() and retention.take()
    assert [one.name for one in schedule.due()] == ["desk"]
    daily_backups.make()
    assert len(daily_backups.kept()) == 2


def test_only_admins_make_one(data: Path) -> None:
    with pytest.raises(Forbidden):
        daily_backups.make(Actor("user", "tom", 1, "technician"))
    assert state("backup_problem") is None
    assert daily_backups.make(SYSTEM)


def test_the_page_makes_one_and_lists_it(admin: Visitor, viewer: Visitor, config: Config) -> None:
    assert "There is none yet." in text_of(viewer.get("/settings/general"))
    assert "Back up now" not in viewer.get("/settings/general")
    assert admin.post("/settings/general/backup").status_code == 303
    page = text_of(admin.get("/settings/general"))
    (name,) = [path.name for path in (config.data / "backups").iterdir()]
    assert f"Backup written: {name}." in page and "The last is from just now" in page
    assert str(config.data / "secret.key") in page
    assert viewer.post("/settings/general/backup").status_code == 403


def test_a_backup_can_be_carried_away_by_an_admin_and_that_is_written_down(
    admin: Visitor, technician: Visitor, config: Config
) -> None:
    made = daily_backups.make()
    address = f"/settings/general/backups/{made.path.name}"
    assert address in admin.get("/settings/general") and address not in technician.get("/settings/general")
    with admin.post(address) as reply:
        assert reply.data == made.path.read_bytes() and reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["Content-Disposition"] == f"attachment; filename={made.path.name}"
    entry = Entry.get(Entry.action == "backup.downloaded")
    assert entry.actor == "admin@example.com" and made.path.name in entry.details
    assert technician.post(address).status_code == 403
    with pytest.raises(Forbidden):
        daily_backups.take_out(made.path.name, Actor("user", "tom", 1, "technician"))


@pytest.mark.parametrize(
    "name", ["gatehouse.db", "secret.key", "..%2fsecret.key", "gatehouse-20000101T000000Z.db"]
)
def test_nothing_but_a_backup_that_is_kept_can_be_carried_away(
    admin: Visitor, config: Config, name: str
) -> None:
    daily_backups.make()
    (config.data / "backups" / "secret.key").write_text("x")
    reply = admin.post(f"/settings/general/backups/{name}")
    assert reply.status_code == 404 and not Entry.select().where(Entry.action == "backup.downloaded").exists()


def test_the_page_and_home_say_why_it_failed(admin: Visitor, viewer: Visitor, config: Config) -> None:
    (config.data / "backups").touch()
    reply = admin.post("/settings/general/backup")
    assert reply.status_code == 400 and "can&#39;t be used" in reply.text
    for path in ("/", "/settings/general"):
        assert "The last backup failed." in viewer.get(path), path
