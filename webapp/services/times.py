"""Moments in words, in the zone of whoever reads them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from webapp.store.fields import now

STEPS = ((60, 1, "second"), (3600, 60, "minute"), (86400, 3600, "hour"), (float("inf"), 86400, "day"))
# Names that people look for; the database has as many again for old spellings.
AREAS = (
    "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
)  # fmt: skip


def span(length: timedelta) -> str:
    """“40 seconds”, “3 hours”: cut to whole units."""
    size = abs(length.total_seconds())
    unit_size, unit = next((unit_size, unit) for limit, unit_size, unit in STEPS if size < limit)
    count = int(size // unit_size)
    return f"{count} {unit}{'' if count == 1 else 's'}"


def took(milliseconds: float) -> str:
    """“340 ms”, “1.2 s”, “14 s”."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 10_000 else f"{milliseconds / 1000:.0f} s"


def relative(moment: datetime | None, at: datetime | None = None) -> str:
    """“3 minutes ago”, “in 12 minutes”, “just now”; None is “never”."""
    if moment is None:
        return "never"
    seconds = ((at or now()) - moment).total_seconds()
    if abs(seconds) < 10:
        return "just now"
    words = span(timedelta(seconds=seconds))
    return f"{words} ago" if seconds > 0 else f"in {words}"


def absolute(moment: datetime | None, zone: tzinfo = UTC) -> str:
    if moment is None:
        return "never"
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S} {abbreviation(local)}"


def clock(moment: datetime, zone: tzinfo = UTC) -> str:
    """“14:03:22” today, else “21 Nov 14:03”; another year is named."""
    local, today = moment.astimezone(zone), now().astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    return f"{local.day} {local:%b %H:%M}" if local.year == today.year else f"{local.day} {local:%b %Y %H:%M}"


def abbreviation(local: datetime) -> str:
    """“CET”, “UTC”; zones without letters of their own say their distance: “UTC-03”."""
    name = local.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


@cache
def zone(name: str) -> tzinfo | None:
    """None for what is no zone, or none this machine knows."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name) if name in available_timezones() else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@cache
def zones() -> dict[str, list[str]]:
    """The zones to choose from, by area."""
    known = sorted(available_timezones())
    areas = {area: [name for name in known if name.startswith(f"{area}/")] for area in AREAS}
    return {area: names for area, names in areas.items() if names}


def midnight(day: date, zone: tzinfo) -> datetime:
    """The first moment of that day there, in UTC: days of 23 and 25 hours begin where they should."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def today(zone: tzinfo, at: datetime | None = None) -> date:
    return (at or now()).astimezone(zone).date()


def day_after(day: date) -> date:
    return day + timedelta(days=1)
