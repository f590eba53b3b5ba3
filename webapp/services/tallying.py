"""Counting the log ahead, a chunk at a time, so that Home needs no walk through a million rows.

Done by upkeep, never by a call. Whoever reads adds the rows that are not counted yet, so that no number lags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from peewee import fn

from webapp.store.database import execute, fetch, writing
from webapp.store.fields import now
from webapp.store.models import Pace, Tally, database, remember, state

CHUNK = 2_000  # rows: a write of a few milliseconds
QUARTER = timedelta(minutes=15)
KEPT_PACE = timedelta(days=10)
REMOVED = "calls_removed"
RAN = ("ok", "tool_error", "failed")  # calls that took as long as their server took


def tallied() -> int:
    """The id of the last row that is counted."""
    return int(state("tallied", 0))


def count_ahead(most: int = CHUNK) -> int:
    """Counts the next rows; how many. 0: all is counted, or another worker was quicker."""
    done = tallied()
    ((last,),) = fetch(
        'SELECT MAX("id") FROM (SELECT "id" FROM "entry" WHERE "id" > ? ORDER BY "id" LIMIT ?) AS next',
        (done, most),
    )
    if last is None:
        return 0
    tallies, paces = quarters(done, last), durations(done, last)
    with writing():
        if tallied() != done:
            return 0
        _add_tallies(tallies)
        _add_paces(paces)
        remember("tallied", last)
    return sum(count for *_, count, _first, _last in tallies)


def forget_old() -> None:
    with writing():
        Pace.delete().where(Pace.day < now() - KEPT_PACE).execute()


def forget_removed(last: int) -> None:
    """The rows up to this one are no more; how many calls they were stays. In the caller's transaction."""
    gone = (
        Tally.select(Tally.outcome, fn.SUM(Tally.count))
        .where(Tally.kind == "call", Tally.last_id <= last)
        .group_by(Tally.outcome)
    )
    if found := Counter({outcome: int(count) for outcome, count in gone.tuples()}):
        remember(REMOVED, removed_calls() + found)
    Tally.delete().where(Tally.last_id <= last).execute()


def removed_calls() -> Counter[str]:
    """By outcome, all whose rows and tallies are no more."""
    return Counter(state(REMOVED, {}))


def quarters(after: int, to: int, since: datetime | None = None) -> list[tuple[Any, ...]]:
    """(start, kind, outcome, count, first id, last id) of the rows after one id and up to another."""
    conditions, values = _between(after, to, since)
    sql = f"""SELECT {database.QUARTER_OF_ROW}, "kind", "outcome", COUNT(*), MIN("id"), MAX("id") FROM "entry"
        WHERE {conditions} GROUP BY 1, 2, 3"""
    return [(Tally.start.python_value(start), *rest) for start, *rest in fetch(sql, values)]


def durations(after: int, to: int, since: datetime | None = None) -> Counter[tuple[datetime, str, int]]:
    """How many calls by (day, tool, milliseconds as shown)."""
    conditions, values = _between(after, to, since)
    sql = f"""SELECT {database.DAY_OF_ROW}, "tool", CAST(ROUND("duration_ms") AS INTEGER), COUNT(*)
        FROM "entry" WHERE {conditions} AND COALESCE("kind", '') = 'call' AND "duration_ms" IS NOT NULL
        AND COALESCE("outcome", '') IN ({", ".join("?" * len(RAN))}) GROUP BY 1, 2, 3"""
    found: Counter[tuple[datetime, str, int]] = Counter()
    for day, tool, took, count in fetch(sql, [*values, *RAN]):
        if start := Pace.day.python_value(day):
            found[start, tool, as_shown(took)] += count
    return found


def as_shown(milliseconds: float) -> int:
    """Two digits are what a person reads. Rounding keeps the order, so a percentile of rounded numbers is the
    rounded percentile."""
    whole = int(milliseconds + 0.5)
    unit: int = 10 ** max(0, len(str(whole)) - 2)
    return int(whole / unit + 0.5) * unit


def _between(after: int, to: int, since: datetime | None) -> tuple[str, list[Any]]:
    """COALESCE keeps SQLite from walking through a whole kind by its index."""
    if since is None:
        return '"id" > ? AND "id" <= ?', [after, to]
    earliest = str(Tally.start.db_value(since))
    return '"id" > ? AND "id" <= ? AND COALESCE("at", NULL) >= ?', [after, to, earliest]


def _add_tallies(tallies: Iterable[tuple[Any, ...]]) -> None:
    """Ids only grow, so `first_id` stays."""
    for start, *rest in tallies:
        execute(
            """INSERT INTO "tally" ("start", "kind", "outcome", "count", "first_id", "last_id")
            VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT ("start", "kind", "outcome") DO UPDATE
            SET "count" = "tally"."count" + excluded."count", "last_id" = excluded.last_id""",
            (Tally.start.db_value(start), *rest),
        )


def _add_paces(paces: Counter[tuple[datetime, str, int]]) -> None:
    """Not by Peewee, which takes 30 times as long over it, while the calls wait."""
    oldest = now() - KEPT_PACE
    for (day, tool, took), count in paces.items():
        if day >= oldest:
            execute(
                """INSERT INTO "pace" ("day", "tool", "took_ms", "count") VALUES (?, ?, ?, ?)
                ON CONFLICT ("day", "tool", "took_ms") DO UPDATE SET "count" = "pace"."count" + excluded.count""",
                (Pace.day.db_value(day), tool, took, count),
            )
