"""What the wire keeps of an answer once that was given or refused: nothing, whatever the garbage collector does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
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
        async with asyncio.timeout(90), z.opened() as zoo:
            url = zoo.put(z.modern(tools_call=animal))
            wire = Wire(zoo.egress(), url, max_bytes=LARGEST, total_seconds=60)
            client = Client(url, wire, version=MODERN, timeout=60)
            assert max([await _after(client) for _ in range(2)]) < MIB
            await wire.aclose()

    asyncio.run(go())


async def _after(client: Client) -> int:
    before, _ = tracemalloc.get_traced_memory()
    with contextlib.suppress(UpstreamError):
        await client.call_tool("echo", {})
    while (kept := tracemalloc.get_traced_memory()[0] - before) >= MIB:  # the server lets go too
        await asyncio.sleep(0.05)
    return kept


async def says_a_megabyte(ask: z.Ask) -> None:
    await ask.write(answered(ask, {"text": "x" * MIB}))


def test_large_answers_are_read_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast they come: in the time between, all else has its turn."""
    monkeypatch.setattr(pace, "SLICE_SECONDS", 0.1)

    async def go() -> float:
        async with asyncio.timeout(90), z.opened() as zoo:
            url = zoo.put(z.modern(tools_call=says_a_megabyte))
            wire = Wire(zoo.egress(), url, max_bytes=LARGEST, total_seconds=60)
            client = Client(url, wire, version=MODERN, timeout=60)
            began = time.monotonic()
            await asyncio.gather(*(client.call_tool("echo", {}) for _ in range(2)))
            await wire.aclose()
            return time.monotonic() - began

    slices = 2 * MIB / (256 * 1024)  # no loop reads more at once
    assert asyncio.run(go()) >= (slices - 2) * 0.1


def in_crumbs(count: int) -> z.Animal:
    async def animal(ask: z.Ask) -> None:
        await head(ask)
        body = answered(ask, {}).partition(b"\r\n\r\n")[2].ljust(count)
        await ask.write(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")

    return animal


def test_an_answer_in_crumbs_costs_no_more_than_one_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts for what it costs beside its one byte: as to turns, and as to the limit."""
    turns: list[float] = []
    monkeypatch.setattr(pace.Turns, "wait", lambda _: turns.append(0) or 0)

    async def ask(zoo: z.Zoo, count: int) -> Any:
        url = zoo.put(z.modern(tools_call=in_crumbs(count)))
        wire = Wire(zoo.egress(), url, max_bytes=MIB, total_seconds=60)
        try:
            return await Client(url, wire, version=MODERN, timeout=60).call_tool("echo", {})
        finally:
            await wire.aclose()

    async def go() -> None:
        async with asyncio.timeout(90), z.opened() as zoo:
            await ask(zoo, 3000)
            assert turns
            with pytest.raises(BadReply) as caught:
                await ask(zoo, 20_000)
            assert caught.value.kind == "too_large"

    asyncio.run(go())


async def says_little_very_often(ask: z.Ask) -> None:
    await z.begin_stream(ask)
    params = {"progressToken": ask.message["id"], "progress": 1}
    await ask.write(z.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}) * 50)
    await ask.write(b":\n" * 100_000)
    await ask.write(z.event({"jsonrpc": "2.0", "id": ask.message["id"], "result": {}}))
    ask.writer.close()


@contextlib.asynccontextmanager
async def counted() -> AsyncIterator[Callable[[], int]]:
    """How often others have had their turn so far."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    yield lambda: turns
    task.cancel()


def test_others_have_their_turn_between_two_messages() -> None:
    """Also where hundreds came in one piece."""

    async def go() -> list[int]:
        seen = list[int]()
        async with asyncio.timeout(90), z.opened() as zoo, counted() as turns:

            async def heard(_: dict[str, Any]) -> None:
                seen.append(turns())

            url = zoo.put(z.modern(tools_call=says_little_very_often))
            wire = Wire(zoo.egress(), url, max_bytes=LARGEST, total_seconds=60)
            await Client(url, wire, version=MODERN, timeout=60).call_tool("echo", {}, on_progress=heard)
            await wire.aclose()
        return seen

    seen = asyncio.run(go())
    assert len(seen) == len(set(seen)) == 50


def test_a_thousand_lines_are_not_taken_apart_at_once() -> None:
    """And others have their turn between two bites."""

    async def go() -> list[tuple[int, int]]:
        async with asyncio.timeout(90), z.opened() as zoo, counted() as turns:
            url = zoo.put(says_little_very_often)
            wire = Wire(zoo.egress(), url, max_bytes=LARGEST, total_seconds=60)
            asking = wire.stream(
                "POST", url, content=b'{"id":1}', headers={}, timeout=httpx2.Timeout(60), extensions={}
            )
            async with asking as response:
                bites = [(chunk.count(b"\n"), turns()) async for chunk in response.aiter_raw()]
            await wire.aclose()
            return bites

    lines, seen = zip(*asyncio.run(go()), strict=True)
    assert max(lines) <= 16 * 1024 and len(set(seen)) == len(seen) > 10
