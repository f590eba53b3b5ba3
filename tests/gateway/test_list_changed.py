"""Agents of both eras hear when their list of tools changes, whoever changed it; and servers are listened to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ToolsListChanged
from mcp_types import ToolListChangedNotification

from tests.house import House, last_message, modern_meta
from tests.serving import free_port
from tests.shifting import Shifting, shifting
from tests.waiting import until
from webapp.gateway import news
from webapp.services import agents
from webapp.services.audit import COMMAND

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
EVENTS = {"accept": "text/event-stream", "mcp-protocol-version": "2025-11-25"}


@pytest.fixture(scope="module", params=["old", "new"])
def server(request: pytest.FixtureRequest, house: House) -> Iterator[Shifting]:
    """Connected as `server-old` or `server-new`: its tools change."""
    with shifting(era=request.param) as running:
        house.run("add-server", running.url, "--name", f"server-{request.param}", "--allow-private")
        yield running
        house.run("disconnect", f"server-{request.param}")


def get(house: House, key: str, last: str = "", **headers: str) -> httpx2.Response:
    sent = EVENTS | {"authorization": f"Bearer {key}"} | ({"last-event-id": last} if last else {}) | headers
    return httpx2.get(f"{house.url}/mcp", headers=sent, timeout=60, trust_env=False)


def id_in(reply: httpx2.Response) -> str:
    """The id of the one event, as if it had been told a while ago."""
    return event_id(reply).partition(".")[0] + ".1700000000"


def event_id(reply: httpx2.Response) -> str:
    found: str = next(line for line in reply.text.splitlines() if line.startswith("id: "))[4:]
    return found


def tells(reply: httpx2.Response) -> bool:
    return "notifications/tools/list_changed" in reply.text


# --- the handshake era: who comes by hears what is new


def test_both_eras_are_told_that_changes_are_told(house: House, key: str) -> None:
    async def journey(mode: str) -> bool | None:
        async with house.client(key, mode=mode) as client:
            capabilities = client.server_capabilities
            return capabilities.tools.list_changed if capabilities and capabilities.tools else None

    assert asyncio.run(journey("legacy")) is True
    assert asyncio.run(journey("auto")) is True


def test_a_get_ends_at_once_and_says_when_to_come_back(house: House, key: str) -> None:
    reply = get(house, key)
    assert reply.status_code == 200 and reply.headers["content-type"] == "text/event-stream"
    assert "retry: 15000" in reply.text and not tells(reply)


def test_who_comes_back_hears_of_a_policy_once(house: House, key: str) -> None:
    before = id_in(get(house, key))
    assert not tells(get(house, key, before))
    house.run("set-policy", "mcp:desk:list_devices", "disabled")
    told = get(house, key, before)
    assert tells(told)
    assert not tells(get(house, key, id_in(told)))
    house.run("set-policy", "mcp:desk:list_devices", "auto")
    assert tells(get(house, key, id_in(told)))
    assert not tells(get(house, key, before)), "the list is what it was"


def test_two_programs_with_one_key_each_hear_of_it(house: House, key: str) -> None:
    one, other = (id_in(get(house, key)) for _ in range(2))
    house.run("set-policy", "mcp:desk:list_devices", "disabled")
    assert tells(get(house, key, one)) and tells(get(house, key, other))
    house.run("set-policy", "mcp:desk:list_devices", "auto")


def test_what_an_agent_may_not_use_is_no_news_for_it(house: House) -> None:
    limited = house.agent("networker", "--only", "network")
    before = id_in(get(house, limited))
    house.run("set-policy", "mcp:desk:list_devices", "disabled")
    assert not tells(get(house, limited, before))
    house.run("set-policy", "mcp:desk:list_devices", "auto")


def test_who_comes_back_too_soon_is_sent_away(house: House, key: str) -> None:
    assert get(house, key, event_id(get(house, key))).status_code == 405


@pytest.mark.parametrize("headers", [{"accept": "application/json"}, {"mcp-protocol-version": "2026-07-28"}])
def test_nobody_else_is_served_a_get(house: House, key: str, headers: dict[str, str]) -> None:
    reply = get(house, key, **headers)
    assert reply.status_code == 405 and reply.headers["allow"] == "POST"


def test_the_news_are_for_whole_keys_only(house: House, key: str) -> None:
    assert get(house, key[:-1]).status_code == 401


@pytest.mark.parametrize("last", ["x", ".", "é", "a.b", "a.99999999999999999999", "." + "9" * 5000])
def test_an_odd_last_event_is_no_harm(house: House, key: str, last: str) -> None:
    sent = EVENTS | {"authorization": f"Bearer {key}"}
    raw = [(name.encode(), value.encode()) for name, value in sent.items()]
    reply = httpx2.get(
        f"{house.url}/mcp", headers=[*raw, (b"last-event-id", last.encode())], timeout=60, trust_env=False
    )
    assert reply.status_code == 200


def test_the_sdk_client_hears_of_it(house: House, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "COME_BACK_SECONDS", 0)
    heard = asyncio.Event()

    async def take(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            heard.set()

    async def journey() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
            transport = streamable_http_client(f"{house.url}/mcp", http_client=http)
            async with Client(transport, mode="legacy", message_handler=take) as client:
                await client.list_tools()
                while not heard.is_set():  # its GET comes by itself: before or after the first change
                    for policy in ("disabled", "auto"):
                        await asyncio.to_thread(house.run, "set-policy", "mcp:desk:list_devices", policy)

    asyncio.run(asyncio.wait_for(journey(), 90))


# --- 2026-07-28: who subscribed hears it at once


def test_a_subscriber_hears_of_a_policy(house: House, key: str) -> None:
    async def journey() -> None:
        async with house.client(key, mode="auto") as client:
            async with client.listen(tools_list_changed=True) as events:
                assert events.honored.tools_list_changed
                for policy in ("disabled", "auto"):
                    await asyncio.to_thread(house.run, "set-policy", "mcp:desk:list_devices", policy)
                    assert isinstance(await asyncio.wait_for(anext(aiter(events)), 60), ToolsListChanged)

    asyncio.run(journey())


def test_a_subscriber_hears_nothing_of_what_does_not_concern_it(house: House) -> None:
    limited = house.agent("narrow", "--only", "network")

    async def journey() -> None:
        async with house.client(limited, mode="auto") as client:
            async with client.listen(tools_list_changed=True) as events:
                await asyncio.to_thread(house.run, "set-policy", "mcp:desk:list_devices", "disabled")
                await asyncio.to_thread(house.run, "set-policy", "mcp:desk:list_devices", "auto")
                listening = aiter(events)
                await asyncio.to_thread(house.run, "set-policy", "builtin:network:lookup_dns", "disabled")
                assert isinstance(await asyncio.wait_for(anext(listening), 60), ToolsListChanged)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(listening), 0.7)

    asyncio.run(journey())
    house.run("set-policy", "builtin:network:lookup_dns", "auto")


@pytest.mark.parametrize("replaced", [False, True])
def test_a_key_that_is_gone_hears_no_more(house: House, replaced: bool) -> None:
    name = f"short-lived {replaced}"
    short = house.agent(name)

    def end() -> None:
        if replaced:
            house.do(lambda: agents.replace_key(agents.by_name(name), COMMAND))
        else:
            house.run("revoke-agent", name)

    async def journey() -> None:
        async with house.client(short, mode="auto") as client:
            async with client.listen(tools_list_changed=True) as events:
                await asyncio.to_thread(end)
                assert [event async for event in events] == []

    asyncio.run(asyncio.wait_for(journey(), 60))


def test_a_subscription_to_what_is_never_told_ends_at_once(house: House, key: str) -> None:
    async def journey() -> None:
        async with house.client(key, mode="auto") as client:
            async with client.listen(prompts_list_changed=True) as events:
                assert not events.honored.prompts_list_changed
                assert [event async for event in events] == []

    asyncio.run(asyncio.wait_for(journey(), 60))


@pytest.mark.parametrize(("params", "accept", "code"), [
    ({}, "application/json, text/event-stream", -32602),
    ({"notifications": []}, "application/json, text/event-stream", -32602),
    ({"notifications": {"toolsListChanged": True}}, "application/json", -32600),
    ({"notifications": {"toolsListChanged": True}}, "application/json, text/event-stream; q=0", -32600),
    ({"notifications": {}}, "application/json, Text/Event-Stream;q=0.5", None),  # taken, and over at once
])  # fmt: skip
def test_odd_subscriptions_are_refused(
    house: House, key: str, params: dict[str, Any], accept: str, code: int | None
) -> None:
    wanted = params | {"_meta": modern_meta()}
    message = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": wanted}
    reply = house.post(
        message, key, accept=accept, mcp_protocol_version="2026-07-28", mcp_method="subscriptions/listen"
    )
    assert last_message(reply).get("error", {}).get("code") == code


# --- servers are listened to


def test_a_server_that_comes_back_with_other_tools_is_asked_for_them(house: House) -> None:
    port = free_port()
    with shifting(era="new", port=port) as before:
        house.run("add-server", before.url, "--name", "restarted", "--allow-private")
        until(lambda: listened_to(before))
    with shifting(era="new", port=port, tool="get_other"):
        until(lambda: "get_other" in str(house.listed("tools", "restarted")))


def test_a_servers_new_tool_reaches_agents_by_itself(house: House, key: str, server: Shifting) -> None:
    async def journey() -> None:
        async with house.client(key, mode="auto") as client:
            async with client.listen(tools_list_changed=True) as events:
                await asyncio.to_thread(until, lambda: listened_to(server))
                await asyncio.to_thread(server.offer, "get_second")
                await asyncio.wait_for(anext(aiter(events)), 60)
                assert any(tool.name.endswith("get_second") for tool in (await client.list_tools()).tools)

    asyncio.run(asyncio.wait_for(journey(), 90))


def test_a_flood_of_changes_is_few_syncs(house: House, server: Shifting) -> None:
    lists = server.asked.count("tools/list")
    server.offer("get_third", times=2000)
    until(lambda: "get_third" in str(house.listed("tools")))
    assert server.asked.count("tools/list") - lists <= 8


def listened_to(server: Shifting) -> bool:
    return "subscriptions/listen" in server.asked or "GET" in server.asked
