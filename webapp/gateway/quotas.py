"""What agents may still call: from memory, and over all workers all the same.

Calls a minute are counted in the store, exactly. A worker sets some aside at a time, a hundredth of the limit or as
many as wait, and a call takes its own from those: so one call in a hundred waits for the store, and none on the event
loop. What was set aside is good for a second; what is left of it goes back when more is needed. In any 59 seconds no
agent gets more calls than its limit; when it is refused, each other worker may hold a hundredth that it does not need.

Calls at once are counted by each worker for itself. Those that wait for a person don't count. So is what agents ask
Gatehouse itself, which costs no server anything: there it is only floods that must end.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter

from config import Config
from webapp.errors import TooMany
from webapp.gateway.catalogue import KnownAgent
from webapp.services import quotas
from webapp.services.quotas import Block, Quota
from webapp.store.writer import Writer

BLOCKS = 100  # in which a limit is handed out
GOOD_FOR_SECONDS = 1.0
ASKS_AT_ONCE = 10.0  # seconds' worth of them, for programs that begin


class Quotas:
    """One per worker."""

    def __init__(self, config: Config, writer: Writer) -> None:
        self._usual = quotas.usual(config)
        self._writer = writer
        self._asks_per_minute = config.asks_per_minute
        self._meters: dict[int, _Meter] = {}
        self._buckets: dict[int, _Bucket] = {}
        self._under_way: Counter[int | None] = Counter()

    async def admit(self, agent: KnownAgent) -> Quota:
        """Counts one call. Raises TooMany when there are none left in this minute."""
        quota = agent.quota.or_else(self._usual)
        if limit := quota.calls_per_minute:
            meter = self._meters.get(agent.id)
            if meter is None or meter.limit != limit:
                meter = self._meters[agent.id] = _Meter(agent.id, limit, self._writer)
            await meter.take()
        return quota

    def ask(self, agent: KnownAgent) -> None:
        """Counts one thing that it asks Gatehouse itself. Raises TooMany."""
        if not self._asks_per_minute:
            return
        if (bucket := self._buckets.get(agent.id)) is None:
            bucket = self._buckets[agent.id] = _Bucket(self._asks_per_minute / 60)
        if seconds := bucket.wait():
            what = "This agent asks Gatehouse itself for more lists, searches or approvals than it may."
            raise _come_back(what, seconds)

    def begin(self, agent_id: int | None, quota: Quota) -> None:
        """One call is under way, until `end`. Raises TooMany where it may not."""
        if quota.calls_at_once and self._under_way[agent_id] >= quota.calls_at_once:
            what = f"This agent has {quota.calls_at_once} calls under way, and may have no more at once."
            raise TooMany(what, retry_after=1, next_step="Wait until one of them has ended.")
        self._under_way[agent_id] += 1

    def end(self, agent_id: int | None) -> None:
        self._under_way[agent_id] -= 1


class _Meter:
    """The calls a minute of one agent, as far as this worker knows."""

    def __init__(self, agent_id: int, limit: int, writer: Writer) -> None:
        self.limit = limit
        self._agent_id = agent_id
        self._writer = writer
        self._block = Block()
        self._left = 0
        self._good_until = 0.0
        self._none_until = 0.0
        self._asking = asyncio.Lock()
        self._waiting = 0

    async def take(self) -> None:
        if self._take_one():
            return
        self._waiting += 1
        try:
            async with self._asking:
                while not self._take_one():
                    await self._reserve()
        finally:
            self._waiting -= 1

    def _take_one(self) -> bool:
        moment = asyncio.get_running_loop().time()
        if self._left and moment < self._good_until:
            self._left -= 1
            return True
        if moment < self._none_until:
            raise self._used_up(self._none_until - moment)
        return False

    async def _reserve(self) -> None:
        unused, self._left = Block(self._block.id, self._left), 0
        wanted = max(self._waiting, self.limit // BLOCKS)
        work = self._writer.submit(lambda: quotas.reserve(self._agent_id, self.limit, wanted, unused))
        self._block = await asyncio.shield(asyncio.wrap_future(work))
        moment = asyncio.get_running_loop().time()
        self._left, self._good_until = self._block.calls, moment + GOOD_FOR_SECONDS
        self._none_until = 0.0 if self._left else moment + self._block.wait

    def _used_up(self, seconds: float) -> TooMany:
        what = f"This agent has made the {self.limit} calls that it may make in a minute."
        return _come_back(what, seconds)


class _Bucket:
    """Drops come in so many a second, and whoever asks takes one."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = self._drops = max(1.0, per_second * ASKS_AT_ONCE)
        self._seen = time.monotonic()

    def wait(self) -> float:
        """0: taken. Else the seconds until there is one."""
        moment = time.monotonic()
        self._drops = min(self._most, self._drops + (moment - self._seen) * self._per_second)
        self._seen = moment
        if self._drops < 1:
            return (1 - self._drops) / self._per_second
        self._drops -= 1
        return 0.0


def _come_back(what: str, seconds: float) -> TooMany:
    wait = math.ceil(seconds)
    return TooMany(what, retry_after=wait, next_step=f"Wait {wait} second{'' if wait == 1 else 's'}.")
