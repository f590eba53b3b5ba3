"""The number that every change raises. Whoever keeps a copy of something compares its number first, and may ask how far
the changes since went."""

from __future__ import annotations

from collections.abc import Iterable

from webapp.store.following import generation_in
from webapp.store.models import Extent, State, database

# Changes whose extent is remembered, and how many tools one of them may be about: past that, all is read again.
MOST_CHANGES, MOST_TOOLS = 1000, 500


def raise_by_one(tools: Iterable[int] | None = None) -> None:
    """In the caller's transaction: it holds, for every worker, from the commit on.

    `tools`: nothing that agents are offered has changed, except for these tools; None: anything may have.
    """
    State.insert(key="generation", value=1).on_conflict(
        conflict_target=[State.key],
        update={State.value: (State.value.cast("integer") + 1).cast("text")},
    ).execute()
    if tools is not None and len(only := sorted(set(tools))) <= MOST_TOOLS:
        _note(only)
    database.announce()


def _note(tools: list[int]) -> None:
    number = read()
    Extent.insert(generation=number, tools=tools).execute()
    if number % 100 == 0:
        Extent.delete().where(Extent.generation <= number - MOST_CHANGES).execute()


def touched(since: int, until: int) -> set[int] | None:
    """The tools that the changes after `since` were about, perhaps none; None: they may have been about anything."""
    if not 0 < until - since <= MOST_CHANGES:
        return None
    rows = Extent.select(Extent.tools).where(Extent.generation > since, Extent.generation <= until)
    extents = [tools for (tools,) in rows.tuples()]
    return {id for tools in extents for id in tools} if len(extents) == until - since else None


def read() -> int:
    """One row by its key."""
    return generation_in(database.execute_sql)


def known() -> int | None:
    """Without waiting for anybody, so that an event loop may ask before each call. None: only `read` can tell."""
    number: int | None = database.known_generation()
    return number
