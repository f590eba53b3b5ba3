"""Copies that restore, and keys that turn without losing a secret."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from tests.databases import on_sqlite_only
from tests.services.sealed import keep, opened
from webapp.errors import InvalidInput, Refused, Stale
from webapp.services import audit, backups, intents
from webapp.services.audit import COMMAND
from webapp.store.database import open_store, writing
from webapp.store.models import Approval, Entry, database
from webapp.store.secrets import read_keys

pytestmark = on_sqlite_only


@pytest.fixture
def data(tmp_path: Path) -> Path:
    open_store(tmp_path / "data")
    return tmp_path / "data"


def test_a_backup_made_under_writes_restores_whole(data: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        with database.connection_context():
            while not stop.is_set():
                with writing():
                    audit.record("user.renamed", COMMAND)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with database.connection_context():
            keep("one")
            backups.backup(tmp_path / "copy.db", COMMAND)
    finally:
        stop.set()
        writer.join()
    backups.restore(tmp_path / "copy.db")
    open_store(data)
    with database.connection_context():
        assert audit.verify().intact and Entry.select().count() > 0
        assert opened("one") == "canary-one"
    assert len(list(data.glob("gatehouse.db.before-*"))) >= 1


def test_a_backup_overwrites_nothing_and_holds_no_key(data: Path, tmp_path: Path) -> None:
    with database.connection_context():
        keep("one")
        backups.backup(tmp_path / "copy.db", COMMAND)
        with pytest.raises(InvalidInput, match="exists already"):
            backups.backup(tmp_path / "copy.db", COMMAND)
    content = (tmp_path / "copy.db").read_bytes()
    assert b"canary-one" not in content and read_keys(data / "secret.key")[0] not in content


def test_nobody_else_can_read_a_backup_even_while_it_is_made(data: Path, tmp_path: Path) -> None:
    place = tmp_path / "backups"
    place.mkdir()
    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            with contextlib.suppress(FileNotFoundError):  # it has its name now
                seen.update(path.stat().st_mode & 0o077 for path in place.iterdir())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with database.connection_context():
            for number in range(20):
                backups.backup(place / f"{number}.db", COMMAND)
    finally:
        stop.set()
        watcher.join()
    assert seen == {0}


def test_a_backup_that_cannot_be_written_is_refused_in_words(data: Path, tmp_path: Path) -> None:
    with database.connection_context(), pytest.raises(InvalidInput, match="can't be written"):
        backups.backup(tmp_path / "nowhere" / "copy.db", COMMAND)


def test_nothing_is_restored_under_a_running_gatehouse(data: Path, tmp_path: Path) -> None:
    with database.connection_context():
        backups.backup(tmp_path / "copy.db", COMMAND)
        with writing():
            intents.beat("a worker")
    with database.connection_context(), pytest.raises(Stale, match="is running"):
        backups.restore(tmp_path / "copy.db")
    assert not list(data.glob("*.before-*"))


def test_a_database_kept_elsewhere_is_restored_there(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    open_store(tmp_path / "data", f"sqlite:///{elsewhere}")
    with database.connection_context():
        keep("one")
        backups.backup(tmp_path / "copy.db", COMMAND)
        keep("two")
    backups.restore(tmp_path / "copy.db")
    open_store(tmp_path / "data", f"sqlite:///{elsewhere}")
    with database.connection_context():
        assert [approval.id for approval in Approval.select()] == ["one"]


def test_nobody_else_can_read_what_is_being_restored(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the mode of the backup, and whatever was left lying about."""
    with database.connection_context():
        backups.backup(tmp_path / "copy.db", COMMAND)
    (tmp_path / "copy.db").chmod(0o644)
    (data / "gatehouse.restored").touch(mode=0o644)
    modes: list[int] = []
    real = Path.write_bytes

    def write(path: Path, content: bytes) -> int:
        written = real(path, content)
        modes.append(path.stat().st_mode & 0o777)
        return written

    monkeypatch.setattr(Path, "write_bytes", write)
    backups.restore(tmp_path / "copy.db")
    assert modes == [0o600] and (data / "gatehouse.db").stat().st_mode & 0o777 == 0o600


def test_what_is_no_backup_is_not_restored(data: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ann, " * 500)
    with pytest.raises(Refused, match="not a database"):
        backups.restore(tmp_path / "letter.txt")
    open_store(data)
