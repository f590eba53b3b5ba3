"""What an agent lists and calls, seen through a real MCP client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from mcp import MCPError

from tests.house import House, last_message, text_of


def done(practice: str, tool: str) -> int:
    state: dict[str, Any] = httpx2.get(f"{practice}/state", timeout=60, trust_env=False).json()
    return int(state["done"].get(tool, 0))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_client_lists_and_calls_in_both_eras(house: House, key: str, mode: str) -> None:
    async def journey() -> None:
        async with house.client(key, mode=mode) as client:
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert listed["desk__list_tickets"].title == "mcp:desk:list_tickets"
            assert "network__lookup_dns" in listed
            answer = await client.call_tool("desk__get_ticket", {"ticket_id": "T-1041"})
            assert not answer.is_error and answer.structured_content["id"] == "T-1041"

    asyncio.run(journey())


def test_the_catalogue_name_works_as_well_as_the_wire_name(house: House, key: str) -> None:
    by_wire = house.call(key, "desk__list_devices")
    by_catalogue = house.call(key, "mcp:desk:list_devices")
    assert by_wire["result"]["content"] == by_catalogue["result"]["content"]


def test_one_server_under_its_own_names(house: House, key: str) -> None:
    async def journey() -> None:
        async with house.client(key, path="/mcp/s/desk") as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert "list_tickets" in names and not any(name.startswith("network") for name in names)
            assert not (await client.call_tool("list_tickets", {})).is_error

    asyncio.run(journey())


def test_results_come_back_unaltered(house: House, practice: str, key: str) -> None:
    """Text, image, structured content and a tool's own error are what the server itself answers."""
    for name, arguments in [
        ("ticket_chart", {}),
        ("get_ticket", {"ticket_id": "T-1042"}),
        ("print_invoice", {}),
    ]:
        house.run("set-policy", f"mcp:desk:{name}", "auto")
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        message = {
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments},
        }  # fmt: skip
        direct = httpx2.post(
            f"{practice}/open/mcp", json=message, headers=headers, timeout=60, trust_env=False
        )
        through = house.call(key, f"desk__{name}", arguments)
        assert through["result"] == {
            k: v for k, v in last_message(direct)["result"].items() if k != "resultType"
        }


def test_unknown_disabled_and_forbidden_look_alike(house: House, key: str) -> None:
    house.run("set-policy", "mcp:desk:list_devices", "disabled")
    limited = house.agent("limited", "--only", "network")
    refusals = [
        house.call(key, "desk__no_such_tool"),
        house.call(key, "desk__list_devices"),
        house.call(limited, "desk__list_tickets"),
    ]
    house.run("set-policy", "mcp:desk:list_devices", "auto")
    assert {answer["error"]["code"] for answer in refusals} == {-32602}
    assert all(answer["error"]["message"].startswith("Unknown tool: ") for answer in refusals)


def test_a_disabled_tool_is_not_listed(house: House, key: str) -> None:
    house.run("set-policy", "mcp:desk:list_devices", "disabled")
    reply = house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, key)
    house.run("set-policy", "mcp:desk:list_devices", "auto")
    assert "desk__list_devices" not in json.dumps(reply.json())
    assert "desk__list_tickets" in json.dumps(reply.json())


def test_a_policy_change_holds_from_the_next_call_on(house: House, practice: str, key: str) -> None:
    house.run("set-policy", "mcp:desk:restart_device", "auto")
    assert "error" not in house.call(key, "desk__restart_device", {"device_id": "HD-PR-002", "when": "now"})
    house.run("set-policy", "mcp:desk:restart_device", "disabled")
    assert (
        house.call(key, "desk__restart_device", {"device_id": "HD-PR-002", "when": "now"})["error"]["code"]
        == -32602
    )
    house.run("set-policy", "mcp:desk:restart_device", "approval")
    assert done(practice, "restart_device") == 1


def test_writes_are_seeded_to_wait_and_reads_to_run(house: House) -> None:
    policies = {row["catalogue_name"]: row["policy"] for row in house.listed("tools", "desk")}
    assert policies["mcp:desk:list_tickets"] == "auto"
    assert policies["mcp:desk:create_ticket"] == "approval"
    assert policies["mcp:desk:delete_ticket"] == "approval"


def test_every_call_is_on_record(house: House, key: str) -> None:
    before = house.run("verify-log").stdout
    house.call(key, "desk__search_tickets", {"query": "printer"})
    after = house.run("verify-log").stdout
    assert rows_in(after) == rows_in(before) + 1


def test_a_refused_call_is_on_record_under_the_name_that_was_used(house: House, key: str) -> None:
    house.call(key, "desk__no_such_tool", {"password": "canary-1"})
    row = house.listed("activity")[0]
    assert (row["tool"], row["outcome"]) == ("desk__no_such_tool", "refused")
    assert "canary-1" not in str(row)


def test_a_revoked_key_stops_at_once(house: House) -> None:
    key = house.agent("short-lived")
    assert "result" in house.call(key, "desk__list_tickets")
    house.run("revoke-agent", "short-lived")
    assert house.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, key).status_code == 401


def test_a_server_that_is_gone_gives_a_plain_word(house: House, key: str) -> None:
    text = text_of(house.call(key, "network__inspect_certificate", {"host": "127.0.0.1"}))
    assert "127.0.0.1:443" not in text and "Traceback" not in text


def test_the_sdk_raises_for_an_unknown_tool(house: House, key: str) -> None:
    async def journey() -> None:
        async with house.client(key) as client:
            with pytest.raises(MCPError, match="Unknown tool"):
                await client.call_tool("desk__nothing", {})

    asyncio.run(journey())


def rows_in(text: str) -> int:
    return int(text.split(": ")[1].split(" rows")[0])
