"""What our own work costs, away from agents: the sync of 1,000 tools, the sync of many servers, a row of the log."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config import Config
from tests.bench.measure import program
from webapp import create_app
from webapp.services import audit, checks, connections, integrations, sync
from webapp.services.audit import COMMAND, SYSTEM, Actor, Row
from webapp.store.fields import now
from webapp.store.models import Integration, database
from webapp.store.writer import Writer

TOOLS = 1000
ROWS = 20_000


def within(rounds: int, seconds: float) -> None:
    del seconds
    with tempfile.TemporaryDirectory() as folder, program("tests.bench.upstream") as (port, _):
        create_app(Config(data=Path(folder)))
        with database.connection_context():
            print(f"\n{'1,000 tools':<28}{'ms':>9}{'CPU ms':>9}")
            for kind in ("t", "v"):
                _sync(f"http://127.0.0.1:{port}/{kind}/{TOOLS}/mcp", kind, rounds)
        print(f"\n{'a row of the log':<28}{'µs':>9}{'CPU µs':>9}")
        for at_once in (1, 16, 64):
            _log(at_once, rounds)


def _sync(url: str, name: str, rounds: int) -> None:
    words = "short ones" if name == "t" else "like a vendor's"
    new, fetched, unchanged = [], [], []
    for number in range(rounds):
        draft = integrations.add_server(url, COMMAND, name=f"{name}{number}")
        _allow(draft, url)
        server = integrations.find(draft.name)
        listed, taken = _timed(lambda server=server: connections.fetch(server))  # type: ignore[misc]
        fetched.append(taken)
        new.append(_timed(lambda server=server, listed=listed: sync.adopt(server, listed, SYSTEM))[1])  # type: ignore[misc]
        again = integrations.find(draft.name)
        unchanged.append(_timed(lambda again=again, listed=listed: sync.adopt(again, listed, SYSTEM))[1])  # type: ignore[misc]
    for what, times in (("fetched", fetched), ("new", new), ("unchanged", unchanged)):
        wall, cpu = sorted(times)[len(times) // 2]
        print(f"{f'{words}, {what}':<28}{wall * 1000:>9.0f}{cpu * 1000:>9.0f}", flush=True)


def _allow(draft: Integration, url: str) -> None:
    """Connected, as after a check and its exception for the own network."""
    verdict = checks.run(draft)
    assert verdict.offer, url
    integrations.allow_private(draft, verdict.offer, COMMAND)
    Integration.update(state="connected", finished_at=now()).where(Integration.id == draft.id).execute()


def _timed(work: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    wall, cpu = time.perf_counter(), time.process_time()
    made = work()
    return made, (time.perf_counter() - wall, time.process_time() - cpu)


def _log(at_once: int, rounds: int) -> None:
    """As calls do it: that many wait for their commit at the same time."""
    writer = Writer()
    writer.start()
    try:
        times = [_timed(lambda: asyncio.run(_rows(writer, at_once)))[1] for _ in range(rounds)]
    finally:
        writer.stop()
    wall, cpu = sorted(times)[rounds // 2]
    print(f"{f'{at_once} calls at once':<28}{wall / ROWS * 1e6:>9.0f}{cpu / ROWS * 1e6:>9.0f}", flush=True)


async def _rows(writer: Writer, at_once: int) -> None:
    agent = Actor("agent", "bench", 1, ip="127.0.0.1")

    async def one() -> None:
        for number in range(ROWS // at_once):
            details = {
                "arguments": {"text": f"{number}"},
                "arguments_digest": "0" * 64,
                "result": "2 characters",
            }
            row = Row(
                "call", agent, "call", "ten", "mcp:ten:get_item_0", "auto", duration_ms=1.25, details=details
            )
            await writer.add(audit.append, row, lost=print)

    await asyncio.gather(*(one() for _ in range(at_once)))
