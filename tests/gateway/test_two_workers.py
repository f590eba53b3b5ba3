"""Two workers, one Gatehouse: what an agent says to one is heard by the other, and nothing is said twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from mcp.client.subscriptions import Subscription, ToolsListChanged

from tests.gateway.test_list_changed import EVENTS, id_in, tells
from tests.serving import Gatehouse, gatehouse
from tests.shifting import Shifting, shifting
from tests.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
BOTH = (0, 1)


@pytest.fixture(scope="module")
def server() -> Iterator[Shifting]:
    with shifting(era="new") as running:
        yield running


@pytest.fixture(scope="module")
def gate(server: Shifting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    with gatehouse(tmp_path_factory.mktemp("two"), HOLD_SECONDS=2) as running:
        running.house.run("add-server", server.url, "--name", "shifting", "--allow-private")
        yield running


@pytest.fixture(scope="module")
def key(gate: Gatehouse) -> str:
    return gate.house.agent("claude")


def test_whichever_worker_is_asked_knows_what_was_told(gate: Gatehouse, key: str, server: Shifting) -> None:
    def get(worker: int, last: str = "") -> httpx2.Response:
        headers = EVENTS | {"authorization": f"Bearer {key}"} | ({"last-event-id": last} if last else {})
        with gate.only(worker):
            return httpx2.get(f"{gate.url}/mcp", headers=headers, timeout=60, trust_env=False)

    before = id_in(get(0))
    assert [tells(get(worker, before)) for worker in BOTH] == [False, False]
    server.offer("get_news")
    until(lambda: "get_news" in str(gate.house.listed("tools", "shifting")))
    told = [get(worker, before) for worker in BOTH]
    assert [tells(reply) for reply in told] == [True, True]
    assert [tells(get(worker, id_in(told[1 - worker]))) for worker in BOTH] == [False, False]


def test_a_pause_holds_on_either_worker_from_the_next_call_on(gate: Gatehouse, key: str) -> None:
    tool = gate.house.listed("tools", "shifting")[0]["catalogue_name"]

    def paused(worker: int) -> bool:
        with gate.only(worker):
            result = gate.house.call(key, tool)["result"]
        return bool(result.get("_meta", {}).get("gatehouse/error", {}).get("kind") == "paused")

    assert [paused(worker) for worker in BOTH] == [False, False]
    gate.house.run("pause", "--all", "--reason", "Something is odd")
    assert [paused(worker) for worker in BOTH] == [True, True]
    gate.house.run("resume", "--all")
    assert [paused(worker) for worker in BOTH] == [False, False]


def test_a_policy_holds_on_either_worker_from_the_next_call_on(gate: Gatehouse, key: str) -> None:
    tool = gate.house.listed("tools", "shifting")[0]["catalogue_name"]

    def runs(worker: int) -> bool:
        with gate.only(worker):
            return "result" in gate.house.call(key, tool)

    for policy, expected in (("auto", True), ("disabled", False), ("auto", True)):
        gate.house.run("set-policy", tool, policy)
        assert [runs(worker) for worker in BOTH] == [expected, expected], policy


def test_subscribers_of_both_workers_hear_of_a_servers_change_once(
    gate: Gatehouse, key: str, server: Shifting
) -> None:
    async def journey() -> list[int]:
        async with AsyncExitStack() as stack:
            subscriptions: list[Subscription] = []
            for worker in BOTH:
                with gate.only(worker):
                    client = await stack.enter_async_context(gate.house.client(key, mode="auto"))
                    listening = client.listen(tools_list_changed=True)
                    subscriptions.append(await stack.enter_async_context(listening))
            await asyncio.to_thread(server.offer, "get_more")
            return await asyncio.gather(*(heard(each) for each in subscriptions))

    assert asyncio.run(asyncio.wait_for(journey(), 120)) == [1, 1]
    assert listeners(server) == 1


async def heard(subscription: Subscription) -> int:
    """How often, until nothing more is heard for a while."""
    events, count = aiter(subscription), 0
    try:
        while isinstance(await asyncio.wait_for(anext(events), 3 if count else 60), ToolsListChanged):
            count += 1
    except TimeoutError:
        pass
    return count


def listeners(server: Shifting) -> int:
    return server.asked.count("subscriptions/listen")


def test_another_worker_listens_when_the_one_that_did_is_gone(server: Shifting, tmp_path: Path) -> None:
    with gatehouse(tmp_path) as gate:
        before = listeners(server)
        gate.house.run("add-server", server.url, "--name", "shifting", "--allow-private")
        until(lambda: listeners(server) == before + 1)
        for pid in gate.workers():
            os.kill(pid, signal.SIGTERM)
        until(lambda: listeners(server) == before + 2)


def test_an_open_subscription_holds_up_no_stop(server: Shifting, tmp_path: Path) -> None:
    ended: list[bool] = []

    async def journey(gate: Gatehouse, key: str) -> None:
        async with gate.house.client(key, mode="auto") as client:
            async with client.listen(tools_list_changed=True) as events:
                stopping = asyncio.create_task(asyncio.to_thread(gate.stop))
                ended.append([event async for event in events] == [])
                assert await stopping == 0

    with gatehouse(tmp_path) as gate:
        asyncio.run(asyncio.wait_for(journey(gate, gate.house.agent("claude")), 60))
    assert ended == [True], "it ended in good order"
