"""Workers that stand still for longer than the others wait: what they had claimed runs once, by one of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from config import Config
from tests.gateway.test_approvals import ask, fetched
from tests.gateway.test_calls import done
from tests.gateway.test_odd_servers import serving
from tests.house import House, text_of
from tests.services.farm import farm
from tests.upstream.zoo import Answer, Ask, result
from tests.waiting import until
from webapp.gateway.calls import Calls
from webapp.gateway.catalogue import Catalogues
from webapp.services import approvals, intents
from webapp.services.audit import COMMAND, Actor, Row
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Approval, Entry, Worker
from webapp.store.writer import Writer

LONG_AGO = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def empty_inbox(house: House) -> None:
    for row in house.listed("approvals"):
        house.run("decide", row["id"], "deny")


@pytest.fixture
def fresh(house: House, request: pytest.FixtureRequest) -> str:
    return house.agent(f"agent {request.node.name}"[:60])


def claimed_by(house: House, worker: str, approval: str) -> Approval:
    """As a worker of its own would have it that was stopped right after its claim."""

    def work() -> Approval:
        with writing():
            intents.beat(worker)
        approvals.decide(approval, "approve", COMMAND)
        with writing():
            claimed = approvals.claim(approval, worker)
        assert claimed
        return claimed

    return house.do(work)


def taken_for_dead(house: House, worker: str) -> None:
    """Its beat is old, so that the running program settles what it left."""

    def work() -> None:
        Worker.update(seen_at=now() - LONG_AGO).where(Worker.id == worker).execute()

    house.do(work)
    until(lambda: house.do(lambda: Worker.get_or_none(Worker.id == worker)) is None)


def in_a_worker(worker: str, work: Any) -> None:
    """Run `work(calls)` as that worker would, on an event loop of its own."""

    async def live() -> None:
        writer = Writer()
        writer.start()
        calls = Calls(Config(), Catalogues(), writer, worker, lambda _: None)
        try:
            await work(calls)
        finally:
            await calls.close()
            writer.stop()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(live())).result()


def test_what_a_stalled_worker_had_claimed_runs_once(house: House, practice: str, fresh: str) -> None:
    approval = ask(house, fresh)
    stalled = claimed_by(house, "stalled", approval)
    taken_for_dead(house, "stalled")
    until(lambda: done(practice, "add_ticket_note") == 1)

    def goes_on(calls: Calls) -> Coroutine[Any, Any, None]:
        return calls.approvals._run_claimed(stalled)

    in_a_worker("stalled", goes_on)
    assert done(practice, "add_ticket_note") == 1
    assert not fetched(house, fresh).get("isError")
    rows = house.do(lambda: [r.outcome for r in Entry.select().where(Entry.approval == approval)])
    assert rows.count("ok") == 2 and len(rows) == 3  # waiting, the decision, the run


def test_what_a_woken_worker_leaves_when_it_dies_is_settled_too(house: House, fresh: str) -> None:
    """It was taken for dead, so its name was not among the living, and it died before its next beat."""
    row = Row("call", Actor("agent", "woken"), "call", "desk", "mcp:desk:add_ticket_note", outcome="unknown")

    def left() -> None:
        with writing():
            intents.add("of a woken worker", "woken", row)

    house.do(left)
    taken_for_dead(house, "woken")
    assert house.listed("intents") == []
    assert [r["outcome"] for r in house.listed("activity") if r["actor"] == "woken"] == ["unknown"]


def test_what_a_woken_worker_claims_is_found_when_it_dies(house: House, practice: str, fresh: str) -> None:
    approval = ask(house, fresh)
    house.do(lambda: approvals.decide(approval, "approve", COMMAND))
    in_a_worker("woken again", lambda calls: calls.clerk.write(lambda: calls.approvals._claim(approval)))
    taken_for_dead(house, "woken again")
    until(lambda: house.do(lambda: approvals.get(approval).state) == "done")
    assert done(practice, "add_ticket_note") == 1


def test_an_approved_call_whose_arguments_cannot_be_opened_ends(house: House, fresh: str) -> None:
    approval = ask(house, fresh)
    house.do(lambda: Approval.update(arguments=b"spoilt").where(Approval.id == approval).execute())
    house.do(lambda: approvals.decide(approval, "approve", COMMAND))
    until(lambda: house.do(lambda: approvals.get(approval).state) == "failed")
    assert "not run" in str(fetched(house, fresh))


def test_a_call_that_is_running_is_not_said_to_wait(house: House, fresh: str) -> None:
    goes_on = threading.Event()

    async def slowly(ask: Ask) -> Answer:
        await asyncio.to_thread(goes_on.wait, 60)
        return result(ask, {"content": []})

    with farm() as servers:
        servers.put(serving(slowly))
        house.run("add-server", servers.url(), "--name", "slow", "--allow-private")
        approval = ask(house, fresh, "slow__create_thing", {})
        house.run("decide", approval, "approve")
        until(lambda: house.do(lambda: approvals.get(approval).state) == "running")
        answer = house.call(fresh, "gatehouse__await_approval", {"approval_id": approval, "wait_seconds": 0})
        goes_on.set()
        assert answer["result"]["structuredContent"]["status"] == "running"
        assert "not run" not in text_of(answer) and "do not" in text_of(answer).lower()
        assert not fetched(house, fresh, "slow__create_thing", {}).get("isError")
        house.run("disconnect", "slow")
