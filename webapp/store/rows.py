"""Many rows at once, on either store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from peewee import Database, __exception_wrapper__


def insert_rows(db: Database, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    """In the caller's transaction. `statement` takes one row, with the store's own placeholders; PostgreSQL is sent all
    in one round trip."""
    with __exception_wrapper__:
        db.cursor().executemany(statement, list(rows))
