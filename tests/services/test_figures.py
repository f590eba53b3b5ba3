"""The numbers on Home are those of the log: counted ahead or not, in every zone, on days of 23 and 25 hours."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from webapp.services import audit, figures, integrations, sentences, tallying, times
from webapp.services.audit import COMMAND, Actor, Row
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Entry, Pace, State, Tally

ZONES = [
    "UTC",
    "Europe/Amsterdam",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Pacific/Kiritimati",
]


def write(count: int = 400, days: float = 35, seed: int = 4) -> None:
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        kind = chance.choice(["call"] * 9 + ["change"])
        rows.append(
            Row(
                kind,
                Actor("agent", "Claude"),
                "call",
                "desk",
                f"mcp:desk:tool{chance.randrange(5)}",
                outcome=chance.choice([*sentences.OUTCOMES, "ok", "ok", "ok"]),
                duration_ms=chance.choice([None, chance.lognormvariate(5, 2)]),
                at=now() - timedelta(days=days * chance.random()),
            )  # fmt: skip
        )
    with writing():
        audit.append(rows)


def count_all() -> None:
    while tallying.count_ahead():
        pass


def by_hand(zone: str) -> dict[str, Counter[str]]:
    days: dict[str, Counter[str]] = {}
    for entry in Entry.select().where(Entry.kind == "call"):
        day = entry.at.astimezone(ZoneInfo(zone)).date().isoformat()
        days.setdefault(day, Counter())[entry.outcome] += 1
    return days


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("counted", ["all", "some", "none"])
def test_the_days_are_those_of_the_log(store: None, zone: str, counted: str) -> None:
    write()
    if counted != "none":
        count_all()
    if counted == "some":
        write(seed=5)
    expected = by_hand(zone)
    days = figures.last_days(ZoneInfo(zone))
    assert len(days) == 30
    assert days[-1].date == times.today(ZoneInfo(zone))
    for day in days:
        assert +day.outcomes == expected.get(day.date.isoformat(), Counter()), day.date


@pytest.mark.parametrize("counted", ["all", "some", "none"])
def test_how_often_a_tool_ran_is_what_the_log_says(store: None, counted: str) -> None:
    write()
    if counted != "none":
        count_all()
    if counted == "some":
        write(seed=5)
    first_day = (now() - timedelta(days=6)).date()
    expected = Counter(
        str(entry.tool)
        for entry in Entry.select().where(Entry.kind == "call", Entry.duration_ms.is_null(False))
        if entry.outcome in tallying.RAN and entry.at.date() >= first_day
    )
    tools = [f"mcp:desk:tool{number}" for number in range(6)]
    assert expected and figures.runs(tools) == expected
    assert figures.runs(tools[:1]) == Counter({tools[0]: expected[tools[0]]})


def test_calls_and_errors_are_the_groups_of_the_log(store: None) -> None:
    with writing():
        audit.append(
            Row("call", Actor("agent", "Claude"), "call", outcome=outcome) for outcome in sentences.OUTCOMES
        )
    today = figures.last_days(UTC)[-1]
    assert (today.calls, today.errors, today.of("waiting")) == (len(sentences.OUTCOMES) - 1, 3, 1)


def nearest_rank(values: list[float], percent: int) -> float:
    return sorted(values)[-(-len(values) * percent // 100) - 1]


@pytest.mark.parametrize("counted", ["all", "some", "none"])
def test_the_slowest_tools_are_those_of_the_log(store: None, counted: str) -> None:
    write(days=9)
    if counted != "none":
        count_all()
    if counted == "some":
        write(days=9, seed=6)
    first = datetime.combine(now().date() - timedelta(days=6), datetime.min.time(), UTC)
    took: dict[str, list[float]] = {}
    for entry in Entry.select().where(
        Entry.kind == "call", Entry.at >= first, Entry.outcome.in_(tallying.RAN)
    ):
        if entry.duration_ms is not None:
            took.setdefault(entry.tool, []).append(entry.duration_ms)
    found = {one.tool: (one.calls, one.p50, one.p95) for one in figures.slowest()}
    expected = {
        tool: (len(values), *(tallying.as_shown(int(nearest_rank(values, p) + 0.5)) for p in (50, 95)))
        for tool, values in took.items()
    }
    assert found == expected
    p95s = [one.p95 for one in figures.slowest()]
    assert p95s == sorted(p95s, reverse=True)


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [(0, 0), (0.4, 0), (7.6, 8), (99, 99), (99.6, 100), (104, 100), (105, 110), (994, 990), (995, 1000),
     (1249, 1200), (120_000, 120_000), (124_999, 120_000)],
)  # fmt: skip
def test_two_digits_are_shown(milliseconds: float, shown: int) -> None:
    assert tallying.as_shown(milliseconds) == shown


def test_a_row_is_counted_once_whoever_counts(store: None, monkeypatch: pytest.MonkeyPatch) -> None:
    write(count=50)
    before = tallying.tallied()
    assert tallying.count_ahead() == 50
    assert tallying.count_ahead() == 0
    monkeypatch.setattr(tallying, "tallied", iter([before, tallying.tallied()]).__next__)
    assert tallying.count_ahead() == 0  # another worker was quicker
    assert sum(row.count for row in Tally.select()) == 50


def test_counting_ahead_wakes_no_worker(store: None) -> None:
    write(count=5)
    generation = State.get_or_none(State.key == "generation")
    count_all()
    assert (State.get_or_none(State.key == "generation") is None) == (generation is None)


def test_old_paces_are_forgotten(store: None) -> None:
    write(count=40, days=30)
    count_all()
    assert Pace.select().exists()
    Pace.update(day=now() - timedelta(days=11)).execute()
    tallying.forget_old()
    assert not Pace.select().exists()


def test_a_server_whose_calls_come_to_nothing_is_named(store: None) -> None:
    integrations.add_server("https://desk.example.com/mcp", COMMAND, name="desk")
    for outcomes, failing in (
        (["ok"] * 4 + ["failed"] * 4, []),
        (["unknown"] * 2, [(6, 10)]),
        (["denied", "waiting"], [(6, 10)]),
        (["ok"] * 3, []),
    ):
        with writing():
            audit.append(
                Row("call", Actor("agent", "Claude"), "call", "desk", outcome=outcome) for outcome in outcomes
            )
        assert [(one.failed, one.calls) for one in figures.failing()] == failing
