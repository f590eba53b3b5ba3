"""All rows of one store in another: for moving to PostgreSQL, and for its copy as one SQLite file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from peewee import AutoField, BigAutoField, BlobField, BooleanField, Database, Field, sort_models

from webapp.store.database import migrate
from webapp.store.fields import Moment
from webapp.store.models import Agent, State, Table, User
from webapp.store.postgresql import Postgresql
from webapp.store.rows import insert_rows
from webapp.store.sqlite import Sqlite

BITE = 1_000
Row = tuple[Any, ...]


def models() -> list[type[Table]]:
    """What is referred to comes before what refers to it."""
    ordered: list[type[Table]] = sort_models(Table.__subclasses__())
    return ordered


def in_use(db: Database) -> bool:
    """Whether somebody has begun to work with it; what Gatehouse itself writes at its start doesn't count."""
    return any(one.select().bind(db).exists() for one in (User, Agent))


def copy(source: Database, target: Database) -> dict[str, int]:
    """Rows by table. In the caller's transactions: a snapshot of the source, a turn of the target, which is emptied."""
    _empty(target)
    counts = {one._meta.table_name: _copy(one, source, target) for one in models()}
    if isinstance(target, Postgresql):
        for one in models():
            _count_on(one, target)
    return counts


def differences(source: Database, target: Database) -> list[str]:
    """Row by row and value by value, as the stores hold them: a sentence for each table that is not the same."""
    return [found for one in models() if (found := _difference(one, source, target))]


def as_file(source: Database, path: Path) -> None:
    """One moment of any store as an SQLite file that stands alone. The file may be there, and is empty then."""
    file = Sqlite(path)
    try:
        migrate(file)
        with file.connection_context():
            with source.snapshot(), file.turn():
                copy(source, file)
            file.pragma("journal_mode", "delete")
    finally:
        file.close()


def _empty(db: Database) -> None:
    tables = ", ".join(f'"{one._meta.table_name}"' for one in models())
    if isinstance(db, Postgresql):
        _guard("DISABLE", db)
        db.execute_sql(f"TRUNCATE {tables} RESTART IDENTITY")
        _guard("ENABLE", db)
    else:
        State.delete().bind(db).execute()


def _guard(change: str, db: Database) -> None:
    """The triggers that keep a log from being changed; in a database that is not in use nobody has begun one."""
    for table in ("entry", "segment"):
        db.execute_sql(f'ALTER TABLE "{table}" {change} TRIGGER USER')


def _copy(model: type[Table], source: Database, target: Database) -> int:
    """What refers to its own table may refer to a later row: those columns are filled in when all are there."""
    fields = model._meta.sorted_fields
    own = [place for place, field in enumerate(fields) if getattr(field, "rel_model", None) is model]
    statement = model.insertion(fields, target.param)
    count, referring = 0, []
    for bite in _bites(model, source):
        count += len(bite)
        referring += [row for row in bite if any(row[place] is not None for place in own)]
        blank = [tuple(None if n in own else value for n, value in enumerate(row)) for row in bite]
        insert_rows(target, statement, blank if own else bite)
    key, param = model._meta.primary_key, target.param
    for row in referring:
        for place in own:
            target.execute_sql(
                f'UPDATE "{model._meta.table_name}" SET "{fields[place].column_name}" = {param} '
                f'WHERE "{key.column_name}" = {param}',
                (row[place], row[fields.index(key)]),
            )
    return count


def _bites(model: type[Table], db: Database) -> Iterator[list[Row]]:
    """In the order of their keys, byte by byte on either store; never more than a bite in memory."""
    fields = model._meta.sorted_fields
    key = model._meta.primary_key
    order = f'"{key.column_name}"' + (' COLLATE "C"' if isinstance(db, Postgresql) and _is_text(key) else "")
    columns = ", ".join(f'"{field.column_name}"' for field in fields)
    select, place = f'SELECT {columns} FROM "{model._meta.table_name}"', fields.index(key)
    after: Sequence[Any] = ()
    while True:
        where = f" WHERE {order} > {db.param}" if after else ""
        found = db.execute_sql(f"{select}{where} ORDER BY {order} LIMIT {BITE}", after).fetchall()
        if not found:
            return
        yield [tuple(_plain(field, value) for field, value in zip(fields, row, strict=True)) for row in found]
        after = (found[-1][place],)


def _is_text(field: Field) -> bool:
    return str(field.field_type) in ("VARCHAR", "TEXT")


def _plain(field: Field, value: Any) -> Any:
    """The same on either store, and taken by both. Texts stay as they are stored, JSON among them."""
    if value is None:
        return None
    if isinstance(field, Moment):
        return field.db_value(field.python_value(value))
    if isinstance(field, BooleanField):
        return bool(value)
    return bytes(value) if isinstance(field, BlobField) else value


def _difference(model: type[Table], source: Database, target: Database) -> str:
    name, count = model._meta.table_name, 0
    theirs = _bites(model, target)
    for ours in _bites(model, source):
        if ours != (found := next(theirs, [])):
            rows = (n for n, row in enumerate(ours) if n >= len(found) or row != found[n])
            return f"{name} differs from row {count + next(rows, len(ours)) + 1} on"
        count += len(ours)
    return f"{name} has more than {count} rows" if next(theirs, None) else ""


def _count_on(model: type[Table], db: Database) -> None:
    """New rows get ids after those that came along."""
    key = model._meta.primary_key
    if isinstance(key, AutoField | BigAutoField):
        table, column = model._meta.table_name, key.column_name
        db.execute_sql(
            f'SELECT setval(pg_get_serial_sequence(%s, %s), max("{column}")) FROM "{table}" HAVING count(*) > 0',
            (f'"{table}"', column),
        )
