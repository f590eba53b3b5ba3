"""Thirty days of calls in the log, the same in every picture: a helpdesk with quiet week-ends and one bad day."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from webapp.services import audit
from webapp.services.audit import Actor, Row
from webapp.store.database import writing
from webapp.store.fields import now

TOOLS = {
    "list_tickets": 90,
    "get_ticket": 60,
    "search_tickets": 240,
    "list_devices": 700,
    "update_ticket": 320,
}
CLAUDE = Actor("agent", "Claude for the helpdesk", ip="127.0.0.1")


def lay_down() -> None:
    """Up to yesterday: today's rows are made by whoever uses the house."""
    with writing():
        audit.append(row for ago in range(29, 0, -1) for row in _day(ago))


def _day(ago: int) -> Iterator[Row]:
    chance = random.Random(ago)
    day = now().date() - timedelta(days=ago)
    count = chance.randrange(2, 9) if day.weekday() > 4 else chance.randrange(25, 60)
    minutes = sorted(chance.randrange(7 * 60, 18 * 60) for _ in range(count))
    for minute in minutes:
        at = datetime.combine(day, time(minute // 60, minute % 60), UTC)
        yield _call(chance, at, bad=ago == _bad_day())


def _bad_day() -> int:
    """Days ago; no week-end."""
    return next(ago for ago in (9, 10, 11) if (now().date() - timedelta(days=ago)).weekday() < 5)


def _call(chance: random.Random, at: datetime, *, bad: bool) -> Row:
    tool = chance.choice(list(TOOLS))
    failed = chance.random() < (0.6 if bad else 0.03)
    outcome = "failed" if failed else chance.choice(["ok"] * 20 + ["denied", "tool_error"])
    return Row(
        "call", CLAUDE, "call", "desk", f"mcp:desk:{tool}", policy="auto", outcome=outcome,
        duration_ms=None if outcome == "denied" else TOOLS[tool] * chance.lognormvariate(0, 0.5), at=at,
        details={"arguments": {"ticket_id": f"T-{chance.randrange(1000, 1100)}"}},
    )  # fmt: skip
