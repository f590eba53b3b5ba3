"""Refusals that an agent can cause as fast as it calls: the log must have them, and not be buried under them.

The first of a kind is written down like any other refusal; those of the minute after it by one row, which says how
many there were. A worker that is killed in that minute takes their number with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from webapp.services.audit import Actor, Row

SECONDS = 60.0


@dataclass
class _Flood:
    caller: Actor
    why: str
    end: asyncio.TimerHandle
    more: int = 0


class Floods:
    """One per worker; `write` is given the rows that say how many."""

    def __init__(self, write: Callable[[Row], object]) -> None:
        self._write = write
        self._floods: dict[tuple[int | None, str], _Flood] = {}

    def is_first(self, caller: Actor, why: str) -> bool:
        """Of its kind for a minute, and so to be written down; else it is counted."""
        key = (caller.id, why)
        if flood := self._floods.get(key):
            flood.more += 1
            return False
        end = asyncio.get_running_loop().call_later(SECONDS, self._end, key)
        self._floods[key] = _Flood(caller, why, end)
        return True

    def close(self) -> None:
        for key in list(self._floods):
            self._end(key)

    def _end(self, key: tuple[int | None, str]) -> None:
        flood = self._floods.pop(key)
        flood.end.cancel()
        if flood.more:
            details = {"why": flood.why, "times": flood.more}
            self._write(Row("call", flood.caller, "call", outcome="refused", details=details))
