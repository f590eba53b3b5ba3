"""How much one agent may call: over all workers, at once, and how long it holds the line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.test_agent_errors import failed
from tests.gateway.test_odd_servers import answering, serving
from tests.house import PASSWORD, House, text_of, token_in
from tests.keys import AGENTS
from tests.services.farm import Farm, farm
from tests.serving import Gatehouse, gatehouse
from tests.upstream.zoo import Answer, Ask, result
from tests.waiting import until
from webapp.gateway.holding import Guest
from webapp.gateway.waiting import WaitingRoom
from webapp.services import quotas
from webapp.services.quotas import Block
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, Approval

BOTH = (0, 1)
LIMIT = 30


@pytest.fixture(scope="module")
def server() -> Iterator[Farm]:
    with farm() as servers:
        servers.put(serving(answering({"content": []})))
        yield servers


@pytest.fixture
def gate(server: Farm, tmp_path: Path) -> Iterator[Gatehouse]:
    with gatehouse(tmp_path, CALLS_PER_MINUTE=LIMIT) as running:
        house = running.house
        house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        house.run("add-server", server.url(), "--name", "odd", "--allow-private")
        yield running


@pytest.fixture(scope="module")
def odd(house: House, server: Farm) -> Farm:
    house.run("add-server", server.url(), "--name", "odd", "--allow-private")
    return server


def calls(server: Farm) -> int:
    return sum(ask.message.get("method") == "tools/call" for ask in server.zoo.asked)


def many(house: House, key: str, times: int, tool: str = "odd__get_thing") -> list[dict[str, Any]]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda _: house.call(key, tool), range(times)))


def is_refused(answer: dict[str, Any]) -> bool:
    """With everything that a program needs to know."""
    if not answer.get("result", {}).get("isError"):
        return False
    facts = failed(answer)
    assert (facts["kind"], facts["retry"]) == ("rate_limited", "later")
    assert 0 < facts["retry_after_seconds"] <= 60
    return True


def typed(house: House, agent: int, **quota: str) -> int:
    """Saved on the agent's page; the status of the answer."""
    path = f"{AGENTS}/{agent}"
    with house.browser() as http:
        form = {"csrf_token": token_in(http.get(path).text)} | quota
        return http.post(f"{path}/quota", data=form).status_code


def test_calls_a_minute_are_counted_over_both_workers(gate: Gatehouse, server: Farm) -> None:
    house, before = gate.house, calls(server)
    key, other = house.agent("claude"), house.agent("other")
    answers = many(house, key, 3 * LIMIT)
    assert sum(map(is_refused, answers)) == 2 * LIMIT
    assert calls(server) - before == LIMIT, "what was refused has not run"
    for worker in BOTH:
        with gate.only(worker):
            assert is_refused(house.call(key, "odd__get_thing")), worker
            assert not is_refused(house.call(other, "odd__get_thing")), "each agent has its own"
    assert typed(house, 1, calls_per_minute=str(LIMIT + 2)) == 200
    for refused in (False, True):
        for worker in BOTH:
            with gate.only(worker):
                assert is_refused(house.call(key, "odd__get_thing")) == refused, worker
    assert typed(house, 1, calls_per_minute="0") == 200
    assert not any(map(is_refused, many(house, key, 2 * LIMIT)))


def test_a_flood_of_refused_calls_is_on_record_and_does_not_flood_the_log(gate: Gatehouse) -> None:
    house, refused = gate.house, 4 * LIMIT
    key = house.agent("claude")
    # Unknown tools count as well: whoever guesses names is no faster.
    assert sum(map(is_refused, many(house, key, LIMIT + refused, "odd__guessed"))) == refused

    def rows() -> list[dict[str, Any]]:
        found = house.listed("activity", "--limit", "1000")
        return [row for row in found if "may make in a minute" in str(row["details"])]

    assert 1 <= len(rows()) <= 2, "one for each worker"
    gate.stop()
    assert len(rows()) <= 4
    assert sum(row["details"].get("times", 1) for row in rows()) == refused


def test_calls_at_once_are_limited_and_those_that_wait_for_a_person_do_not_count(
    house: House, odd: Farm
) -> None:
    gate, reached = threading.Event(), threading.Semaphore(0)

    async def gated(ask: Ask) -> Answer:
        reached.release()
        await asyncio.to_thread(gate.wait, 60)
        return result(ask, {"content": []})

    key = limited(house, "narrow", calls_at_once=2)
    before = calls(odd)
    odd.put(serving(gated))
    house.run("set-policy", "mcp:odd:create_thing", "approval")
    with ThreadPoolExecutor(4) as pool:
        try:
            assert "Waiting" in text_of(house.call(key, "odd__create_thing"))
            running = [pool.submit(house.call, key, "odd__get_thing") for _ in range(2)]
            assert all(reached.acquire(timeout=60) for _ in running)
            third = house.call(key, "odd__get_thing")
            assert is_refused(third) and "2 calls under way" in text_of(third)
            assert calls(odd) - before == 2, "it has not run"
            gate.set()
            assert not any(is_refused(one.result()) for one in running)
        finally:
            gate.set()
    assert not is_refused(house.call(key, "odd__get_thing"))
    assert "2 calls under way" in str(house.listed("activity", "--limit", "20"))


def limited(house: House, name: str, **quota: int) -> str:
    key = house.agent(name)
    forms = {name: str(value) for name, value in quota.items()}
    assert typed(house, house.do(lambda: Agent.get(Agent.name == name).id), **forms) == 200
    return key


def test_an_agent_that_holds_the_line_for_longer_gets_its_answer_in_the_same_call(
    house: House, odd: Farm
) -> None:
    odd.put(serving(answering({"content": [{"type": "text", "text": "made"}]})))
    house.run("set-policy", "mcp:odd:create_thing", "approval")
    key = limited(house, "patient", hold_seconds=40)

    def waits() -> Approval | None:
        mine = (Approval.agent_name == "patient") & (
            Approval.agent_waits_until > now() + timedelta(seconds=20)
        )
        found: Approval | None = Approval.get_or_none(mine)
        return found

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(house.call, key, "odd__create_thing")
        until(lambda: house.do(waits))
        approval = house.do(waits)
        assert approval is not None
        house.run("decide", approval.id, "approve")
        assert text_of(answer.result()) == "made"


def test_an_agent_need_not_hold_the_line_at_all(
    house: House, odd: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, wait = list[float](), WaitingRoom.wait

    async def noted(room: WaitingRoom, approval_id: str, guest: Guest, seconds: float) -> None:
        held.append(seconds)
        await wait(room, approval_id, guest, seconds)

    monkeypatch.setattr(WaitingRoom, "wait", noted)
    house.run("set-policy", "mcp:odd:create_thing", "approval")
    assert "Waiting" in text_of(house.call(limited(house, "hasty", hold_seconds=0), "odd__create_thing"))
    assert held == [0]


def test_the_minute_rolls_and_what_was_not_used_goes_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.agent("counted")
    moment = now()
    monkeypatch.setattr(quotas, "now", lambda: moment)

    def reserve(wanted: int, unused: Block = Block()) -> Block:  # noqa: B008 - frozen
        agent = Agent.get(Agent.name == "counted")
        with writing():
            return quotas.reserve(agent.id, 10, wanted, unused)

    def journey() -> None:
        nonlocal moment
        first = reserve(6)
        assert first.calls == 6
        moment += timedelta(seconds=20)
        assert reserve(6).calls == 4
        assert reserve(1) == Block(wait=40)
        assert reserve(3, Block(first.id, 2)).calls == 2, "two of the first were not used"
        moment += timedelta(seconds=40)
        assert reserve(9).calls == 4, "the first minute is over, the second is not"
        moment -= timedelta(days=1)
        assert reserve(9).calls == 9, "a clock that was set back locks nobody out"

    house.do(journey)
