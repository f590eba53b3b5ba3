"""Columns that say what they hold: moments in UTC, JSON, and sealed secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import peewee
from peewee import BlobField, DateTimeField

from webapp.store.secrets import vault


def now() -> datetime:
    return datetime.now(UTC)


def storable(text: str) -> str:
    """Servers send lone surrogates and zero bytes in JSON; not every database takes them, and no row may be lost
    to one."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class _Line(peewee.CharField):  # type: ignore[misc]
    def db_value(self, value: Any) -> Any:
        return storable(value) if isinstance(value, str) else value


class _Text(peewee.TextField):  # type: ignore[misc]
    def db_value(self, value: Any) -> Any:
        return storable(value) if isinstance(value, str) else value


# Like Peewee's own they are Any to the type checker, so that columns on rows are. Texts are as long as they are:
# no store enforces a width.
CharField: Any = _Line
TextField: Any = _Text


class Moment(DateTimeField):  # type: ignore[misc]
    """An aware datetime outside, naive UTC in the database, so that both stores sort it alike."""

    def db_value(self, value: datetime | None) -> Any:
        return super().db_value(value.astimezone(UTC).replace(tzinfo=None) if value else value)

    def python_value(self, value: Any) -> datetime | None:
        moment: datetime | None = super().python_value(value)
        return moment.replace(tzinfo=UTC) if moment else None


class Json(peewee.TextField):  # type: ignore[misc]
    def db_value(self, value: Any) -> str | None:
        return (
            None if value is None else storable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
        )

    def python_value(self, value: str | None) -> Any:
        return None if value is None else json.loads(value)


class Sealed(BlobField):  # type: ignore[misc]
    """Any JSON value, encrypted at rest. What `seal` returns goes in, `open` brings it back.

    The plain value never passes through the column by itself: code that reads a row by chance
    (a page, an export) gets ciphertext.
    """

    def seal(self, record: str, value: Any) -> bytes:
        return vault.seal(f"{self.model._meta.table_name}.{self.name}:{record}", value)

    def open(self, record: str, sealed: bytes | memoryview | None) -> Any:
        if sealed is None:
            return None
        return vault.open(f"{self.model._meta.table_name}.{self.name}:{record}", bytes(sealed))
