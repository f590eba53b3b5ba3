"""What passes between a server and an agent's program while a call runs, with two workers: it is cancelled, the server
asks, it logs. What the program says comes in at the other worker, as often as not; here always."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult, Root, TextContent

from tests.house import PASSWORD, token_in
from tests.serving import Gatehouse, gatehouse
from tests.talkative import Talkative, talkative
from tests.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
ERAS = ("old", "new")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Talkative]]:
    with talkative(era="old") as old, talkative(era="new") as new:
        yield {"old": old, "new": new}


@pytest.fixture(scope="module")
def gate(servers: dict[str, Talkative], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    with gatehouse(tmp_path_factory.mktemp("words"), HOLD_SECONDS=2) as running:
        for era, server in servers.items():
            running.house.run("add-server", server.url, "--name", f"s-{era}", "--allow-private")
        yield running


@pytest.fixture(scope="module")
def key(gate: Gatehouse) -> str:
    return gate.house.agent("claude")


@pytest.fixture
def server(request: pytest.FixtureRequest, servers: dict[str, Talkative]) -> Talkative:
    found = servers[request.getfixturevalue("era")]
    found.events.clear()
    return found


@dataclass
class Program:
    """An SDK client that can be asked things, and what it was asked and told."""

    client: Client
    asked: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    progress: list[float] = field(default_factory=list)

    async def call(self, name: str, **arguments: Any) -> str:
        async def note(progress: float, total: float | None, message: str | None) -> None:
            self.progress.append(progress)

        result = await self.client.call_tool(name, arguments, progress_callback=note)
        content = result.content[0]
        assert isinstance(content, TextContent)
        return content.text


@asynccontextmanager
async def program(gate: Gatehouse, key: str, mode: str, *, able: bool = True) -> AsyncIterator[Program]:
    it = Program(None)  # type: ignore[arg-type]

    async def elicit(_: Any, params: Any) -> ElicitResult:
        it.asked.append(params.message)
        return ElicitResult(action="accept", content={"name": "Ann"})

    async def sample(_: Any, params: Any) -> CreateMessageResult:
        it.asked.append("model")
        return CreateMessageResult(role="assistant", content=TextContent(text="so-so"), model="m")

    async def roots(_: Any) -> ListRootsResult:
        it.asked.append("folders")
        return ListRootsResult(roots=[Root(uri="file:///srv/notes")])

    async def log(params: Any) -> None:
        it.logs.append(params.data)

    headers = {"Authorization": f"Bearer {key}"}
    callbacks: dict[str, Any] = {
        "elicitation_callback": elicit, "sampling_callback": sample, "list_roots_callback": roots
    } if able else {}  # fmt: skip
    async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
        transport = streamable_http_client(f"{gate.url}/mcp", http_client=http)
        async with Client(transport, mode=mode, logging_callback=log, **callbacks) as client:
            it.client = client
            yield it


# --- cancelled


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_cancelled_call_is_cancelled_at_the_server(
    gate: Gatehouse, key: str, server: Talkative, era: str, mode: str
) -> None:
    def rows() -> list[dict[str, Any]]:
        """The row is written after the server has heard."""
        found = gate.house.listed("activity", "--limit", "1000")
        return [row for row in found if row["outcome"] == "cancelled"]

    async def journey() -> None:
        async with program(gate, key, mode) as it:
            call = asyncio.create_task(it.call(f"s-{era}__get_slowly"))
            await asyncio.to_thread(until, lambda: "began" in server.events and it.progress != [])
            call.cancel()
            await asyncio.to_thread(until, lambda: "cancelled" in server.events)
            assert it.progress == [1]

    before = len(rows())
    asyncio.run(journey())
    until(lambda: len(rows()) > before)
    assert ("called it off" if mode == "legacy" else "hung up") in str(rows()[0])


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("worker", [0, 1])
def test_a_cancellation_is_heard_by_the_worker_that_calls(
    gate: Gatehouse, key: str, server: Talkative, era: str, worker: int
) -> None:
    """Raw, so that the connections are ours: the call goes to one worker, and what cancels it to another."""

    async def journey() -> None:
        async with agent(gate, key) as caller, agent(gate, key) as other:
            with gate.only(0):
                session = await caller.shake_hands()
                call = asyncio.create_task(caller.call(7, f"s-{era}__get_slowly", session))
                await asyncio.to_thread(until, lambda: "began" in server.events)
            with gate.only(worker):
                await other.cancel(8, session)
                await other.cancel(7, "gs--000000000000000000000000")
                await other.cancel("7", session)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(call), 0.5)
            with gate.only(worker):
                await other.cancel(7, session)
            await asyncio.to_thread(until, lambda: "cancelled" in server.events)
            reply = await call
            assert reply.status_code == 200 and '"result"' not in reply.text and '"error"' not in reply.text

    asyncio.run(journey())


def test_another_agents_cancellation_is_nobodys(
    gate: Gatehouse, key: str, servers: dict[str, Talkative]
) -> None:
    stranger, server = gate.house.agent("stranger"), servers["new"]
    server.events.clear()

    async def journey() -> None:
        async with agent(gate, key) as caller, agent(gate, stranger) as other:
            session = await caller.shake_hands()
            call = asyncio.create_task(caller.call(7, "s-new__get_slowly", session))
            await asyncio.to_thread(until, lambda: "began" in server.events)
            await other.cancel(7, session)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(call), 0.5)
            await caller.cancel(7, session)
            await call

    asyncio.run(journey())


def test_a_servers_own_time_out_cancels_there_and_says_so(
    gate: Gatehouse, key: str, servers: dict[str, Talkative]
) -> None:
    gate.house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
    server = servers["new"]
    server.events.clear()
    with gate.house.browser() as http:
        page = http.get("/settings/integrations/s-new")
        form = {"call_seconds": "3", "csrf_token": token_in(page.text)}
        assert http.post("/settings/integrations/s-new/time-out", data=form).status_code == 200
        answer = gate.house.call(key, "s-new__get_slowly")["result"]
        assert answer["isError"] and answer["structuredContent"]["kind"] == "timeout"
        until(lambda: "cancelled" in server.events)
        form["call_seconds"] = ""
        assert http.post("/settings/integrations/s-new/time-out", data=form).status_code == 200


# --- asked


@pytest.mark.parametrize("era", ERAS)
def test_a_server_asks_a_person_through_a_program_of_the_handshake_era(
    gate: Gatehouse, key: str, server: Talkative, era: str
) -> None:
    async def journey() -> None:
        async with program(gate, key, "legacy") as it:
            assert await it.call(f"s-{era}__get_greeting") == "Hello, Ann!"
            assert it.asked == [f"s-{era} asks: Who?"]

    asyncio.run(journey())


@pytest.mark.parametrize("era", ERAS)
def test_a_server_asks_a_person_through_a_program_of_the_new_era(
    gate: Gatehouse, key: str, server: Talkative, era: str
) -> None:
    """A server of the handshake era waits meanwhile, and its program comes to whichever worker it likes."""

    async def journey() -> None:
        async with program(gate, key, "auto") as it:
            for number in range(1, 5):
                assert await it.call(f"s-{era}__get_greeting") == "Hello, Ann!"
                assert it.asked == [f"s-{era} asks: Who?"] * number

    asyncio.run(journey())


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_server_asks_the_model(gate: Gatehouse, key: str, mode: str) -> None:
    async def journey() -> None:
        async with program(gate, key, mode) as it:
            assert await it.call("s-old__get_opinion") == "It says so-so"

    asyncio.run(journey())


@pytest.mark.parametrize(
    ("mode", "name"), [("legacy", "s-old"), ("legacy", "s-new"), ("auto", "s-old"), ("auto", "s-new")]
)
def test_a_server_asks_for_the_folders(gate: Gatehouse, key: str, mode: str, name: str) -> None:
    async def journey() -> None:
        async with program(gate, key, mode) as it:
            assert await it.call(f"{name}__get_folders") == "file:///srv/notes"
            assert it.asked == ["folders"]

    asyncio.run(journey())


@pytest.mark.parametrize(("worker", "name"), [(0, "s-old"), (1, "s-old"), (1, "s-new")])
def test_an_answer_is_heard_by_the_worker_that_asked(
    gate: Gatehouse, key: str, servers: dict[str, Talkative], worker: int, name: str
) -> None:
    async def journey() -> None:
        async with agent(gate, key) as caller, agent(gate, key) as other:
            with gate.only(0):
                session = await caller.shake_hands(elicitation={})
                call = asyncio.create_task(caller.call(7, f"{name}__get_greeting", session))
                question = await asyncio.wait_for(caller.questions.get(), 60)
            assert question["method"] == "elicitation/create"
            assert question["params"]["message"] == f"{name} asks: Who?"
            with gate.only(worker):
                answer = {"action": "accept", "content": {"name": "Bo"}}
                reply = await other.post({"id": question["id"], "result": answer}, session)
                assert reply.status_code == 202
            assert "Hello, Bo!" in (await call).text

    asyncio.run(journey())


def test_nobody_answers_for_another_agent(gate: Gatehouse, key: str) -> None:
    stranger = gate.house.agent("meddler")

    async def journey() -> None:
        async with agent(gate, key) as caller, agent(gate, stranger) as other:
            session = await caller.shake_hands(elicitation={})
            call = asyncio.create_task(caller.call(7, "s-old__get_greeting", session))
            question = await asyncio.wait_for(caller.questions.get(), 60)
            answer = {"action": "accept", "content": {"name": "Mallory"}}
            await other.post({"id": question["id"], "result": answer}, session)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(call), 0.5)
            await caller.post({"id": question["id"], "error": {"code": -1, "message": "No."}}, session)
            text = (await call).text
            assert '"error":{"code":-1,"message":"No."}' in text and "Mallory" not in text

    asyncio.run(journey())


@pytest.mark.parametrize(("mode", "name"), [
    ("legacy", "s-old__get_greeting"), ("legacy", "s-new__get_greeting"), ("legacy", "s-old__get_opinion"),
    ("auto", "s-old__get_greeting"), ("auto", "s-new__get_opinion"),
    ("legacy", "s-old__get_folders"), ("legacy", "s-new__get_folders"), ("auto", "s-old__get_folders"),
    ("auto", "s-new__get_folders"),
])  # fmt: skip
def test_who_can_not_be_asked_hears_so(gate: Gatehouse, key: str, mode: str, name: str) -> None:
    async def journey() -> None:
        async with program(gate, key, mode, able=False) as it:
            try:
                result = await it.client.call_tool(name, {})
                assert result.is_error
            except MCPError as refusal:
                assert refusal.error.code < 0

    asyncio.run(asyncio.wait_for(journey(), 60))


# --- logs


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("level", "lines"), [("debug", 3), ("info", 2), ("error", 1), ("emergency", 0)])
def test_logs_come_from_the_level_that_was_set(
    gate: Gatehouse, key: str, era: str, level: Any, lines: int
) -> None:
    async def journey() -> None:
        async with program(gate, key, "legacy") as it:
            await it.client.set_logging_level(level)
            await it.call(f"s-{era}__get_with_logs")
            assert len(it.logs) == lines

    asyncio.run(journey())


@pytest.mark.parametrize("era", ERAS)
def test_who_set_no_level_gets_what_servers_send_by_themselves(gate: Gatehouse, key: str, era: str) -> None:
    async def journey() -> None:
        async with program(gate, key, "legacy") as it:
            await it.call(f"s-{era}__get_with_logs")
            assert len(it.logs) == (2 if era == "old" else 0)

    asyncio.run(journey())


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("level", "lines"), [("debug", 3), ("error", 1), (None, 0)])
def test_the_new_era_says_the_level_with_each_call(
    gate: Gatehouse, key: str, era: str, level: Any, lines: int
) -> None:
    async def journey() -> None:
        async with program(gate, key, "auto") as it:
            meta = {"io.modelcontextprotocol/logLevel": level} if level else None
            await it.client.call_tool(f"s-{era}__get_with_logs", {}, meta=meta)
            assert len(it.logs) == lines

    asyncio.run(journey())


@pytest.mark.parametrize("level", ["loud", "", None, 5])
def test_a_level_that_there_is_not_is_refused(gate: Gatehouse, key: str, level: Any) -> None:
    answer = gate.house.post(
        {"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": {"level": level}}, key
    )
    assert answer.json()["error"]["code"] == -32602


# --- an agent's program, by hand


@dataclass
class Agent:
    url: str
    http: httpx2.AsyncClient
    questions: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    async def shake_hands(self, **capabilities: Any) -> str:
        about = {"name": "by hand", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": about}
        reply = await self.post({"id": 1, "method": "initialize", "params": params}, "")
        return str(reply.headers["mcp-session-id"])

    async def cancel(self, id: object, session: str) -> None:
        reply = await self.post({"method": "notifications/cancelled", "params": {"requestId": id}}, session)
        assert reply.status_code == 202

    async def call(self, id: int, name: str, session: str) -> httpx2.Response:
        """Whole; questions that come before the answer are put into the queue."""
        params = {"name": name, "arguments": {}, "_meta": {"progressToken": "t"}}
        message = {"id": id, "method": "tools/call", "params": params}
        return await self.post(message, session, asks=True)

    async def post(self, message: dict[str, Any], session: str, *, asks: bool = False) -> httpx2.Response:
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        headers |= {"mcp-session-id": session} if session else {}
        body = {"jsonrpc": "2.0"} | message
        async with self.http.stream("POST", self.url, json=body, headers=headers) as reply:
            text = ""
            async for chunk in reply.aiter_text():
                text += chunk
                if asks and text.endswith("\n\n") and '"method":"elicitation' in chunk:
                    await self.questions.put(httpx2.Response(200, text=chunk[chunk.index("{") :]).json())
            return httpx2.Response(reply.status_code, headers=reply.headers, text=text)


@asynccontextmanager
async def agent(gate: Gatehouse, key: str) -> AsyncIterator[Agent]:
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
        yield Agent(f"{gate.url}/mcp", http)
