"""The number that every change raises. Whoever keeps a copy of something compares its number first."""

from __future__ import annotations

from webapp.store.following import GENERATION
from webapp.store.models import State, database


def raise_by_one() -> None:
    """In the caller's transaction: it holds, for every worker, from the commit on."""
    State.insert(key="generation", value=1).on_conflict(
        conflict_target=[State.key],
        update={State.value: (State.value.cast("integer") + 1).cast("text")},
    ).execute()
    database.announce()


def read() -> int:
    """One row by its key."""
    row = database.execute_sql(GENERATION).fetchone()
    return int(row[0]) if row else 0


def known() -> int | None:
    """Without waiting for anybody, so that an event loop may ask before each call. None: only `read` can tell."""
    number: int | None = database.known_generation()
    return number
