"""Whether anything grows while agents, people and servers of every kind keep two workers busy.

`python -m tests.load.soak [minutes]` prints what each worker has at the end of each minute, and fails when one has more
at the end than after the first minute, by more than the allowance below.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from tests.bench.measure import megabytes
from tests.house import PASSWORD, last_message
from tests.load.chaos import Scene, kind_of, scene

MINUTES = 10
MOST_MEGABYTES = 10.0  # more than after the first minute: the allocator's slack
MOST_HANDLES = 16  # connections that happen to be open
MOST_THREADS = 4
RATE = 150  # reads a second of 32 agents
PAUSE = 2.0  # between two calls of one tool of a broken server
LOOK_SECONDS = 2.0
WRITE, READ = "desk__create_ticket_3", "ten__get_item_1"
# As it is now: a command that runs in this process has its own in place of sys.stdout meanwhile.
say = partial(print, file=sys.stdout, flush=True)
FORESEEN = ("ok", "denied", "waiting", "running", "not_offered", "not_run")  # of writes, whatever is decided
POLICIES = ("approval", "disabled", "auto")
PAGES = ("/", "/tools", "/approvals", "/activity", "/settings/integrations/desk")


@dataclass(frozen=True)
class Standing:
    """What one worker has."""

    megabytes: float
    handles: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Standing:
        handles, threads = os.listdir(f"/proc/{pid}/fd"), os.listdir(f"/proc/{pid}/task")
        return cls(megabytes(pid), len(handles), len(threads))

    def least(self, other: Standing) -> Standing:
        return Standing(
            min(self.megabytes, other.megabytes),
            min(self.handles, other.handles),
            min(self.threads, other.threads),
        )

    def grown(self, since: Standing) -> bool:
        return (
            self.megabytes - since.megabytes > MOST_MEGABYTES
            or self.handles - since.handles > MOST_HANDLES
            or self.threads - since.threads > MOST_THREADS
        )


class Bustle:
    """All who use it, each in a loop of their own until it is over."""

    def __init__(self, here: Scene) -> None:
        self._here = here
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(5)
        self.reads = self.writes = self.lists = self.pages = self.changes = 0
        self.wrong: list[str] = []
        parts = (self._read, self._write_and_list, self._decide, self._browse, self._suffer)
        self._parts = [self._pool.submit(part) for part in parts]

    def calls(self) -> int:
        return self.reads + self.writes + sum(map(len, self._here.answers.values()))

    def end(self) -> None:
        """Raises what went wrong."""
        self._over.set()
        for part in self._parts:
            part.result()
        self._pool.shutdown()

    def _read(self) -> None:
        while not self._over.is_set():
            self.reads += self._here.healthy(10, RATE).calls

    def _suffer(self) -> None:
        asyncio.run(self._here.suffer(lambda _: not self._over.is_set(), pause=PAUSE))

    def _write_and_list(self) -> None:
        asyncio.run(self._agents())

    async def _agents(self) -> None:
        headers = {"authorization": f"Bearer {self._here.agents}"}
        headers["accept"] = "application/json, text/event-stream"
        headers["connection"] = "close"  # so that either worker may answer
        async with httpx2.AsyncClient(headers=headers, timeout=120, trust_env=False) as http:
            await asyncio.gather(*(self._write(http, n) for n in range(4)), self._list(http))

    async def _write(self, http: httpx2.AsyncClient, number: int) -> None:
        for count in itertools.count():
            if self._over.is_set():
                return
            params = {"name": WRITE, "arguments": {"ticket_id": f"{number}-{count}"}}
            answer = await self._ask(http, "/mcp", {"method": "tools/call", "params": params})
            self.writes += 1
            if (kind := kind_of(answer)) not in FORESEEN:
                self.wrong.append(kind)
            await asyncio.sleep(0.05)

    async def _list(self, http: httpx2.AsyncClient) -> None:
        while not self._over.is_set():
            for path in ("/mcp", "/mcp/s/desk"):
                answer = await self._ask(http, path, {"method": "tools/list"})
                self.lists += 1
                if not answer["result"]["tools"]:
                    self.wrong.append(f"{path} has no tools")
            await asyncio.sleep(0.2)

    async def _ask(self, http: httpx2.AsyncClient, path: str, message: dict[str, Any]) -> dict[str, Any]:
        return last_message(
            await http.post(self._here.served.url + path, json={"jsonrpc": "2.0", "id": 1} | message)
        )

    def _decide(self) -> None:
        """Every second; and now and then another policy, which must not stop the calls for good."""
        desk, policies, decisions = (
            self._here.commands,
            itertools.cycle(POLICIES),
            itertools.cycle(("approve", "deny")),
        )
        for second in itertools.count():
            if self._over.wait(1):
                return
            for waiting in desk.listed("approvals"):
                desk.run("decide", waiting["id"], next(decisions), check=False)
            if second % 5 == 4:
                desk.run("set-policy", "mcp:desk:create_ticket_3", next(policies))
                self.changes += 1

    def _browse(self) -> None:
        self._here.commands.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        with self._here.served.house.browser() as person:
            # Both workers show all pages from the first minute on, as with people who come and go.
            person.headers["connection"] = "close"
            for path in itertools.cycle(PAGES):
                if self._over.wait(0.5):
                    return
                person.get(path).raise_for_status()
                self.pages += 1


def soak(here: Scene, minutes: int) -> list[str]:
    """Prints a line for each worker and minute; what has grown too much, in words.

    That is said of the last two minutes: after a moment in which the machine stood still, or when most agents happen to
    be connected to the same worker, one has more handles for a while.
    """
    here.throw_the_switch()
    bustle, workers, seen = Bustle(here), here.served.workers(), list[dict[int, Standing]]()
    before = 0
    say(f"{'minute':>6}{'worker':>8}{'PSS MB':>9}{'handles':>9}{'threads':>9}{'calls':>9}")
    for minute in range(1, minutes + 1):
        seen.append(_minute(workers))
        calls = bustle.calls()
        for pid, now in seen[-1].items():
            say(
                f"{minute:>6}{pid:>8}{now.megabytes:>9.1f}{now.handles:>9}{now.threads:>9}{calls - before:>9,}",
            )
        before = calls
    bustle.end()
    say(
        f"{bustle.reads:,} reads, {bustle.writes:,} writes, {bustle.calls() - bustle.reads - bustle.writes:,} calls to"
        f" broken servers, {bustle.lists:,} lists, {bustle.pages:,} pages, {bustle.changes} changes of a policy"
    )
    one_before, last = seen[-2:][0], seen[-1]
    return _found(here, bustle, workers, lambda pid: last[pid].least(one_before[pid]).grown(seen[0][pid]))


def _found(here: Scene, bustle: Bustle, workers: list[int], grown: Callable[[int], bool]) -> list[str]:
    found = [f"worker {pid} has grown" for pid in workers if grown(pid)]
    found += [f"an agent was told: {what}" for what in sorted(set(bustle.wrong))]
    if here.served.workers() != workers:
        found.append("a worker died")
    if "whole" not in here.commands.run("verify-log").stdout:
        found.append("the log's chain is broken")
    return found


def _minute(workers: list[int]) -> dict[int, Standing]:
    """The least that each worker had in the second half of a minute: what is under way does not count."""
    time.sleep(30)
    end, least = time.monotonic() + 30, {pid: Standing.of(pid) for pid in workers}
    while time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
        least = {pid: least[pid].least(Standing.of(pid)) for pid in workers}
    return least


def main() -> None:
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder), HOLD_SECONDS=5) as here:
        found = soak(here, minutes)
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main()
