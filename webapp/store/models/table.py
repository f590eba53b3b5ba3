"""What all tables have in common, and the small facts of the whole installation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from peewee import AutoField, BigAutoField, BigIntegerField, DatabaseProxy, Model

from webapp.store.fields import CharField, Json
from webapp.store.rows import insert_rows

database = DatabaseProxy()


class Table(Model):  # type: ignore[misc]
    class Meta:
        database = database
        legacy_table_names = False

    @classmethod
    def add_all(cls, rows: Iterable[Mapping[str, Any]]) -> None:
        """New rows, whose ids the store gives. Like `insert_many`, which takes longer to write its statement than the
        store takes to run it: here one statement serves all."""
        fields = [
            field for field in cls._meta.sorted_fields if not isinstance(field, AutoField | BigAutoField)
        ]

        def values(row: Mapping[str, Any]) -> list[Any]:
            whole = cls._meta.get_default_dict() | row
            return [field.db_value(whole.get(field.name)) for field in fields]

        insert_rows(database, cls.insertion(fields, database.param), map(values, rows))

    @classmethod
    def insertion(cls, fields: Sequence[Any], param: str) -> str:
        """The statement that takes one row of these fields."""
        columns = ", ".join(f'"{field.column_name}"' for field in fields)
        return f'INSERT INTO "{cls._meta.table_name}" ({columns}) VALUES ({", ".join([param] * len(fields))})'


class State(Table):
    """Small facts of the whole installation, e.g. the generation that tells workers to look again."""

    key = CharField(primary_key=True)
    value = Json()


class Extent(Table):
    """How far the change went that raised the generation to this number. None there: as far as can be."""

    generation = BigIntegerField(primary_key=True)
    tools = Json()  # ids of the only ones that are another for agents


def state(key: str, default: Any = None) -> Any:
    row = State.get_or_none(State.key == key)
    return default if row is None else row.value


def remember(key: str, value: Any) -> None:
    """In the caller's transaction."""
    State.insert(key=key, value=value).on_conflict(
        conflict_target=[State.key], preserve=[State.value]
    ).execute()
