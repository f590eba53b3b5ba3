"""A server of before 2026-07-28 asks back in the middle of a call of a newer program, with two workers: the program
comes again with the answers, to the worker where its call goes on or to the other."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.house import PASSWORD, last_message, modern_meta, token_in
from tests.serving import Gatehouse, alive, gatehouse
from tests.talkative import Talkative, talkative
from tests.waiting import until

MODERN = "2026-07-28"
META = modern_meta({"elicitation": {"form": {}}})
GREETING = "s-old__get_greeting"
BRIEF = "s-brief__get_greeting"  # of a server that is given three seconds for a call


@pytest.fixture(scope="module")
def server() -> Iterator[Talkative]:
    with talkative(era="old") as old:
        yield old


@pytest.fixture(scope="module")
def gate(server: Talkative, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    with gatehouse(tmp_path_factory.mktemp("dialogues"), HOLD_SECONDS=1) as running:
        house = running.house
        house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        for name in ("s-old", "s-brief"):
            house.run("add-server", server.url, "--name", name, "--allow-private")
        with house.browser() as http:
            page = "/settings/integrations/s-brief"
            form = {"call_seconds": "3", "csrf_token": token_in(http.get(page).text)}
            assert http.post(f"{page}/time-out", data=form).status_code == 200
        yield running


@pytest.fixture(scope="module")
def key(gate: Gatehouse) -> str:
    return gate.house.agent("claude")


@dataclass
class Program:
    """By hand, on one connection that stays with one worker."""

    http: httpx2.Client

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
        headers |= {"mcp-name": params["name"]} if "name" in params else {}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": META}}
        return last_message(self.http.post("/mcp", json=body, headers=headers))

    def call(self, name: str = GREETING, **more: Any) -> dict[str, Any]:
        return self.ask("tools/call", name=name, **({"arguments": {}} | more))


@contextmanager
def program(gate: Gatehouse, key: str, worker: int) -> Iterator[Program]:
    headers = {"authorization": f"Bearer {key}", "accept": "application/json, text/event-stream"}
    with httpx2.Client(base_url=gate.url, headers=headers, timeout=60, trust_env=False) as http:
        it = Program(http)
        with gate.only(worker):
            it.ask("server/discover")
        yield it


def answers(asked: dict[str, Any], **content: Any) -> dict[str, Any]:
    """What goes along with the call when it is made again."""
    (question,) = asked["result"]["inputRequests"]
    said = {"action": "accept", "content": content} if content else {"action": "decline"}
    return {"inputResponses": {question: said}, "requestState": asked["result"]["requestState"]}


def rows(gate: Gatehouse) -> list[dict[str, Any]]:
    return [row for row in gate.house.listed("activity", "--limit", "20") if row["kind"] == "call"]


def newest(gate: Gatehouse) -> str:
    return str(rows(gate)[0]["outcome"])


@pytest.mark.parametrize("worker", [0, 1])
def test_the_program_comes_again_to_either_worker(gate: Gatehouse, key: str, worker: int) -> None:
    before = len(rows(gate))
    with program(gate, key, 0) as first, program(gate, key, worker) as then:
        asked = first.call()
        (question,) = asked["result"]["inputRequests"].values()
        assert (asked["result"]["resultType"], question["method"]) == ("input_required", "elicitation/create")
        assert question["params"]["message"] == "s-old asks: Who?"
        answer = then.call(**answers(asked, name="Bo"))
        assert answer["result"]["content"][0]["text"] == "Hello, Bo!"
        assert answer["result"]["resultType"] == "complete"
    assert len(rows(gate)) == before + 1 and newest(gate) == "ok", "it is one call"


def test_somebody_declines(gate: Gatehouse, key: str) -> None:
    with program(gate, key, 0) as it:
        answer = it.call(**answers(it.call()))
        assert answer["result"]["content"][0]["text"] == "Nobody: decline"


def test_a_state_belongs_to_its_call_and_its_agent(gate: Gatehouse, key: str) -> None:
    stranger = gate.house.agent("stranger")
    with program(gate, key, 0) as it, program(gate, stranger, 0) as other:
        asked = it.call()
        again = answers(asked, name="Mallory")
        for refused in (
            other.call(**again),
            it.call(**again | {"arguments": {"x": 1}}),
            it.call("s-old__get_in_steps", **again),
        ):
            assert refused["error"]["code"] == -32602
        assert it.call(**answers(asked, name="Bo"))["result"]["content"][0]["text"] == "Hello, Bo!"


@pytest.mark.parametrize(
    "state", ["gatehouse-dialogue.", "gatehouse-dialogue.gAAAAA", "gatehouse-dialogue.é"]
)
def test_a_state_that_nobody_gave_is_refused(gate: Gatehouse, key: str, state: str) -> None:
    with program(gate, key, 0) as it:
        assert it.call(requestState=state)["error"]["code"] == -32602


@pytest.mark.parametrize("worker", [0, 1])
def test_a_program_that_hangs_up_when_it_came_again_takes_the_call_with_it(
    gate: Gatehouse, key: str, worker: int
) -> None:
    with program(gate, key, 0) as first, program(gate, key, worker) as then:
        before = len(rows(gate))
        state = first.call()["result"]["requestState"]
        then.http.timeout = httpx2.Timeout(2)
        with pytest.raises(httpx2.ReadTimeout):
            then.call(requestState=state)
        until(lambda: len(rows(gate)) == before + 1)
        assert newest(gate) == "cancelled"


def test_a_program_that_comes_too_late_hears_so(gate: Gatehouse, key: str) -> None:
    with program(gate, key, 0) as first, program(gate, key, 1) as then:
        before = len(rows(gate))
        asked = first.call(BRIEF)
        until(lambda: len(rows(gate)) == before + 1)
        assert newest(gate) == "failed"
        answer = then.call(BRIEF, **answers(asked, name="Bo"))["result"]
        assert answer["isError"] and answer["_meta"]["gatehouse/error"]["kind"] == "timeout"


def test_a_write_that_waits_for_approval_is_refused_what_it_asks(
    gate: Gatehouse, key: str, server: Talkative
) -> None:
    """Whoever approves it may be long after its program: the questions would find nobody."""
    with program(gate, key, 0) as it:
        waiting = it.call("s-old__delete_thing", arguments={"thing": "x"})
        assert "inputRequests" not in waiting["result"]
        assert not [event for event in server.events if event.startswith("deleted")]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_a_call_whose_worker_is_gone_is_not_waited_for_longer_than_it_could_take(
    gate: Gatehouse, key: str, sign: signal.Signals
) -> None:
    """The last test here: another worker takes its place."""
    with program(gate, key, 0) as first, program(gate, key, 1) as then:
        asked = first.call(BRIEF)
        first.http.close()
        os.kill(gone := gate.workers()[0], sign)
        until(lambda: not alive(gone))
        answer = then.call(BRIEF, **answers(asked, name="Bo"))["result"]
        assert answer["isError"] and answer["_meta"]["gatehouse/error"]["kind"] == "unknown_outcome"
