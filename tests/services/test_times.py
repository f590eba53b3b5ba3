"""Moments in words, before and after now, at every border between two units."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from webapp.services import times
from webapp.store.fields import now

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (9, "just now"),
        (10, "10 seconds ago"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86399, "23 hours ago"),
        (86400, "1 day ago"),
        (40 * 86400, "40 days ago"),
        (-9, "just now"),
        (-12 * 60, "in 12 minutes"),
        (-86400, "in 1 day"),
    ],
)
def test_a_moment_is_told_relative_to_now(seconds: int, words: str) -> None:
    assert times.relative(NOON - timedelta(seconds=seconds), NOON) == words


def test_no_moment_is_never() -> None:
    assert times.relative(None) == times.absolute(None) == "never"


def test_the_absolute_time_names_its_zone() -> None:
    assert times.absolute(NOON) == "2026-03-29 12:00:00 UTC"


# --- zones


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "zone", "words"),
    [
        ("2026-03-29 00:59:59", "Europe/Amsterdam", "2026-03-29 01:59:59 CET"),
        ("2026-03-29 01:00:00", "Europe/Amsterdam", "2026-03-29 03:00:00 CEST"),
        ("2026-10-25 00:30:00", "Europe/Amsterdam", "2026-10-25 02:30:00 CEST"),
        ("2026-10-25 01:30:00", "Europe/Amsterdam", "2026-10-25 02:30:00 CET"),
        ("2026-01-01 00:00:00", "Asia/Kathmandu", "2026-01-01 05:45:00 UTC+0545"),
        ("2026-01-01 00:00:00", "America/Sao_Paulo", "2025-12-31 21:00:00 UTC-03"),
    ],
)
def test_a_moment_is_told_in_the_zone_of_its_reader(moment: str, zone: str, words: str) -> None:
    found = times.zone(zone)
    assert found
    assert times.absolute(at(moment), found) == words


@pytest.mark.parametrize(
    ("day", "zone", "begins"),
    [
        ("2026-03-29", "Europe/Amsterdam", "2026-03-28 23:00:00"),  # a day of 23 hours
        ("2026-03-30", "Europe/Amsterdam", "2026-03-29 22:00:00"),
        ("2026-10-26", "Europe/Amsterdam", "2026-10-25 23:00:00"),  # after a day of 25
        ("2026-04-24", "Africa/Cairo", "2026-04-23 22:00:00"),  # midnight itself was skipped
        ("2026-01-01", "Asia/Kolkata", "2025-12-31 18:30:00"),
    ],
)
def test_a_day_begins_at_its_own_midnight(day: str, zone: str, begins: str) -> None:
    found = times.zone(zone)
    assert found
    assert times.midnight(date.fromisoformat(day), found) == at(begins)


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "europe/amsterdam\0"]
)
def test_what_is_no_zone_is_none(name: str) -> None:
    assert times.zone(name) is None


def test_the_zones_to_choose_from_are_those_that_can_be_chosen() -> None:
    names = [name for names in times.zones().values() for name in names]
    assert "Europe/Amsterdam" in names
    assert all(times.zone(name) for name in names)


def test_a_list_names_the_day_where_it_is_not_today() -> None:
    today = now()
    assert times.clock(today) == f"{today:%H:%M:%S}"
    assert times.clock(at("2020-02-03 04:05:06")) == "3 Feb 2020 04:05"


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0.4, "0 ms"),
        (7, "7 ms"),
        (990, "990 ms"),
        (1200, "1.2 s"),
        (9900, "9.9 s"),
        (14000, "14 s"),
        (120000, "120 s"),
    ],
)
def test_a_length_is_told_with_two_digits(milliseconds: float, words: str) -> None:
    assert times.took(milliseconds) == words
