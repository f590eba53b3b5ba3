"""The official clients as agents: Python's SDK, both of TypeScript's and the Inspector's command line, in both eras.

All go at once. Each lists the tools and calls three: one that is Auto, one that needs approval, one that is Disabled.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from mcp import MCPError

from tests.house import House, last_message, token_in
from tests.serving import NODE_MODULES, node

Calls = dict[str, dict[str, Any]]
SERVER = "official"
READ, WRITE, OFF = "get-structured-content", "trigger-long-running-operation", "get-sum"
INSPECTOR = NODE_MODULES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
SESSION = Path(__file__).parent / "session.mjs"
PATIENCE_SECONDS = 240.0


def calls(seconds: float) -> Calls:
    """In turn. `seconds` is how long the write takes, and tells those of several clients apart."""
    return {
        "read": {"name": f"{SERVER}__{READ}", "arguments": {"location": "Chicago"}},
        "off": {"name": f"{SERVER}__{OFF}", "arguments": {"a": 1, "b": 2}},
        "write": {"name": f"{SERVER}__{WRITE}", "arguments": {"duration": seconds, "steps": 2}},
    }


@dataclass
class Seen:
    """What a client came to see. `answers` by the name of the call; `progress` of the one that was approved."""

    tools: list[dict[str, Any]]
    answers: dict[str, dict[str, Any]]
    version: str = ""
    progress: list[dict[str, Any]] = field(default_factory=list)


Session = Callable[[House, str, Calls], Seen]


def python(mode: str) -> Session:
    async def session(house: House, key: str, calls: Calls) -> Seen:
        progress: list[dict[str, Any]] = []

        async def note(done: float, total: float | None, message: str | None) -> None:
            progress.append({"progress": done, "total": total, "message": message})

        async def answer(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            try:
                return plain(await client.call_tool(name, arguments, progress_callback=note))
            except MCPError as error:
                return {"code": error.error.code, "thrown": str(error)}

        async with house.client(key, mode=mode) as client:
            tools = [plain(tool) for tool in (await client.list_tools()).tools]
            answers = {kind: await answer(**call) for kind, call in calls.items()}
            return Seen(tools, answers, client.protocol_version, progress)

    return lambda house, key, calls: asyncio.run(session(house, key, calls))


def typescript(sdk: str, mode: str) -> Session:
    def session(house: House, key: str, calls: Calls) -> Seen:
        told = ran(str(SESSION), sdk, f"{house.url}/mcp", key, mode, json.dumps(calls))
        answers = {kind: answer.get("result", answer) for kind, answer in told["answers"].items()}
        return Seen(told["tools"], answers, told["version"], told["answers"]["write"]["progress"])

    return session


def inspector(era: str) -> Session:
    """Each request is a program of its own, which neither tells the version nor shows progress."""

    def session(house: House, key: str, calls: Calls) -> Seen:
        def do(method: str, *options: str) -> dict[str, Any]:
            answer = ran(
                str(INSPECTOR), "--cli", f"{house.url}/mcp", "--transport", "http", "--protocol-era", era,
                "--header", f"Authorization: Bearer {key}", "--format", "json", "--method", method, *options,
            )  # fmt: skip
            found: dict[str, Any] = answer.get("result", answer)
            return found

        def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return do("tools/call", "--tool-name", name, "--tool-args-json", json.dumps(arguments))

        return Seen(do("tools/list")["tools"], {kind: call(**one) for kind, one in calls.items()})

    return session


def ran(*command: str) -> dict[str, Any]:
    """What a Node program said, also where it ended with an error. What it leaves at home is gone with it."""
    with TemporaryDirectory() as home:
        done = subprocess.run(
            [node(), *command], env=os.environ | {"HOME": home}, capture_output=True, text=True,
            timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout or done.stderr)
    return said


def plain(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found


CLIENTS: dict[str, Session] = {
    "python, handshake": python("legacy"),
    "python, modern": python("auto"),
    "typescript 1, handshake": typescript("1", "legacy"),
    "typescript 2, handshake": typescript("2", "legacy"),
    "typescript 2, modern": typescript("2", "auto"),
    "inspector, handshake": inspector("legacy"),
    "inspector, modern": inspector("modern"),
}
# How long each one's write takes.
SECONDS = {name: round(0.4 + number / 100, 2) for number, name in enumerate(CLIENTS)}
of_each_client = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture(scope="module")
def agent(house: House) -> str:
    return house.agent("official clients")


@pytest.fixture(scope="module")
def seen(house: House, agent: str, everything_url: str) -> Iterator[dict[str, Seen]]:
    """By client."""
    house.run("add-server", everything_url, "--name", SERVER, "--allow-private")
    house.run("set-policy", f"mcp:{SERVER}:{OFF}", "disabled")
    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        running = {
            name: pool.submit(run, house, agent, calls(SECONDS[name])) for name, run in CLIENTS.items()
        }
        assert approve_each(house, agent, list(running.values())) == len(CLIENTS)
        yield {name: one.result() for name, one in running.items()}


def approve_each(house: House, agent: str, running: list[Future[Seen]]) -> int:
    """What waits, as Ann approves it, until every client has what it wanted. How many calls that were."""
    approved = 0
    with house.browser() as browser:
        token = token_in(browser.get("/approvals").text)
        while wait(running, 0.3, FIRST_EXCEPTION).not_done and not any(failed(one) for one in running):
            for approval in waiting(house, agent):
                form = {"decision": "approve", "csrf_token": token}
                assert browser.post(f"/approvals/{approval}/decision", data=form).status_code == 200
                approved += 1
    return approved


def failed(one: Future[Seen]) -> bool:
    return one.done() and one.exception() is not None


def waiting(house: House, agent: str) -> list[str]:
    mine = house.call(agent, "gatehouse__my_approvals")["result"]["structuredContent"]["approvals"]
    return [row["approval_id"] for row in mine if row["status"] == "waiting"]


@of_each_client
def test_it_lists_the_tools_that_it_may_call(
    house: House, agent: str, seen: dict[str, Seen], client: str
) -> None:
    """As they are; `execution` was in 2025-11-25 only, and newer programs drop it."""
    raw = last_message(house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, agent))
    listed = {tool["name"]: tool | {"execution": ...} for tool in seen[client].tools}
    assert listed == {tool["name"]: tool | {"execution": ...} for tool in raw["result"]["tools"]}
    assert "outputSchema" in listed[f"{SERVER}__{READ}"]
    assert f"{SERVER}__{OFF}" not in listed


@of_each_client
def test_it_reads_at_once_and_takes_the_structured_content(seen: dict[str, Seen], client: str) -> None:
    answer = seen[client].answers["read"]
    assert answer["structuredContent"]["temperature"] == 36
    assert json.loads(answer["content"][0]["text"]) == answer["structuredContent"]


@of_each_client
def test_its_write_is_held_until_a_person_approves_and_then_answered(
    seen: dict[str, Seen], client: str
) -> None:
    answer = seen[client].answers["write"]
    assert not answer.get("isError"), answer
    done = f"Long running operation completed. Duration: {SECONDS[client]:g} seconds, Steps: 2."
    assert [block["text"] for block in answer["content"]] == [done]


@of_each_client
def test_what_is_disabled_is_refused(seen: dict[str, Seen], client: str) -> None:
    """The Inspector calls nothing that was not listed."""
    answer = seen[client].answers["off"]
    if "inspector" in client:
        assert answer["error"]["code"] == "tool_not_found"
    else:
        assert answer["code"] == -32602 and "Unknown tool" in answer["thrown"]


@pytest.mark.parametrize("client", [name for name in CLIENTS if "inspector" not in name])
def test_it_hears_of_progress_once_the_call_runs(seen: dict[str, Seen], client: str) -> None:
    """What it heard while it waited comes before, and progress never falls."""
    told = [one["progress"] for one in seen[client].progress]
    assert told == sorted(told) and len(told) >= 2
    first, last = seen[client].progress[-2:]
    assert last["progress"] == last["total"] == first["progress"] + 1


@of_each_client
def test_it_speaks_the_era_that_it_was_told_to(seen: dict[str, Seen], client: str) -> None:
    """Answers of 2026-07-28 name the server that gave them."""
    modern = client.endswith("modern")
    assert seen[client].version in ("2026-07-28" if modern else "2025-11-25", "")
    for kind in ("read", "write"):
        named = "io.modelcontextprotocol/serverInfo" in seen[client].answers[kind].get("_meta", {})
        assert named == modern
