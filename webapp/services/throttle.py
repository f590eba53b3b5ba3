"""Counting tries in the database, so that all workers count together."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta

from webapp.errors import TooMany
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Throttle


@dataclass(frozen=True)
class Limit:
    """`tries` within `seconds`."""

    tries: int
    seconds: int

    def times(self, factor: int) -> Limit:
        return Limit(self.tries * factor, self.seconds)


def check(bucket: str, limit: Limit) -> None:
    """Raises TooMany while the bucket is full."""
    row = Throttle.get_or_none(Throttle.bucket == bucket)
    if row is None or row.tries < limit.tries:
        return
    left = row.since + timedelta(seconds=limit.seconds) - now()
    if left > timedelta(0):
        seconds = int(left.total_seconds()) + 1
        raise TooMany(
            "Too many tries.", retry_after=seconds, next_step=f"Wait {max(1, round(seconds / 60))} minutes."
        )


def add(bucket: str, limit: Limit) -> None:
    moment = now()
    with writing():
        row = Throttle.get_or_none(Throttle.bucket == bucket)
        if row is None or row.since + timedelta(seconds=limit.seconds) <= moment:
            Throttle.replace(bucket=bucket, tries=1, since=moment).execute()
        else:
            Throttle.update(tries=Throttle.tries + 1).where(Throttle.bucket == bucket).execute()


def count(bucket: str, limit: Limit) -> None:
    """One more try; raises TooMany when that is too many."""
    check(bucket, limit)
    add(bucket, limit)


def clear(bucket: str) -> None:
    Throttle.delete().where(Throttle.bucket == bucket).execute()


def network(ip: str) -> str:
    """Whom to count together: /24 of IPv4, /64 of IPv6."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False))
