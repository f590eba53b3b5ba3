"""`make bench`: what Gatehouse costs beside calling a server directly, as ratios within one run.

Nothing here passes or fails. Other programs on the machine disturb absolute figures: quote the ratios and the CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from tests.bench.chaos import chaos
from tests.bench.flat import flat
from tests.bench.holds import holds
from tests.bench.measure import BACK, FRONT, Run, load, megabytes, pin, program
from tests.bench.pages import pages
from tests.bench.standing import standing
from tests.bench.within import within
from tests.house import House
from tests.serving import gatehouse

SERVERS = {"ten": 10, "thousand": 1000}


@dataclass
class Place:
    """A Gatehouse with one worker in front of the light upstream."""

    house: House
    upstream: str
    upstream_pid: int
    floor: str
    floor_pid: int
    workers: list[int]
    key: str
    rounds: int
    seconds: float

    def run(self, agents: int, *, tool: str = "ten__get_item_0", path: str = "/mcp", **options: str) -> Run:
        return load(
            self.house.url + path, agents=agents, seconds=self.seconds, pids=self.workers,
            tool=tool, key=self.key, **options,
        )  # fmt: skip

    def direct(self, agents: int, path: str = "/t/10/mcp", **options: str) -> Run:
        with self._on_the_front_core(self.upstream_pid):
            return load(self.upstream + path, agents=agents, seconds=self.seconds, **options)

    def proxied(self, agents: int, path: str = "/t/10/mcp") -> Run:
        return load(self.floor + path, agents=agents, seconds=self.seconds, pids=[self.floor_pid])

    @contextlib.contextmanager
    def _on_the_front_core(self, pid: int) -> Iterator[None]:
        pin([pid], FRONT)
        yield
        pin([pid], BACK)

    def middle(self, measure: Callable[[], Run]) -> Run:
        """The round in the middle, by calls/s."""
        return sorted((measure() for _ in range(self.rounds)), key=lambda run: run.rate)[self.rounds // 2]

    def seen(self) -> dict[str, int]:
        """What the upstream was asked so far, by method."""
        with urlopen(self.upstream + "/seen") as reply:
            found: dict[str, int] = json.load(reply)
        return found


@contextlib.contextmanager
def place(rounds: int, seconds: float) -> Iterator[Place]:
    with (
        tempfile.TemporaryDirectory() as folder,
        program("tests.bench.upstream") as (port, upstream),
        program("tests.bench.floor", port, cores=FRONT) as (floor_port, floor),
        gatehouse(Path(folder), workers=1, ASKS_PER_MINUTE=0) as served,
    ):
        url = f"http://127.0.0.1:{port}"
        for name, count in SERVERS.items():
            served.house.run("add-server", f"{url}/t/{count}/mcp", "--name", name, "--allow-private")
        served.house.run("add-server", f"{url}/t/10/mcp?ms=50", "--name", "slow", "--allow-private")
        pin(served.workers(), FRONT)
        key = served.house.agent("bench")
        yield Place(
            served.house, url, upstream, f"http://127.0.0.1:{floor_port}", floor, served.workers(), key,
            rounds, seconds,
        )  # fmt: skip


def calls(here: Place) -> None:
    heading("tools/call, 10 tools")
    for agents in (1, 16, 64):
        before = here.seen().get("tools/call", 0)
        ours = here.middle(lambda agents=agents: here.run(agents))  # type: ignore[misc]
        forwarded = here.seen()["tools/call"] - before
        direct = here.middle(lambda agents=agents: here.direct(agents))  # type: ignore[misc]
        bare = here.middle(lambda agents=agents: here.proxied(agents))  # type: ignore[misc]
        line(f"direct, {agents} agents", direct, direct)
        line("  bare Python proxy", bare, direct)
        line("  Gatehouse", ours, direct)
        print(f"    p50 above direct {ours.p50 - direct.p50:.2f} ms; p99 {ours.p99 / ours.p50:.1f} × p50")
        if here.rounds == 1:
            print(f"    upstream requests per call {forwarded / ours.calls:.3f}")


def slow_tool(here: Place) -> None:
    heading("a tool that takes 50 ms, 64 agents")
    direct = here.middle(lambda: here.direct(64, "/t/10/mcp?ms=50"))
    line("direct", direct, direct)
    line("  Gatehouse", here.middle(lambda: here.run(64, tool="slow__get_item_0")), direct)


def catalogue(here: Place) -> None:
    heading("1,000 tools")
    few = here.middle(lambda: here.run(1))
    line("a call among 10", few, few)
    line("a call among 1,000", here.middle(lambda: here.run(1, tool="thousand__get_item_7")), few)
    direct = here.middle(lambda: here.direct(1, "/t/1000/mcp", method="tools/list"))
    line("tools/list, direct", direct, direct)
    ours = here.middle(lambda: here.run(1, path="/mcp/s/thousand", method="tools/list"))
    line("  Gatehouse", ours, direct)


def heading(words: str) -> None:
    print(f"\n{words:<28}{'calls/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs':>8}{'calls/s ÷':>11}{'p50 ×':>8}")


def line(words: str, run: Run, other: Run) -> None:
    cpu = f"{run.cpu:.0f}" if run.cpu else ""
    print(
        f"{words:<28}{run.rate:>10,.0f}{run.p50:>9.2f}{run.p99:>9.2f}{cpu:>8}"
        f"{other.rate / run.rate:>11.2f}{run.p50 / other.p50:>8.2f}",
        flush=True,
    )


# With the light upstream, one worker and a core of its own …
SUBJECTS: dict[str, Callable[[Place], Any]] = {"calls": calls, "slow": slow_tool, "catalogue": catalogue}
# … and those that bring their own house: (rounds, seconds).
OWN: dict[str, Callable[[int, float], None]] = {
    "flat": flat,
    "within": within,
    "standing": standing,
    "pages": lambda rounds, seconds: pages(seconds),
    "chaos": chaos,
    "holds": holds,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", choices=[*SUBJECTS, *OWN, []], help="all of them by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    wish = parser.parse_args()
    if names := [name for name in SUBJECTS if name in wish.subjects or not wish.subjects]:
        gateway(names, wish.rounds, wish.seconds)
    for name, measure in OWN.items():
        if name in wish.subjects or not wish.subjects:
            measure(wish.rounds, wish.seconds)


def gateway(subjects: list[str], rounds: int, seconds: float) -> None:
    with place(rounds, seconds) as here:
        print(f"idle: {median(map(megabytes, here.workers)):.0f} MB a worker (proportional set size)")
        for name in subjects:
            SUBJECTS[name](here)
        print(f"\nafterwards: {median(map(megabytes, here.workers)):.0f} MB a worker")


if __name__ == "__main__":
    main()
