"""What the wire keeps of an answer once that was given or refused: nothing, whatever the garbage collector does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.load.faults import FAULTS, answered, head
from tests.upstream import zoo as z
from webapp.errors import BadReply, UpstreamError
from webapp.upstream import pace
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


async def says_a_megabyte(ask: z.Ask) -> None:
    await ask.write(answered(ask, {"text": "x" * MIB}))


def test_large_answers_are_read_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast they come: in the time between, all else has its turn."""
    monkeypatch.setattr(pace, "SLICE_SECONDS", 0.1)

    async def go() -> float:
        async with asyncio.timeout(20), z.opened() as zoo:
            url = zoo.put(z.modern(tools_call=says_a_megabyte))
            wire = Wire(zoo.egress(), url, max_bytes=LARGEST, total_seconds=20)
            client = Client(url, wire, version=MODERN, timeout=20)
            began = time.monotonic()
            await asyncio.gather(*(client.call_tool("echo", {}) for _ in range(2)))
            await wire.aclose()
            return time.monotonic() - began

    slices = 2 * MIB / (256 * 1024)  # no loop reads more at once
    assert asyncio.run(go()) >= (slices - 2) * 0.1


async def says_it_byte_by_byte(ask: z.Ask) -> None:
    await head(ask)
    while True:
        await ask.write(b"1\r\nx\r\n" * 50_000)


@pytest.mark.usefixtures("nothing_is_collected")
def test_an_answer_in_crumbs_costs_no_more_than_one_in_pieces() -> None:
    async def go() -> int:
        async with asyncio.timeout(20), z.opened() as zoo:
            url = zoo.put(z.modern(tools_call=says_it_byte_by_byte))
            wire = Wire(zoo.egress(), url, max_bytes=MIB, total_seconds=20)
            client = Client(url, wire, version=MODERN, timeout=20)
            tracemalloc.reset_peak()
            with pytest.raises(BadReply) as caught:
                await client.call_tool("echo", {})
            assert caught.value.kind == "too_large"
            await wire.aclose()
            return tracemalloc.get_traced_memory()[1]

    assert asyncio.run(go()) < 8 * MIB


async def says_little_very_often(ask: z.Ask) -> None:
    await z.begin_stream(ask)
    params = {"progressToken": ask.message["id"], "progress": 1}
    await ask.write(z.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}) * 50)
    await ask.write(b":\n" * 100_000)
    await ask.write(z.event({"jsonrpc": "2.0", "id": ask.message["id"], "result": {}}))
    ask.writer.close()


def test_others_have_their_turn_between_two_messages() -> None:
    """Also where hundreds came in one piece."""

    async def go() -> list[int]:
        turns, seen = 0, list[int]()

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def heard(_: dict[str, Any]) -> None:
            seen.append(turns)

        async with asyncio.timeout(20), z.opened() as zoo:
            url = zoo.put(z.modern(tools_call=says_little_very_often))
            wire = Wire(zoo.egress(), url, max_bytes=LARGEST, total_seconds=20)
            task = asyncio.create_task(other())
            await Client(url, wire, version=MODERN, timeout=20).call_tool("echo", {}, on_progress=heard)
            task.cancel()
            await wire.aclose()
        return seen

    seen = asyncio.run(go())
    assert len(seen) == len(set(seen)) == 50


def test_a_thousand_lines_are_not_taken_apart_at_once() -> None:
    async def go() -> list[bytes]:
        async with asyncio.timeout(20), z.opened() as zoo:
            url = zoo.put(says_little_very_often)
            wire = Wire(zoo.egress(), url, max_bytes=LARGEST, total_seconds=20)
            asking = wire.stream(
                "POST", url, content=b'{"id":1}', headers={}, timeout=httpx2.Timeout(20), extensions={}
            )
            async with asking as response:
                chunks = [chunk async for chunk in response.aiter_raw()]
            await wire.aclose()
            return chunks

    assert max(chunk.count(b"\n") for chunk in asyncio.run(go())) <= 16 * 1024
