"""Copies that restore, and keys that turn without losing a secret."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

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
    real = shutil.copyfileobj

    def write(source: Any, file: Any) -> None:
        modes.append(os.fstat(file.fileno()).st_mode & 0o777)
        real(source, file)

    monkeypatch.setattr(shutil, "copyfileobj", write)
    backups.restore(tmp_path / "copy.db")
    assert modes == [0o600] and (data / "gatehouse.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("step", ["shutil.copyfileobj", "os.fsync", "os.link", "os.replace"])
@pytest.mark.parametrize("after", [False, True])
def test_a_restore_that_ends_at_any_step_leaves_a_whole_database(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    with database.connection_context():
        keep("before")
        backups.backup(tmp_path / "copy.db", COMMAND)
        keep("since")
    module, name = step.split(".")
    real = getattr(sys.modules[module], name)

    def cut(*args: Any) -> None:
        if after:
            real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(step, cut)
    with pytest.raises(KeyboardInterrupt):
        backups.restore(tmp_path / "copy.db")
    monkeypatch.undo()
    open_store(data)
    with database.connection_context():
        there = {approval.id for approval in Approval.select()}
        assert there == ({"before"} if (step, after) == ("os.replace", True) else {"before", "since"})
    backups.restore(tmp_path / "copy.db")
    open_store(data)
    with database.connection_context():
        assert {approval.id for approval in Approval.select()} == {"before"} and audit.verify().intact


def test_each_restore_keeps_what_was_there(data: Path, tmp_path: Path) -> None:
    """Whole: with what its last writer had not yet brought into the file."""
    with database.connection_context():
        backups.backup(tmp_path / "copy.db", COMMAND)
    for name in ("one", "two"):
        with database.connection_context():
            keep(name)
        with contextlib.closing(
            sqlite3.connect(data / "gatehouse.db")
        ) as reader:  # the file is not taken in yet
            reader.execute("SELECT count(*) FROM approval").fetchone()
            backups.restore(tmp_path / "copy.db")
        open_store(data)
    kept = sorted(
        path for path in data.glob("gatehouse.db.before-*") if not path.suffix.endswith(("-wal", "-shm"))
    )
    for path, name in zip(kept, ("one", "two"), strict=True):
        with contextlib.closing(sqlite3.connect(path)) as file:
            assert file.execute("SELECT id FROM approval").fetchall() == [(name,)]


def test_what_is_no_backup_is_not_restored(data: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ann, " * 500)
    with pytest.raises(Refused, match="not a database"):
        backups.restore(tmp_path / "letter.txt")
    open_store(data)
