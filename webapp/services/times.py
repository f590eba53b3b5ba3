"""Moments in words."""

from __future__ import annotations

from datetime import datetime

from webapp.store.fields import now

STEPS = ((60, 1, "second"), (3600, 60, "minute"), (86400, 3600, "hour"), (float("inf"), 86400, "day"))


def relative(moment: datetime | None, at: datetime | None = None) -> str:
    """“3 minutes ago”, “in 12 minutes”, “just now”; None is “never”."""
    if moment is None:
        return "never"
    seconds = ((at or now()) - moment).total_seconds()
    size = abs(seconds)
    if size < 10:
        return "just now"
    unit_size, unit = next((unit_size, unit) for limit, unit_size, unit in STEPS if size < limit)
    count = int(size // unit_size)
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def absolute(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
