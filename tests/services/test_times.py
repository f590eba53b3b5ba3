"""Moments in words, before and after now, at every border between two units."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from webapp.services import times

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
