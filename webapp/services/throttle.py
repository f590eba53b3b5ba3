"""Counting tries in the database, so that all workers count together."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from webapp.errors import TooMany
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Throttle

KEEP = timedelta(days=1)


@dataclass(frozen=True)
class Limit:
    """`tries` within `seconds`."""

    tries: int
    seconds: int

    def times(self, factor: int) -> Limit:
        return Limit(self.tries * factor, self.seconds)


def count(bucket: str, limit: Limit) -> None:
    """One more try; raises TooMany, and counts nothing, when that is too many.

    Count first and work afterwards: of many tries at once no more than the limit get through.
    """
    moment, window = now(), timedelta(seconds=limit.seconds)
    with writing():
        row = Throttle.get_or_none(Throttle.bucket == bucket)
        if row is None or row.since + window <= moment:
            _forget_old(moment, window)
            Throttle.insert(bucket=bucket, tries=1, since=moment).on_conflict(
                conflict_target=[Throttle.bucket], preserve=[Throttle.tries, Throttle.since]
            ).execute()
            return
        if row.tries >= limit.tries:
            raise _too_many(row.since + window - moment)
        Throttle.update(tries=Throttle.tries + 1).where(Throttle.bucket == bucket).execute()


def give_back(bucket: str) -> None:
    """That try was a good one."""
    Throttle.update(tries=Throttle.tries - 1).where(Throttle.bucket == bucket, Throttle.tries > 0).execute()


def clear(bucket: str) -> None:
    Throttle.delete().where(Throttle.bucket == bucket).execute()


def network(ip: str) -> str:
    """Whom to count together: /24 of IPv4, /64 of IPv6."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return str(ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False))


def _too_many(left: timedelta) -> TooMany:
    seconds = int(left.total_seconds()) + 1
    minutes = max(1, round(seconds / 60))
    return TooMany(
        "Too many tries.",
        retry_after=seconds,
        next_step=f"Wait {minutes} minute{'' if minutes == 1 else 's'}, then try again.",
    )


def _forget_old(moment: datetime, window: timedelta) -> None:
    """Anybody can make up names of accounts; nobody needs their rows the day after."""
    Throttle.delete().where(Throttle.since < moment - max(window, KEEP)).execute()
