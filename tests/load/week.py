"""Five quiet weeks and then a week of work, on a clock that is moved hour by hour: `python -m tests.load.week`, on
PostgreSQL the same after `python -m tests.postgres`.

Servers are synced, sign-ins run out and are renewed, keys turned, calls approved or left to expire, backups made and
thinned, the log shortened, 100,000 calls made. Prints a line a day. Fails when something did not happen, when what is
counted is not what was done, or when the last day is another than the first: by size, time, memory or handles.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
from peewee import fn

from config import Config
from tests import databases
from tests.admin import SETTINGS, admin_of, furnish
from tests.authority import Service, authority
from tests.bench.load import load
from tests.bench.measure import program as upstream
from tests.house import House
from tests.load import clock as clocks
from tests.load.kills import COUNTED, TOKEN
from tests.load.soak import Standing
from tests.serving import Gatehouse, gatehouse
from tests.waiting import until
from webapp import asgi, create_app
from webapp.gateway import upkeep
from webapp.services import daily_backups, keys, retention
from webapp.services.audit import COMMAND
from webapp.services.retention import Retention
from webapp.store.fields import now
from webapp.store.models import Approval, Entry, Grant, Integration, Segment, database

QUIET_DAYS, DAYS, HOURS, CALLS = 36, 7, 24, 100_000
QUIET_CALLS = 50
KEPT_DAYS = 35  # of the log: the first of the quiet days go
AGENTS = 4
PAGES = ("/", "/tools", "/approvals", "/activity", "/settings/integrations/desk", "/settings/agents")
SERVERS = 3
BACKUPS = (9, 10)  # seven daily ones, and of the last four weeks those that have none of these
BESIDE = ("waiting", "expired", "denied")  # outcomes of calls that have another row
ROUNDS = 5
LONGEST = 180.0  # seconds until what is due has happened
MORE = 1.5  # the last day may take so much more than the first
SLACK_MS = 5.0


def program() -> Any:
    """What comes due within an hour of that clock is seen before the next one."""
    upkeep.LOOK_SECONDS = 0.5  # type: ignore[assignment]
    return asgi.program()


@dataclass
class Day:
    number: int
    written: int
    rows: int
    bytes: int
    call_ms: float
    page_ms: float
    standing: list[Standing]
    backups: int
    syncs: int
    renewals: int
    approvals: dict[str, int]
    per_row: float = 0.0

    HEAD = (
        f"{'day':>4}{'rows':>9}{'MB':>7}{'bytes/row':>11}{'call ms':>9}{'page ms':>9}{'PSS MB':>14}{'handles':>10}"
        f"{'backups':>9}{'syncs':>7}{'renewals':>10}  approvals"
    )

    def __str__(self) -> str:
        memory = " ".join(f"{one.megabytes:.0f}" for one in self.standing)
        handles = " ".join(f"{one.handles}" for one in self.standing)
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.approvals.items()))
        return (
            f"{self.number:>4}{self.rows:>9,}{self.bytes / 1e6:>7.1f}{self.per_row:>11.0f}{self.call_ms:>9.2f}"
            f"{self.page_ms:>9.1f}{memory:>14}{handles:>10}{self.backups:>9}{self.syncs:>7}"
            f"{self.renewals:>10}  {states}"
        )


@dataclass
class Life:
    """`house` runs commands and looks at the store in this process."""

    served: Gatehouse
    house: House
    clock: clocks.Clock
    service: Service
    key: str
    pool: ThreadPoolExecutor
    began: datetime
    workers: list[int] = field(default_factory=list)
    calls: int = 0
    took: list[float] = field(default_factory=list)
    syncs: int = 0
    turned: list[Future[keys.Rotation]] = field(default_factory=list)

    def pass_on(self, calls: int, hours: float = 1) -> None:
        self.clock.move(timedelta(hours=hours))
        self.began = now()
        until(
            lambda: self.house.do(self.is_done),
            f"what was due at {self.began:%d %b %H:%M} has happened",
            LONGEST,
        )
        self.syncs += SERVERS
        self.ask(calls)
        self.read("notes__list_notes")

    def is_done(self) -> bool:
        """What the hour has brought: syncs, renewals, ends of approvals, a backup a day."""
        unsynced = Integration.select().where(
            Integration.kind == "server", Integration.synced_at < self.began
        )
        over = Grant.select().where(Grant.expires_at <= self.began + timedelta(minutes=5))
        late = Approval.select().where(Approval.state == "waiting", ~Approval.in_time())
        newest = next(iter(daily_backups.kept()), None)
        saved = newest is not None and self.began - newest.at < daily_backups.EVERY
        return saved and not (unsynced.exists() or over.exists() or late.exists())

    def ask(self, calls: int) -> None:
        wanted = self.calls + calls
        while self.calls < wanted:
            wish = argparse.Namespace(
                url=f"{self.served.url}/mcp", agents=AGENTS, seconds=min(2.0, calls / 400), tool="ten__get_item_0",
                key=self.key, method="tools/call", session="", gap=0,
            )  # fmt: skip
            found = asyncio.run(load(wish))
            assert not found["wrong"], found["wrong"]
            self.calls += found["calls"]
            self.took.append(found["p50_ms"])

    def read(self, name: str) -> None:
        self.calls += 1
        answer = self.served.house.call(self.key, name)
        assert "result" in answer and not answer["result"].get("isError"), answer

    def write(self, number: int, approve: bool) -> None:
        """It waits for a person, who approves it or has gone home."""
        self.calls += approve  # the others never run
        answer = self.served.house.call(self.key, "desk__create_ticket_3", {"ticket_id": str(number)})
        approval = answer["result"]["structuredContent"]["approval_id"]
        if approve:
            self.house.run("decide", approval, "approve")
            until(lambda: self.state_of(approval) == "done", f"{approval} ran", LONGEST)

    def state_of(self, approval: str) -> str:
        return self.house.do(lambda: str(Approval.get_by_id(approval).state))

    def turn_the_key(self) -> None:
        """Beside everything else: it waits a while for what is just being written."""
        turn = lambda: self.house.do(lambda: keys.rotate(self.served.data, COMMAND))  # noqa: E731
        self.turned.append(self.pool.submit(turn))

    def pages(self) -> float:
        """Milliseconds of the middle one, each at its best."""
        best = dict.fromkeys(PAGES, LONGEST * 1000)
        with self.served.house.browser() as person:
            for path in PAGES * ROUNDS:
                began = time.perf_counter()
                person.get(path).raise_for_status()
                best[path] = min(best[path], (time.perf_counter() - began) * 1000)
        return median(best.values())

    def counted(self) -> int:
        """What Gatehouse says."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        said = httpx2.get(f"{self.served.url}/metrics", headers=headers, timeout=60, trust_env=False).text
        counts = {outcome: int(count) for outcome, count in COUNTED.findall(said)}
        return sum(count for outcome, count in counts.items() if outcome not in BESIDE)

    def verified(self) -> str:
        return self.house.run("verify-log").stdout.strip()

    def end_of_day(self, number: int) -> Day:
        page_ms, call_ms = self.pages(), min(self.took)  # when the machine had least else to do
        self.took.clear()
        assert "whole" in self.verified()
        return self.house.do(lambda: self.seen(number, call_ms, page_ms))

    def seen(self, number: int, call_ms: float, page_ms: float) -> Day:
        states = [row.state for row in Approval.select(Approval.state)]
        return Day(
            number, Entry.select(fn.MAX(Entry.id)).scalar(), Entry.select().count(), size(self.served.data),
            call_ms, page_ms,
            [Standing.of(pid) for pid in self.workers], len(daily_backups.kept()),
            self.syncs, self.service.refreshes,
            {state: states.count(state) for state in set(states)},
        )  # fmt: skip


def size(data: Path) -> int:
    if databases.SERVER:
        return int(databases.store.fetch("SELECT pg_database_size(current_database())")[0][0])
    return int(sum(path.stat().st_size for path in data.glob("gatehouse.db*")))


@contextmanager
def life(folder: Path, file: Path) -> Iterator[Life]:
    with ExitStack() as stack:
        service = stack.enter_context(authority())
        port, _ = stack.enter_context(upstream("tests.bench.upstream"))
        command = [sys.executable, "-m", "tests.load.clock", str(file), "gunicorn"]
        command += ["--config", "python:webapp.serving", "tests.load.week:program()"]
        settings = {"HOLD_SECONDS": 0.1, "METRICS_TOKEN": TOKEN}
        served = stack.enter_context(gatehouse(folder, command=command, **settings))
        house = House(served.url, served.data, {}, create_app(Config(data=served.data)))
        stack.callback(database.close)
        for kind, name in (("t", "ten"), ("v", "desk")):
            house.run(
                "add-server", f"http://127.0.0.1:{port}/{kind}/10/mcp", "--name", name, "--allow-private"
            )
        furnish(house)
        with admin_of(served.house) as ann:
            ann.add(service, "notes")
            ann.sign_in(service, "notes")
            ann.post(f"{SETTINGS}/notes/setup/tools")
        house.do(lambda: retention.change(Retention(KEPT_DAYS), COMMAND))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        yield Life(
            served, house, clocks.Clock(file), service, house.agent("clerk"), pool, now(), served.workers()
        )


def live(here: Life, quiet: int, days: int, hours: int, calls: int) -> Iterator[Day]:
    """The last of the quiet days, and then each day of work."""
    for _ in range(quiet):
        here.pass_on(QUIET_CALLS, hours=24)
    before = here.end_of_day(0)
    yield before
    for number in range(1, days + 1):
        for hour in range(hours):
            here.pass_on(calls // days // hours, hours=24 / hours)
            here.write(number * hours + hour, approve=bool(hour % 2))
            if hour == 0:
                here.turn_the_key()
        day = here.end_of_day(number)
        day.per_row = (day.bytes - before.bytes) / (day.written - before.written)
        yield (before := day)


def wrong(here: Life, days: list[Day], quiet: int, hours: int) -> list[str]:
    """What did not happen, is miscounted or has grown; in words."""
    first, last = days[1], days[-1]
    ours = quiet + (len(days) - 1) * hours
    whole = quiet >= QUIET_DAYS
    checks = {
        "a worker died": here.served.workers() == here.workers,
        f"renewals: {here.service.refreshes}, not {ours}": here.service.refreshes == ours,
        "a used refresh token was sent again": not here.service.reuse_detected,
        f"approvals: {last.approvals}": set(last.approvals) <= {"done", "expired", "waiting"},
        f"{last.backups} backups are kept": not whole or last.backups in BACKUPS,
        "the log was not shortened": not whole or here.house.do(lambda: Segment.select().exists()),
        "a secret was lost while keys turned": not any(turn.result().lost for turn in here.turned),
        f"{here.counted()} calls are counted, {here.calls} were made": here.counted() == here.calls,
    }
    grown = {
        "bytes per row": (first.per_row, last.per_row, 0.0),
        "time of a call": (first.call_ms, last.call_ms, SLACK_MS),
        "time of a page": (first.page_ms, last.page_ms, SLACK_MS),
    }
    found = [what for what, holds in checks.items() if not holds]
    found += [
        f"{what} has grown from {a:.1f} to {b:.1f}"
        for what, (a, b, more) in grown.items()
        if b > a * MORE + more
    ]
    pairs = zip(first.standing, last.standing, strict=True)
    return found + ["a worker has grown" for a, b in pairs if b.grown(a)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quiet", type=int, default=QUIET_DAYS, help="days before; fewer, and less is asked at the end"
    )
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--hours", type=int, default=HOURS, help="steps a day")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--clock", type=Path)
    wish = parser.parse_args()
    if wish.clock is None:
        sys.exit(_again(sys.argv[1:]))
    databases.install()
    with life(wish.clock.parent, wish.clock) as here:
        print(Day.HEAD)
        days = []
        for day in live(here, wish.quiet, wish.days, wish.hours, wish.calls):
            print(day, flush=True)
            days.append(day)
        print(f"{here.calls:,} calls, {here.syncs} syncs, {len(here.turned)} new keys; {here.verified()}")
        found = wrong(here, days, wish.quiet, wish.hours)
    sys.exit("\n".join(found) or 0)


def _again(arguments: list[str]) -> int:
    """In a process that has the clock from its beginning."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "clock")
        command = [
            sys.executable,
            "-m",
            "tests.load.clock",
            file,
            "tests.load.week",
            "--clock",
            file,
            *arguments,
        ]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    main()
