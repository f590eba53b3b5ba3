"""An approval as each era's programs meet it: held with progress, told to come back, coming back by themselves; and
calls whose servers ask back, with an approval in between."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ElicitResult, TextContent

from config import Config
from tests.gateway.test_approvals import fetched
from tests.house import PASSWORD, House, last_message, modern_meta, served
from tests.talkative import Talkative, talkative
from tests.waiting import until
from webapp.asgi import program
from webapp.gateway import again

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
HOLD = 0.7
MANY = 10_000
MODERN_META = modern_meta({"elicitation": {"form": {}}})


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Talkative]]:
    with talkative(era="old") as old, talkative(era="new") as new:
        yield {"old": old, "new": new}


@pytest.fixture(scope="module")
def house(servers: dict[str, Talkative], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Servers of both eras; calls are held for a moment, and those of some agents for long."""
    data: Path = tmp_path_factory.mktemp("wire") / "data"
    made = program(Config(data=data, hold_seconds=HOLD))
    with served(made) as url:
        house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
        house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        for era, server in servers.items():
            house.run("add-server", server.url, "--name", f"s-{era}", "--allow-private")
            for tool in ("get_with_logs", "get_in_steps"):
                house.run("set-policy", f"mcp:s-{era}:{tool}", "approval")
        yield house


@pytest.fixture
def key(house: House) -> str:
    """Another agent for each test: what one left open is no concern of the next."""
    return house.agent(f"agent {secrets.token_hex(4)}")


@pytest.fixture
def patient(house: House) -> str:
    """The same, whose calls are held until they are decided."""
    return house.agent(f"agent {secrets.token_hex(4)}", held=True)


@pytest.fixture
def coming_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as it takes."""
    monkeypatch.setattr(again, "MOST_ROUNDS", MANY)


@pytest.fixture(autouse=True)
def quiet(house: House, servers: dict[str, Talkative]) -> Iterator[None]:
    for server in servers.values():
        server.events.clear()
    yield
    for row in house.listed("approvals"):
        house.run("decide", row["id"], "deny")


def decide(house: House, how: str = "approve") -> str:
    """The open approval, once there is one."""
    until(lambda: len(house.listed("approvals")) > 0)
    approval = str(house.listed("approvals")[0]["id"])
    house.run("decide", approval, how)
    return approval


class Rounds(list[str]):
    """How often a program came with a call, as the names of what it called."""

    async def note(self, request: httpx2.Request) -> None:
        if request.headers.get("mcp-method") == "tools/call":
            self.append(request.headers["mcp-name"])


@asynccontextmanager
async def client(house: House, key: str, mode: str, rounds: Rounds | None = None) -> AsyncIterator[Client]:
    async def elicit(_: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ann"})

    headers = {"Authorization": f"Bearer {key}"}
    hooks = {"request": [rounds.note]} if rounds is not None else {}
    async with httpx2.AsyncClient(headers=headers, timeout=120, trust_env=False, event_hooks=hooks) as http:
        transport = streamable_http_client(f"{house.url}/mcp", http_client=http)
        async with Client(
            transport, mode=mode, elicitation_callback=elicit, input_required_max_rounds=MANY
        ) as it:
            yield it


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 200))  # type: ignore[arg-type]


def text(result: CallToolResult) -> str:
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


# --- 2026-07-28: the program comes again by itself


def test_a_modern_program_gets_its_result_after_several_rounds(
    house: House, key: str, coming_back: None
) -> None:
    async def journey() -> None:
        rounds = Rounds()
        async with client(house, key, "auto", rounds) as it:
            call = asyncio.create_task(it.call_tool("s-new__get_with_logs", {}))
            await asyncio.to_thread(until, lambda: len(rounds) > 1)
            await asyncio.to_thread(decide, house)
            assert text(await call) == "logged"

    run(journey)
    assert house.listed("approvals") == []


def test_a_modern_program_is_told_to_wait_before_it_stops_coming(
    house: House, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "MOST_ROUNDS", 1)

    async def journey() -> None:
        async with client(house, key, "auto") as it:
            result = await it.call_tool("s-new__get_with_logs", {})
            assert result.is_error and "Waiting for a person" in text(result)

    run(journey)
    assert len(house.listed("approvals")) == 1


def test_a_modern_program_hears_of_a_denial(house: House, key: str, coming_back: None) -> None:
    async def journey() -> None:
        rounds = Rounds()
        async with client(house, key, "auto", rounds) as it:
            call = asyncio.create_task(it.call_tool("s-new__get_with_logs", {}))
            await asyncio.to_thread(until, lambda: len(rounds) > 1)
            await asyncio.to_thread(decide, house, "deny")
            result = await call
            assert result.is_error and "denied" in text(result)

    run(journey)


def modern(house: House, key: str, name: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments, "_meta": MODERN_META} | more
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/call", "mcp_name": name}
    return last_message(house.post(message, key, **headers))


def test_the_state_serves_its_own_call_only(house: House, key: str) -> None:
    first = modern(house, key, "s-new__delete_thing", {"thing": "a"})["result"]
    assert first["resultType"] == "input_required" and "inputRequests" not in first
    state = first["requestState"]
    assert modern(house, key, "s-new__delete_thing", {"thing": "a"}, requestState=state)["result"][
        "requestState"
    ]
    other = modern(house, key, "s-new__delete_thing", {"thing": "b"}, requestState=state)
    assert other["error"]["code"] == -32602
    stranger = house.agent("stranger")
    assert modern(house, stranger, "s-new__delete_thing", {"thing": "a"}, requestState=state)["error"]
    assert len(house.listed("approvals")) == 1


@pytest.mark.parametrize("state", ["gatehouse.", "gatehouse.x", "gatehouse." + "A" * 3000, "x"])
def test_a_state_that_is_not_ours_goes_to_the_server(house: House, key: str, state: str) -> None:
    assert again.read(state) is None
    answer = modern(house, key, "s-new__get_greeting", {}, requestState=state)
    assert "requestState" in json.dumps(answer), "the SDK's server refuses a state that it did not seal"


# --- the handshake era: held with progress, then told


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_who_wants_progress_hears_that_it_waits_and_then_of_the_run(
    house: House, patient: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.gateway.holding.FIRST_SECONDS", 0.05)
    monkeypatch.setattr("webapp.gateway.holding.EVERY_SECONDS", 0.1)
    heard: list[tuple[float, str]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message or ""))

    async def journey() -> None:
        async with client(house, patient, mode) as it:
            call = asyncio.create_task(it.call_tool("s-new__get_in_steps", {}, progress_callback=note))
            await asyncio.to_thread(until, lambda: len(heard) > 2)
            await asyncio.to_thread(decide, house)
            assert text(await call) == "in steps"
            assert any(message == "step" for _, message in heard)

    run(journey)
    assert heard and "Waiting for a person to approve this call (apr_" in heard[0][1]
    assert mode == "auto" or [value for value, _ in heard] == sorted(value for value, _ in heard)


def test_an_agent_finds_its_approvals_and_their_results(house: House, key: str) -> None:
    async def journey() -> None:
        async with client(house, key, "legacy") as it:
            names = {tool.name for tool in (await it.list_tools()).tools}
            assert {"gatehouse__await_approval", "gatehouse__my_approvals"} <= names
            assert (await it.call_tool("gatehouse__my_approvals", {})).structured_content == {"approvals": []}
            await it.call_tool("s-old__get_with_logs", {})
            (mine,) = (await it.call_tool("gatehouse__my_approvals", {})).structured_content["approvals"]
            assert mine["status"] == "waiting" and mine["tool"] == "s-old__get_with_logs"
            await asyncio.to_thread(decide, house)
            waited = {"approval_id": mine["approval_id"]}
            assert text(await it.call_tool("gatehouse__await_approval", waited)) == "logged"
            while (await it.call_tool("gatehouse__my_approvals", {})).structured_content["approvals"]:
                await asyncio.sleep(0.05)  # it is noted as delivered once it is

    run(journey)


def test_nobody_sees_the_approvals_of_others(house: House, key: str) -> None:
    house.call(key, "s-new__get_with_logs")
    stranger = house.agent("onlooker")
    mine = house.call(stranger, "gatehouse__my_approvals")["result"]["structuredContent"]
    assert mine == {"approvals": []}


# --- a server asks back, and a person decides in between


def test_a_modern_call_that_is_asked_back_is_approved_with_its_answers(
    house: House, key: str, servers: dict[str, Talkative], coming_back: None
) -> None:
    async def journey() -> None:
        async with client(house, key, "auto") as it:
            call = asyncio.create_task(it.call_tool("s-new__delete_thing", {"thing": "printer"}))
            first = await asyncio.to_thread(decide, house)
            await asyncio.to_thread(until, lambda: len(house.listed("approvals")) == 1)
            second = house.listed("approvals")[0]["id"]
            assert second != first
            with house.browser() as page:
                card = page.get(f"/approvals/{second}").text
                assert "Its server asked back" in card and "Ann" in card
                assert "Its server asked back" not in page.get(f"/approvals/{first}").text
                assert page.get(f"/approvals/{second}/arguments").json()["answers"]["who"]["content"] == {
                    "name": "Ann"
                }
            await asyncio.to_thread(decide, house)
            assert text(await call) == "Hello, Ann!"

    run(journey)
    assert servers["new"].events == ["deleted printer"]


@pytest.mark.parametrize("era", ["old", "new"])
def test_a_program_of_the_handshake_era_is_asked_while_it_waits(
    house: House, patient: str, servers: dict[str, Talkative], era: str
) -> None:
    async def journey() -> None:
        async with client(house, patient, "legacy") as it:
            call = asyncio.create_task(it.call_tool(f"s-{era}__delete_thing", {"thing": "printer"}))
            await asyncio.to_thread(until, lambda: len(house.listed("approvals")) == 1)
            await asyncio.to_thread(house.run, "decide", house.listed("approvals")[0]["id"], "approve")
            assert text(await call) == "Hello, Ann!"

    run(journey)
    assert servers[era].events == ["deleted printer"]


@pytest.mark.parametrize("era", ["old", "new"])
def test_a_call_whose_agent_has_gone_can_ask_nobody_and_says_so(
    house: House, key: str, servers: dict[str, Talkative], era: str
) -> None:
    tool, arguments = f"s-{era}__delete_thing", {"thing": "printer"}
    house.call(key, tool, arguments)
    decide(house)
    result = fetched(house, key, tool, arguments)
    assert result["isError"] and servers[era].events == []
