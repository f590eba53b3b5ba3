"""The numbers on Home: the same that the log gives, without a walk through it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import groupby

from peewee import fn

from webapp.services import sentences, times
from webapp.services.tallying import QUARTER, RAN, durations, quarters, tallied
from webapp.store.database import fetch, snapshot
from webapp.store.fields import now
from webapp.store.models import Entry, Integration, Pace, Tally

DAYS = 30
PACE_DAYS = 7
MOST_TOOLS = 8
NEWEST = 2**63 - 1
# A server fails when, of its calls in the last hour, this many and half of all came to nothing.
FAILS = 5
LAST_HOUR = timedelta(hours=1)
LOOKED_AT = 5_000  # newest rows


@dataclass
class Day:
    """Calls of one day by their outcome."""

    date: date
    outcomes: Counter[str] = field(default_factory=Counter)

    def of(self, group: str) -> int:
        """`group` as in sentences.GROUPS, or one outcome."""
        members = sentences.GROUPS[group][1] if group in sentences.GROUPS else (group,)
        return sum(self.outcomes[one] for one in members)

    @property
    def calls(self) -> int:
        return self.of("finished")

    @property
    def errors(self) -> int:
        return self.of("error")


@dataclass(frozen=True)
class ToolPace:
    """Milliseconds that half of a tool's calls took at most, and 95 of 100 (nearest rank)."""

    tool: str
    calls: int
    p50: int
    p95: int


def last_days(zone: tzinfo, count: int = DAYS) -> list[Day]:
    """Oldest first; the last is today. Days begin at midnight of that zone."""
    dates = [times.today(zone) - timedelta(days=back) for back in reversed(range(count))]
    edges = [times.midnight(one, zone) for one in (*dates, times.day_after(dates[-1]))]
    with snapshot():  # what is counted, and what is not yet
        days = [
            _counted(one, *edge) for one, edge in zip(dates, zip(edges, edges[1:], strict=False), strict=True)
        ]
        fresh = quarters(tallied(), NEWEST, edges[0])
    for start, kind, outcome, number, *_ in fresh:
        index = sum(edge <= start for edge in edges) - 1
        if kind == "call" and 0 <= index < count:
            days[index].outcomes[outcome] += number
    return days


def nice_top(days: list[Day]) -> int:
    """Where the axis ends: one digit and noughts, halved without a rest, and not below the largest day."""
    most = max(1, *(day.calls for day in days))
    size: int = 10 ** (len(str(most)) - 1)
    return next(digit * size for digit in (1, 2, 4, 6, 8, 10) if digit * size >= most)


def _counted(day: date, since: datetime, until: datetime) -> Day:
    rows = Tally.select(Tally.outcome, fn.SUM(Tally.count)).where(
        Tally.kind == "call", Tally.start >= since, Tally.start < until
    )
    return Day(day, Counter(dict(rows.group_by(Tally.outcome).tuples())))


def slowest(most: int = MOST_TOOLS) -> list[ToolPace]:
    """Over seven days (UTC), today being the last. Slowest by the 95th of 100 calls first."""
    since = _pace_since()
    with snapshot():
        rows = (
            Pace.select(Pace.tool, Pace.took_ms, fn.SUM(Pace.count))
            .where(Pace.day >= since)
            .group_by(Pace.tool, Pace.took_ms)
        )
        counts: Counter[tuple[str, int]] = Counter(
            {(tool, took): count for tool, took, count in rows.tuples()}
        )
        for (_, tool, took), count in durations(tallied(), NEWEST, since).items():
            counts[tool, took] += count
    found = [
        _pace(tool, [(took, count) for (_, took), count in group])
        for tool, group in groupby(sorted(counts.items()), key=lambda item: item[0][0])
    ]
    return sorted(found, key=lambda one: (-one.p95, -one.p50, one.tool))[:most]


def runs(tools: list[str]) -> Counter[str]:
    """How often each of these ran in those seven days."""
    since = _pace_since()
    days = [since + timedelta(days=number) for number in range(PACE_DAYS)]
    with snapshot():
        counted = Pace.select(Pace.tool, fn.SUM(Pace.count)).where(Pace.day.in_(days), Pace.tool.in_(tools))
        # COALESCE: by the index on kind, all calls would be walked through.
        fresh = Entry.select(Entry.tool, fn.COUNT(Entry.id)).where(
            Entry.tool.in_(tools), Entry.id > tallied(), fn.COALESCE(Entry.kind, "") == "call",
            Entry.at >= since, Entry.duration_ms.is_null(False), Entry.outcome.in_(RAN),
        )  # fmt: skip
        found = Counter(dict(counted.group_by(Pace.tool).tuples()))
        found.update(dict(fresh.group_by(Entry.tool).tuples()))
    return found


def _pace_since() -> datetime:
    return datetime.combine(now().date() - timedelta(days=PACE_DAYS - 1), time.min, now().tzinfo)


def _pace(tool: str, spread: list[tuple[int, int]]) -> ToolPace:
    total = sum(count for _, count in spread)
    return ToolPace(tool, total, _percentile(spread, total, 50), _percentile(spread, total, 95))


def _percentile(spread: Iterable[tuple[int, int]], total: int, percent: int) -> int:
    """Nearest rank; `spread` is (milliseconds, how many) in order."""
    rank, seen = -(-total * percent // 100), 0
    for took, count in spread:
        seen += count
        if seen >= rank:
            return took
    raise ValueError("no calls, no percentile")


@dataclass(frozen=True)
class Failing:
    integration: Integration
    failed: int
    calls: int


def failing() -> list[Failing]:
    """Integrations whose calls come to nothing just now, whatever their state says."""
    newest = Entry.select(fn.MAX(Entry.id)).scalar() or 0
    sql = """SELECT "integration", COUNT(*) FILTER (WHERE "outcome" IN ('failed', 'unknown')), COUNT(*) FROM "entry"
        WHERE "id" > ? AND COALESCE("kind", '') = 'call' AND COALESCE("at", NULL) >= ?
        AND COALESCE("outcome", '') IN ('ok', 'tool_error', 'failed', 'unknown') GROUP BY 1"""
    since = str(Entry.at.db_value(now() - LAST_HOUR))
    found = fetch(sql, (newest - LOOKED_AT, since))
    bad = {name: (failed, calls) for name, failed, calls in found if failed >= FAILS and failed * 2 >= calls}
    return [
        Failing(one, *bad[one.name]) for one in Integration.listed().where(Integration.name.in_(list(bad)))
    ]


def id_ranges(since: datetime | None, until: datetime | None) -> list[tuple[int, int]]:
    """Where in the log rows of this time can lie: (from, to) by id, newest first. Both ends may be too wide, never
    too narrow: rows are not quite in the order of their time."""
    if since is None and until is None:
        return [(0, NEWEST)]
    done = tallied()
    overlapping = Tally.select(fn.MIN(Tally.first_id), fn.MAX(Tally.last_id))
    if since is not None:
        overlapping = overlapping.where(Tally.start > since - QUARTER)
    if until is not None:
        overlapping = overlapping.where(Tally.start < until)
    first, last = overlapping.tuples().get()
    fresh = (done + 1, NEWEST)
    return [fresh] if first is None else [fresh, (first, last)]
