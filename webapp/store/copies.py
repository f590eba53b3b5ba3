"""Copies of the SQLite file while others write to it: whole and checked, or not there at all."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from peewee import DatabaseError
from playhouse.cysqlite_ext import CySqliteDatabase

from webapp.errors import InvalidInput, Refused
from webapp.store.problems import explained

NAME = re.compile(r"gatehouse-(\d{8}T\d{6}Z)(-before-\w+)?\.db")
WRITTEN = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Copy:
    """`occasion`: the migration it was made before, empty for the ordinary ones."""

    path: Path
    at: datetime
    size: int
    occasion: str = ""


def name_of(at: datetime, before: str = "") -> str:
    return f"gatehouse-{at:{WRITTEN}}{f'-before-{before}' if before else ''}.db"


def found_in(folder: Path) -> list[Copy]:
    """Newest first. What has no such name is not ours, and what another worker removes meanwhile is gone."""
    found = []
    for path in folder.glob("gatehouse-*.db"):
        if name := NAME.fullmatch(path.name):
            with suppress(FileNotFoundError, ValueError):
                at = datetime.strptime(name[1], WRITTEN).replace(tzinfo=UTC)
                found.append(Copy(path, at, path.stat().st_size, (name[2] or "").removeprefix("-before-")))
    return sorted(found, key=lambda one: one.at, reverse=True)


def make(
    write: Callable[[Path], None], path: Path, check: Callable[[CySqliteDatabase], None] | None = None
) -> None:
    """What `write` makes gets its name only when it is whole, on the disk, and `check` has nothing against it. Never
    overwrites."""
    if path.exists():
        raise InvalidInput(f"{path} exists already.", next_step="Choose another name.")
    draft = path.with_name(path.name + ".part")
    try:
        _remove(draft)
        draft.touch(mode=0o600)
        write(draft)
        inspect(draft, check)
        on_disk(draft)
        os.replace(draft, path)
        on_disk(path.parent)
    except OSError as error:
        raise InvalidInput(
            f"{path} can't be written: {error.strerror}.",
            next_step="Choose another place, or make room there.",
        ) from error
    except DatabaseError as error:
        problem = explained(error)
        raise Refused(f"{path} could not be written. {problem.what}", next_step=problem.next_step) from error
    finally:
        _remove(draft)


def _remove(draft: Path) -> None:
    for suffix in ("", "-journal"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def inspect(path: Path, check: Callable[[CySqliteDatabase], None] | None = None) -> None:
    """Refuses what is damaged, or no database of Gatehouse."""
    copy = CySqliteDatabase(str(path))
    try:
        with copy.connection_context():
            (verdict,) = copy.execute_sql("PRAGMA integrity_check").fetchone()
            known = copy.get_tables()
            if verdict == "ok" and "schema_migration" in known and check:
                check(copy)
    except DatabaseError as error:
        raise Refused(f"{path} is not a database.") from error
    if verdict != "ok" or "schema_migration" not in known:
        raise Refused(f"{path} is damaged or is not a Gatehouse backup.")


def on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
