"""What Gatehouse costs while it stands: to start, to wait for people, to stay up for 100,000 calls, on the disk."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import median

import httpx2
from packaging.requirements import Requirement

from config import ROOT
from tests.bench.measure import load, megabytes, program
from tests.serving import Gatehouse, gatehouse

HELD = 64
AGENTS = 8  # each may have twenty waiting
CALLS = 100_000


def standing(rounds: int, seconds: float) -> None:
    del seconds
    with tempfile.TemporaryDirectory() as folder, program("tests.bench.upstream") as (port, _):
        with gatehouse(Path(folder), workers=1, HOLD_SECONDS=300) as served:
            for kind, name in (("t", "ten"), ("v", "desk")):
                url = f"http://127.0.0.1:{port}/{kind}/10/mcp"
                served.house.run("add-server", url, "--name", name, "--allow-private")
            key = served.house.agent("bench")
            _waiting(served)
            _growing(served, key)
        print(f"{'cold start to tools/list':<28}{_starts(Path(folder), key, rounds):>9.2f} s")
    packages, size = installed()
    print(f"{'installed':<28}{packages:>9} packages, {size:.0f} MB")


def _waiting(served: Gatehouse) -> None:
    keys = [served.house.agent(f"agent {number}") for number in range(AGENTS)]
    worker = served.workers()[0]
    for name in ("warm-up", f"{HELD} calls held"):
        threads, before = _threads(worker), megabytes(worker)
        more, grown = asyncio.run(_held(served, keys, lambda: (_threads(worker), megabytes(worker))))
        if name != "warm-up":
            print(f"\n{name:<28}{more - threads:>+9} threads, {grown - before:+.1f} MB")


async def _held(
    served: Gatehouse, keys: list[str], look: Callable[[], tuple[int, float]]
) -> tuple[int, float]:
    """The look while that many calls wait for a person. They are denied then."""
    async with httpx2.AsyncClient(
        timeout=400, trust_env=False, limits=httpx2.Limits(max_connections=HELD)
    ) as http:
        calls = [asyncio.create_task(_ask(http, served.url, keys[n % AGENTS], n)) for n in range(HELD)]
        while len(waiting := await asyncio.to_thread(served.house.listed, "approvals")) < HELD:
            await asyncio.sleep(0.2)
        seen = look()
        for one in waiting:
            await asyncio.to_thread(served.house.run, "decide", one["id"], "deny")
        await asyncio.gather(*calls)
    return seen


async def _ask(http: httpx2.AsyncClient, url: str, key: str, number: int) -> None:
    headers = {"authorization": f"Bearer {key}", "accept": "application/json, text/event-stream"}
    params = {"name": "desk__create_ticket_3", "arguments": {"ticket_id": f"{number} {time.time()}"}}
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    await http.post(f"{url}/mcp", json=message, headers=headers)


def _growing(served: Gatehouse, key: str) -> None:
    worker = served.workers()
    options = {"key": key, "tool": "ten__get_item_0"}
    load(f"{served.url}/mcp", agents=64, seconds=3, **options)
    before, calls = megabytes(worker[0]), 0
    while calls < CALLS:
        calls += load(f"{served.url}/mcp", agents=64, seconds=10, pids=worker, **options).calls
    now = megabytes(worker[0])
    print(f"{f'{calls:,} calls':<28}{now - before:>+9.1f} MB (from {before:.0f} MB)", flush=True)


def _starts(folder: Path, key: str, rounds: int) -> float:
    return median(_start(folder, key) for _ in range(rounds))


def _start(folder: Path, key: str) -> float:
    """Seconds from the command to the first list of tools."""
    began = time.perf_counter()
    with gatehouse(folder, workers=1) as served:
        headers = {"authorization": f"Bearer {key}", "accept": "application/json, text/event-stream"}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        reply = httpx2.post(f"{served.url}/mcp", json=message, headers=headers, trust_env=False)
        assert "get_item_0" in reply.text
        return time.perf_counter() - began


def installed() -> tuple[int, float]:
    """Locked packages that this platform gets, and their megabytes on the disk."""
    found = [one for line in (ROOT / "requirements.lock").read_text().splitlines() if (one := _locked(line))]
    return len(found), sum(map(_size, found)) / 1e6


def _locked(line: str) -> str:
    if not re.match(r"[a-z0-9]", line):
        return ""
    wanted = Requirement(line.rstrip(" \\"))
    return wanted.name if wanted.marker is None or wanted.marker.evaluate() else ""


def _size(name: str) -> int:
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return 0
    return sum(path.stat().st_size for file in files if (path := Path(str(file.locate()))).exists())


def _threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))
