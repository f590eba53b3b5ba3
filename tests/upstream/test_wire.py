"""What the wire keeps of an answer once that was given or refused: nothing, whatever the garbage collector does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.load.faults import FAULTS, answered
from tests.upstream import zoo as z
from webapp.errors import UpstreamError
from webapp.upstream.client import MODERN, Client
from webapp.upstream.wire import Wire

MIB = 1024 * 1024
LARGEST = 8 * MIB


@pytest.fixture
def nothing_is_collected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


async def says_much(ask: z.Ask) -> None:
    await ask.write(answered(ask, {"text": "x" * (7 * MIB)}))


@pytest.mark.usefixtures("nothing_is_collected")
@pytest.mark.parametrize(
    "animal", [FAULTS["never-ends"].animal, FAULTS["event-without-end"].animal, says_much]
)
def test_large_answers_leave_nothing_behind(animal: z.Animal) -> None:
    async def go() -> None:
        async with asyncio.timeout(20), z.opened() as zoo:
            url = zoo.put(z.modern(tools_call=animal))
            wire = Wire(zoo.egress(), url, max_bytes=LARGEST, total_seconds=20)
            client = Client(url, wire, version=MODERN, timeout=20)
            kept = [await _after(client) for _ in range(2)]
            assert max(kept) < MIB
            await wire.aclose()

    asyncio.run(go())


async def _after(client: Client) -> int:
    before, _ = tracemalloc.get_traced_memory()
    with contextlib.suppress(UpstreamError):
        await client.call_tool("echo", {})
    await asyncio.sleep(0.05)  # the server lets go too
    return tracemalloc.get_traced_memory()[0] - before
