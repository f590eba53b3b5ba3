"""How long a broken server keeps a worker's event loop from all others: by the CPU time of the loop's thread between
two turns of another task, so that whatever else the machine does doesn't count."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from typing import Any
from urllib.request import urlopen

import uvloop

from config import Config
from tests.bench.measure import program
from tests.load.faults import KINDS
from webapp.errors import UpstreamError
from webapp.upstream.client import Client
from webapp.upstream.egress import Allowance, Egress
from webapp.upstream.wire import Wire

SECONDS = 2.0  # of one call
LONG = 0.001
SHOWN = 8


def holds(rounds: int, seconds: float) -> None:
    del rounds, seconds
    with tempfile.TemporaryDirectory() as folder, program("tests.load.broken", folder) as (port, _):
        found = uvloop.run(_all(port))
    print(f"\n{'how long servers hold the loop':<34}{'at most ms':>11}{'above 1 ms, in all':>20}")
    for name, kept in sorted(found.items(), key=lambda one: -max(one[1]))[:SHOWN]:
        print(f"{name:<34}{1000 * max(kept):>11.2f}{1000 * sum(one for one in kept if one > LONG):>20.1f}")
    print(f"  and {len(found) - SHOWN} others less", flush=True)


async def _all(port: int) -> dict[str, list[float]]:
    addresses = await asyncio.to_thread(_asked, f"http://127.0.0.1:{port}/addresses")
    await asyncio.to_thread(_asked, f"http://127.0.0.1:{port}/break")
    egress = Egress([Allowance("127.0.0.1", port, "127.0.0.0/8", cleartext=True)])
    near = [name for name in KINDS if addresses[name].startswith(f"http://127.0.0.1:{port}/")]
    return {name: await _held(egress, addresses[name]) for name in near}


def _asked(url: str) -> Any:
    with urlopen(url) as reply:
        return json.load(reply)


async def _held(egress: Egress, url: str) -> list[float]:
    """While it answers one call, or does not."""
    turns: list[float] = []

    async def others() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            turns.append(time.thread_time() - before)

    async def heard(_: dict[str, Any]) -> None: ...

    wire = Wire(egress, url, max_bytes=Config.max_result, total_seconds=SECONDS)
    client = Client(url, wire, timeout=SECONDS)
    task = asyncio.create_task(others())
    try:
        await client.call_tool("get_thing", {}, on_progress=heard)
    except UpstreamError:
        pass
    finally:
        task.cancel()
        await wire.aclose()
    return turns
