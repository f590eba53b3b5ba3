"""A database of an older Gatehouse as one SQLite file, whatever its schema was: the copy before an upgrade."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from peewee import Database
from playhouse.migrations import Runner

from webapp.store.rows import insert_rows
from webapp.store.sqlite import Sqlite

BITE = 1_000


def as_file(source: Database, applied: Iterable[Path], path: Path) -> None:
    """`applied`: the migrations that made its schema. The file may be there, and is empty then."""
    file = Sqlite(path)
    try:
        with TemporaryDirectory() as folder, file.connection_context():
            for migration in applied:
                shutil.copy(migration, folder)
            file.pragma("foreign_keys", 0)  # rows come in no order
            Runner(file, folder).up()
            with source.snapshot(), file.turn():
                for table in file.get_tables():
                    if table != "schema_migration":
                        _copy(table, source, file)
            file.pragma("journal_mode", "delete")
    finally:
        file.close()


def _copy(table: str, source: Database, file: Sqlite) -> None:
    columns = [column.name for column in file.get_columns(table)]
    names = ", ".join(f'"{name}"' for name in columns)
    file.execute_sql(f'DELETE FROM "{table}"')  # what a migration itself has put there
    statement = f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(columns))})'
    source.execute_sql(f'DECLARE rows NO SCROLL CURSOR FOR SELECT {names} FROM "{table}"')
    while found := source.execute_sql(f"FETCH {BITE} FROM rows").fetchall():
        insert_rows(file, statement, ([_plain(value) for value in row] for row in found))
    source.execute_sql("CLOSE rows")


def _plain(value: Any) -> Any:
    """As SQLite keeps it, and as Peewee writes it there."""
    if isinstance(value, datetime):
        return str(value)
    return bytes(value) if isinstance(value, memoryview) else value
