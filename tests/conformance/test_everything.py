"""A server that nobody here wrote: npm's server-everything behind Gatehouse, and without it for comparison."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, Tool
from playwright.sync_api import expect, sync_playwright

from tests.browser.visitor import launch, visiting
from tests.house import House

NAME = "everything"
# How an agent begins, and the era it ends up in.
MODES = {"legacy": "2025-11-25", "auto": "2026-07-28"}
SLOW = "trigger-long-running-operation"
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("echo", {"message": "grüß Gott, 世界 \u202e"}),
    ("get-sum", {"a": 1.5, "b": -4}),
    ("get-sum", {"a": "no number"}),
    ("get-tiny-image", {}),
    ("get-structured-content", {"location": "Chicago"}),
    ("get-annotated-message", {"messageType": "error", "includeImage": True}),
    ("get-resource-links", {"count": 3}),
]


@pytest.fixture(scope="module")
def connected(house: House, everything_url: str) -> list[dict[str, Any]]:
    """Its tools as the command line lists them, with the policies they were seeded with."""
    house.run("add-server", everything_url, "--name", NAME, "--allow-private")
    seeded = house.listed("tools", NAME)
    house.run("set-policy", f"mcp:{NAME}:{SLOW}", "auto")
    return seeded


def plain(result: CallToolResult) -> dict[str, Any]:
    """What a tool said, without the words that each program adds about itself."""
    said = result.model_dump(mode="json", by_alias=True)
    return said | {"_meta": {k: v for k, v in (said["_meta"] or {}).items() if not k.endswith("/serverInfo")}}


async def listed(client: Client) -> dict[str, dict[str, Any]]:
    tools: list[Tool] = (await client.list_tools()).tools
    return {tool.name: tool.model_dump(mode="json", by_alias=True) for tool in tools}


def test_what_only_reads_is_seeded_auto_and_the_rest_asks(connected: list[dict[str, Any]]) -> None:
    policies = {row["catalogue_name"].rsplit(":", 1)[1]: row["policy"] for row in connected}
    assert {policies[name] for name, _ in CALLS} == {"auto"}
    assert {policies[name] for name in (SLOW, "toggle-simulated-logging", "gzip-file-as-resource")} == {
        "approval"
    }
    assert all(row["reason"] for row in connected)


@pytest.mark.parametrize("mode", MODES)
def test_an_agent_sees_the_tools_as_the_server_defines_them(
    house: House, key: str, connected: list[dict[str, Any]], everything_url: str, mode: str
) -> None:
    async def both() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        async with Client(everything_url, mode=mode) as client:
            direct = await listed(client)
        async with house.client(key, path=f"/mcp/s/{NAME}", mode=mode) as client:
            alone = await listed(client)
        async with house.client(key, mode=mode) as client:
            return direct, alone, await listed(client)

    direct, alone, together = asyncio.run(both())
    own = {"gatehouse__await_approval", "gatehouse__my_approvals"}
    assert {name: tool for name, tool in alone.items() if name not in own} == direct
    for name, tool in direct.items():
        there = {"name": f"{NAME}__{name}", "title": f"mcp:{NAME}:{name}"}
        assert together[f"{NAME}__{name}"] == tool | there
    assert len(direct) == len(connected)


@pytest.mark.parametrize("mode", MODES)
def test_results_are_those_of_calling_it_directly(
    house: House, key: str, connected: list[dict[str, Any]], everything_url: str, mode: str
) -> None:
    async def answers(client: Client, prefix: str) -> list[dict[str, Any]]:
        await client.list_tools()
        return [plain(await client.call_tool(prefix + name, arguments)) for name, arguments in CALLS]

    async def both() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        async with Client(everything_url, mode=mode) as direct, house.client(key, mode=mode) as client:
            assert client.protocol_version == MODES[mode]
            return await answers(direct, ""), await answers(client, f"{NAME}__")

    direct, through = asyncio.run(both())
    for call, expected, got in zip(CALLS, direct, through, strict=True):
        assert got == expected, call
    kinds = {block["type"] for answer in through for block in answer["content"]}
    assert kinds == {"text", "image", "resource_link"}
    assert through[2]["isError"] and through[4]["structuredContent"]["temperature"] == 36
    assert through[5]["content"][0]["annotations"]["priority"] == 1


@pytest.mark.parametrize("mode", MODES)
def test_progress_reaches_the_agent_while_the_tool_works(
    house: House, key: str, connected: list[dict[str, Any]], mode: str
) -> None:
    told: list[tuple[float, float | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total))

    async def call() -> tuple[CallToolResult, list[tuple[float, float | None]]]:
        async with house.client(key, mode=mode) as client:
            work = asyncio.create_task(
                client.call_tool(f"{NAME}__{SLOW}", {"duration": 2, "steps": 4}, progress_callback=note)
            )
            while not told:
                await asyncio.wait((work,), timeout=0.01)
                assert told or not work.done(), "it ended without a word"
            early = list(told)
            assert not work.done()
            return await work, early

    result, early = asyncio.run(call())
    assert len(early) < 4
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert not result.is_error


def test_disconnect_removes_the_tools_and_the_way_in(house: House, key: str, everything_url: str) -> None:
    house.run("add-server", everything_url, "--name", "passing", "--allow-private")
    assert any(name.startswith("passing__") for name in offered(house, key))

    house.run("disconnect", "passing")
    assert not any(name.startswith("passing__") for name in offered(house, key))
    assert not [row for row in house.listed("tools") if row["catalogue_name"].startswith("mcp:passing:")]
    for id in range(6):  # both workers
        assert house.call(key, "passing__echo", {"message": "anybody?"}, id=id)["error"]["code"] == -32602


def offered(house: House, key: str) -> set[str]:
    async def ask() -> set[str]:
        async with house.client(key) as client:
            return set(await listed(client))

    return asyncio.run(ask())


def test_somebody_connects_it_in_a_browser(house: House, key: str, everything_url: str) -> None:
    setup = f"{house.url}/settings/integrations/by-hand/setup"
    with sync_playwright() as playwright, visiting(launch(playwright), house.url) as visitor:
        visitor.sign_in()
        page = visitor.go("/settings/integrations")
        page.get_by_role("link", name="Add MCP Server").click()
        page.get_by_label("Server URL").fill(everything_url)
        page.get_by_label("Name").fill("by-hand")
        page.get_by_role("button", name="Check this address").click()
        expect(page.locator("#findings").get_by_text("is this machine itself")).to_be_visible()
        page.get_by_role("button", name="This is a server in my own network").click()
        page.get_by_role("button", name="Continue: fetch its tools").click()
        expect(page).to_have_url(f"{setup}/tools")
        row = page.locator("tr", has_text="mcp:by-hand:get-sum")
        expect(row.get_by_role("radio", name="Auto")).to_be_checked()
        page.get_by_role("button", name="Finish").click()
        expect(page).to_have_url(f"{setup}/done")

        answer = house.call(key, "by-hand__get-sum", {"a": 2, "b": 3})
        assert answer["result"]["content"][0]["text"] == "The sum of 2 and 3 is 5."
        visitor.go("/settings/integrations/by-hand")
        page.get_by_role("link", name="Disconnect").click()
        page.get_by_role("textbox").fill("by-hand")
        page.get_by_role("button", name="Disconnect").click()
        expect(page.get_by_role("heading", name="Integrations")).to_be_visible()
        assert not visitor.faults
    assert house.call(key, "by-hand__get-sum", {"a": 2, "b": 3})["error"]["code"] == -32602
