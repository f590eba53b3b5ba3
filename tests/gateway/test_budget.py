"""What an agent's list of tools costs: the estimate on its page against the answer itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.house import House
from webapp.services import budget
from webapp.services.own_tools import MODES, Mode
from webapp.store.models import Agent

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def listed(house: House, key: str) -> tuple[int, int]:
    """Tools of others, and bytes of the answer."""
    reply = house.post(LIST, key)
    tools: list[dict[str, Any]] = reply.json()["result"]["tools"]
    return sum(not tool["name"].startswith("gatehouse__") for tool in tools), len(reply.content)


def estimate(house: House, name: str) -> budget.Budget:
    return house.do(lambda: budget.budget_of(Agent.get(Agent.name == name)))


def test_the_estimate_is_that_of_the_answer(house: House) -> None:
    for name, options in {"all": (), "few": ("--only", "network")}.items():
        key = house.agent(name, *options)
        told = estimate(house, name)
        tools, size = listed(house, key)
        assert told.tools == tools
        assert abs(told.full * budget.BYTES_A_TOKEN - size) < 0.02 * size + 60  # the envelope is not counted


def test_so_is_that_of_the_search(house: House) -> None:
    key = house.agent("searching")
    house.do(lambda: Agent.update(tool_search="on").where(Agent.name == "searching").execute())
    house.run("set-policy", "mcp:desk:list_devices", "disabled")
    told, (_, size) = estimate(house, "searching"), listed(house, key)
    house.run("set-policy", "mcp:desk:list_devices", "auto")
    assert told.searching and abs(told.search * budget.BYTES_A_TOKEN - size) < 60


@pytest.mark.parametrize(("mode", "tools", "searches"), [
    (Mode("off"), 10_000, False), (Mode("on"), 0, True), (Mode("auto", 60), 60, False),
    (Mode("auto", 60), 61, True), (Mode("auto", 1), 2, True), (Mode(), 10_000, False),
])  # fmt: skip
def test_when_there_is_a_search(mode: Mode, tools: int, searches: bool) -> None:
    assert mode.searches(tools) is searches and mode.setting in MODES
