"""Opening the database, and the two ways to speak to it: a write transaction, and a look at one moment of it.

There are two stores with the same faces: store/sqlite.py (one file, the default) and store/postgresql.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peewee import Database
from playhouse.migrations import Runner

from webapp.store.models import database
from webapp.store.postgresql import Postgresql
from webapp.store.problems import StoreProblem
from webapp.store.secrets import vault
from webapp.store.sqlite import Sqlite

MIGRATIONS = Path(__file__).parent / "migrations"
DATABASE_FILE = "gatehouse.db"
KEY_FILE = "secret.key"
log = logging.getLogger(__name__)


def open_store(data: Path, url: str = "") -> None:
    """Point this process at its database and key, and bring the schema up to date. Safe in every worker at once."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    vault.unlock(data / KEY_FILE)
    if database.obj is not None:
        database.obj.let_go()
    database.initialize(connect(data, url))
    with database.obj.alone():
        migrate(database.obj)


def connect(data: Path, url: str) -> Sqlite | Postgresql:
    """The store of a DATABASE_URL; without one, the file in `data`."""
    if not url or url.startswith("sqlite:///"):
        return Sqlite(Path(url.removeprefix("sqlite:///")) if url else data / DATABASE_FILE)
    if url.startswith(("postgresql://", "postgres://")):
        return Postgresql(f"postgresql://{url.partition('://')[2]}")
    raise StoreProblem("DATABASE_URL must start with sqlite:/// or postgresql://")


def migrate(db: Database) -> None:
    runner = Runner(db, str(MIGRATIONS))
    with db.connection_context():
        gone = [row.name for row in runner.status() if row.path is None]
        if gone:
            raise StoreProblem(
                f"This database was written by a newer Gatehouse (it has {gone[-1]}).",
                next_step="Install that version again, or restore a backup made before the upgrade.",
            )
        for name in runner.up():
            log.info("database brought to %s", name)
        db.after_migration()


@contextmanager
def writing() -> Iterator[None]:
    """One short write transaction: one writer at a time, over all workers and machines. What is read inside stays
    true until the commit."""
    with database.turn():
        yield


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
