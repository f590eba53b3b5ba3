"""How long people wait for a page while agents work: 5,000 tools on four servers, 200 calls a second beside.

As it is shipped, with two workers; they share the machine with the agents, the server behind and the browser.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2

from tests.bench.measure import cpu_seconds, load, program
from tests.house import PASSWORD, House, token_in
from tests.serving import gatehouse

SERVERS = ("halo", "ninja", "hudu", "mail")
TOOLS_EACH = 1250
RATE = 200
WORDS = ("ticket", "upd", "get_device", "backup up", "schedule merge", "nothing-like-this", "e")
LISTS = {
    "tools, page after page": [f"/tools?page={page}" for page in range(1, 51)],
    "search": [f"/tools?q={words}" for words in WORDS],
    "filters": [f"/tools?kind={kind}&policy={policy}" for kind in ("read", "write") for policy in ("auto", "approval")],
    "by last call": ["/tools?sort=used"],
    "never called": ["/tools?mark=never-used&q=ticket"],
    "one server": [f"/settings/integrations/{name}" for name in SERVERS],
}  # fmt: skip


@dataclass
class Desk:
    """A signed-in browser before the house."""

    http: httpx2.Client
    house: House
    workers: list[int]
    key: str
    seconds: float

    def took(self, ask: Callable[[], Any]) -> tuple[list[float], float]:
        """Milliseconds of each answer, from the first byte out to the last byte in; CPU of the workers each."""
        times: list[float] = []
        end, cpu = time.perf_counter() + self.seconds, cpu_seconds(self.workers)
        while (began := time.perf_counter()) < end:
            ask()
            times.append((time.perf_counter() - began) * 1000)
        return sorted(times), (cpu_seconds(self.workers) - cpu) / len(times) * 1000

    @contextlib.contextmanager
    def agents_beside(self) -> Iterator[None]:
        wish: dict[str, Any] = {"key": self.key, "tool": "halo__get_ticket_0", "rate": str(RATE)}
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(load, f"{self.house.url}/mcp", agents=8, seconds=self.seconds, **wish)
            yield
            self.beside = running.result()


@contextlib.contextmanager
def desk(seconds: float) -> Iterator[Desk]:
    with (
        tempfile.TemporaryDirectory() as folder,
        program("tests.bench.upstream") as (port, _),
        gatehouse(Path(folder)) as served,
    ):
        house = served.house
        house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        for name in SERVERS:
            address = f"http://127.0.0.1:{port}/v/{TOOLS_EACH}/mcp"
            house.run("add-server", address, "--name", name, "--allow-private")
        with house.browser() as http:
            http.headers["Sec-Fetch-Site"] = "same-origin"  # or nothing is compressed
            yield Desk(http, house, served.workers(), house.agent("bench"), seconds)


def pages(seconds: float) -> None:
    heading()
    with desk(seconds) as here:
        for words, paths in LISTS.items():
            measure(here, words, _looking(here, paths))
        measure(here, "a policy, to and fro", _toggling(here))
        weigh(here)


def measure(here: Desk, words: str, ask: Callable[[], Any]) -> None:
    quiet, cpu = here.took(ask)
    with here.agents_beside():
        busy, _ = here.took(ask)
    calls = here.beside
    print(
        f"{words:<28}{_at(quiet, 0.5):>8.0f}{_at(quiet, 0.95):>8.0f}{cpu:>8.0f}"
        f"{_at(busy, 0.5):>12.0f}{_at(busy, 0.95):>8.0f}{calls.rate:>10.0f}{calls.p50:>8.2f}{calls.p99:>8.1f}",
        flush=True,
    )


def _looking(here: Desk, paths: list[str]) -> Callable[[], Any]:
    turn = cycle(paths)
    return lambda: here.http.get(next(turn)).raise_for_status()


def _toggling(here: Desk) -> Callable[[], Any]:
    page, turn = here.http.get("/tools?q=halo+get_ticket_200").text, cycle(("approval", "auto"))
    place = page.split('/policy"')[0].rpartition('"')[2] + "/policy"

    def toggle() -> None:
        form = {"csrf_token": token_in(page), "policy": next(turn)}
        here.http.post(place, data=form, headers={"HX-Request": "true"}).raise_for_status()

    return toggle


def weigh(here: Desk) -> None:
    """What goes over the wire."""
    print(f"\n{'KB':<28}{'sent':>8}{'whole':>8}")
    for path in ("/tools", "/tools?q=ticket", f"/settings/integrations/{SERVERS[0]}", "/"):
        with here.http.stream("GET", path) as reply:
            sent = sum(map(len, reply.iter_raw()))
        whole = len(here.http.get(path).content)
        print(f"{path:<28}{sent / 1000:>8.1f}{whole / 1000:>8.1f}")


def _at(times: list[float], share: float) -> float:
    return times[int(len(times) * share)]


def heading() -> None:
    print(f"\n{'5,000 tools':<28}{'ms p50':>8}{'p95':>8}{'CPU ms':>8}"
          f"{'busy: p50':>12}{'p95':>8}{'calls/s':>10}{'p50':>8}{'p99':>8}")  # fmt: skip
