"""Opening the database, and the two ways to speak to it: a write transaction, and a look at one moment of it.

There are two stores with the same faces: store/sqlite.py (one file, the default) and store/postgresql.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peewee import Database
from playhouse.migrations import Runner

from webapp.errors import Refused
from webapp.store import copies, older
from webapp.store.models import database, state
from webapp.store.postgresql import Postgresql
from webapp.store.problems import StoreProblem
from webapp.store.secrets import KeyProblem, vault
from webapp.store.sqlite import Sqlite

MIGRATIONS = Path(__file__).parent / "migrations"
DATABASE_FILE = "gatehouse.db"
KEY_FILE = "secret.key"
BACKUPS = "backups"
log = logging.getLogger(__name__)


def open_store(data: Path, url: str = "", backups: Path | None = None) -> None:
    """Point this process at its database and key, and bring the schema up to date. Safe in every worker at once.

    `backups`: where the copy goes that is made before an upgrade.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if database.obj is not None:
        database.obj.let_go()
    database.initialize(connect(data, url))
    with database.obj.alone():
        with database.obj.connection_context():
            sealed = _sealed_key(database.obj)
        _unlock(data / KEY_FILE, sealed)
        migrate(database.obj, backups or data / BACKUPS)


def _sealed_key(db: Database) -> str | None:
    """The log's key, as every Gatehouse that was ever used has it sealed in its database."""
    return state("log_key") if "state" in db.get_tables() else None


def _unlock(path: Path, sealed: str | None) -> None:
    """A fresh key beside a database that was sealed with another would lose every sign-in without a word."""
    if sealed and not path.exists():
        raise KeyProblem(
            f"The key file {path} is missing, and this database is sealed with it.", reason="key_missing",
            next_step="Put your own copy of it back. Gatehouse goes on by itself then.",
        )  # fmt: skip
    vault.unlock(path)
    if sealed:
        vault.open("state:log_key", sealed.encode())


def connect(data: Path, url: str) -> Sqlite | Postgresql:
    """The store of a DATABASE_URL; without one, the file in `data`."""
    if not url or url.startswith("sqlite:///"):
        return Sqlite(Path(url.removeprefix("sqlite:///")) if url else data / DATABASE_FILE, shared=True)
    if url.startswith(("postgresql://", "postgres://")):
        return Postgresql(f"postgresql://{url.partition('://')[2]}")
    raise StoreProblem("DATABASE_URL must start with sqlite:/// or postgresql://")


def migrate(db: Database, backups: Path | None = None) -> None:
    """An older database is copied into `backups` first; nothing is changed where that fails."""
    runner = Runner(db, str(MIGRATIONS))
    with db.connection_context():
        known = runner.status()
        if gone := [row.name for row in known if row.path is None]:
            raise StoreProblem(
                f"This database was written by a newer Gatehouse (it has {gone[-1]}).", reason="newer_schema",
                next_step="Install that version again, or restore a backup made before the upgrade.",
            )  # fmt: skip
        waiting = [row.name for row in known if not row.applied]
        if backups and 0 < len(waiting) < len(known):
            _copy_before(waiting[0], db, [Path(row.path) for row in known if row.applied], backups)
        with db.all_or_nothing():
            done = runner.up()
        for name in done:
            log.info("database brought to %s", name)
        db.after_migration()


def _copy_before(migration: str, db: Database, applied: list[Path], backups: Path) -> None:
    path = backups / copies.name_of(datetime.now(UTC), migration)
    try:
        backups.mkdir(mode=0o700, parents=True, exist_ok=True)
        earlier = [one.path for one in copies.found_in(backups) if one.occasion == migration]
        path.unlink(missing_ok=True)
        copies.make(lambda draft: _write_copy(db, applied, draft), path)
        for one in earlier:  # of the same schema: the upgrade failed then
            if one != path:
                one.unlink(missing_ok=True)
    except (Refused, OSError) as error:
        raise StoreProblem(
            "The database is from an older Gatehouse and could not be copied before its upgrade.",
            reason="upgrade_unsafe", why=str(error), next_step=f"Make room in {backups}, or set BACKUP_DIR.",
        ) from error  # fmt: skip
    log.info("copied the database to %s before its upgrade", path)


def _write_copy(db: Database, applied: list[Path], draft: Path) -> None:
    if isinstance(db, Sqlite):
        db.vacuum_into(draft)
    else:
        older.as_file(db, applied, draft)


@contextmanager
def writing() -> Iterator[None]:
    """One short write transaction: one writer at a time, over all workers and machines. What is read inside stays
    true until the commit."""
    with database.turn():
        yield


@contextmanager
def let_go() -> Iterator[None]:
    """While this thread waits for other machines, its connection is somebody else's. Raises OperationalError inside a
    transaction."""
    contexts, held = database._state.ctx, database.close()
    try:
        yield
    finally:
        if held:
            database.connect()
            database._state.ctx = contexts  # whoever opened it closes it; Peewee would have forgotten


@contextmanager
def snapshot() -> Iterator[None]:
    """Everything read inside is of one and the same moment."""
    with database.snapshot():
        yield


def execute(statement: str, values: Sequence[Any] = ()) -> Any:
    """A statement of our own, with question marks for its values, on either store."""
    return database.execute_sql(statement.replace("?", database.param), values)


def fetch(statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    return list(execute(statement, values).fetchall())
