"""A server that fails is left alone until it answers again; one that is asked much has its calls wait in line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.gateway.test_agent_errors import failed
from tests.gateway.test_odd_servers import hangs_up, serving
from tests.house import House, text_of
from tests.services.farm import Farm, farm
from tests.upstream.zoo import Answer, Ask, always, result
from tests.waiting import eventually, until
from webapp.errors import BadReply, EgressDenied, NeedsAuthorization, RpcError, Unreachable, UpstreamError
from webapp.gateway import circuit
from webapp.gateway.circuit import OPENS_AFTER, Circuit

GONE = Unreachable("It is gone.", kind="refused")


class Server:
    """What the circuit knows of a server; `up` is what a greeting finds."""

    def __init__(self) -> None:
        self.up, self.greeted, self.told = True, 0, list[str]()

    async def greet(self) -> None:
        self.greeted += 1
        if not self.up:
            raise GONE

    def opened(self, why: str) -> None:
        self.told.append(why)

    def closed(self) -> None:
        self.told.append("")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "FIRST_PAUSE", 0.01)


def around(server: Server, at_once: int = 2, patience: float = 0.05) -> Circuit:
    return Circuit("it", server, at_once=at_once, patience=patience)


async def fails(error: Exception = GONE) -> Any:
    raise error


async def works() -> str:
    return "fine"


async def failing(one: Circuit, times: int, error: Exception = GONE) -> None:
    for _ in range(times):
        with pytest.raises(type(error)):
            await one.run(lambda: fails(error))


def asked_while_open(one: Circuit) -> Unreachable:
    async def must_not_run() -> Any:
        raise AssertionError("it was asked")

    async def go() -> None:
        await one.run(must_not_run)

    coroutine = go()
    with pytest.raises(Unreachable) as caught:
        coroutine.send(None)
    return caught.value


def test_after_some_failures_in_a_row_nobody_is_sent_there(quick: None) -> None:
    async def go() -> None:
        server = Server()
        server.up = False
        one = around(server)
        await failing(one, OPENS_AFTER - 1)
        assert await one.run(works) == "fine"
        await failing(one, OPENS_AFTER - 1)
        assert not one.is_open, "one that worked lies between them"
        await failing(one, 1)
        refusal = asked_while_open(one)
        assert (refusal.kind, refusal.agent_kind, refusal.sent) == ("open", "unreachable", False)
        assert refusal.retry_after
        await eventually(lambda: server.greeted > 2)
        assert one.is_open and server.told == ["It is gone."]
        server.up = True
        await eventually(lambda: not one.is_open)
        assert await one.run(works) == "fine" and server.told == ["It is gone.", ""]

    asyncio.run(go())


@pytest.mark.parametrize("error", [
    RpcError({"code": -32000, "message": "no"}), NeedsAuthorization("no", http_status=401),
    Unreachable("429", kind="busy", sent=False), BadReply("large", kind="too_large"), BadReply("odd", kind="wrong_id"),
])  # fmt: skip
def test_an_answer_is_an_answer(error: UpstreamError) -> None:
    async def go() -> None:
        server = Server()
        one = around(server)
        await failing(one, 3 * OPENS_AFTER, error)
        assert not one.is_open and not server.told

    asyncio.run(go())


@pytest.mark.parametrize("error", [
    GONE, Unreachable("late", kind="read_timeout", sent=True), Unreachable("500", kind="busy", sent=True),
    BadReply("a page", kind="html"), BadReply("drips", kind="too_slow"),
])  # fmt: skip
def test_these_say_that_the_server_is_down(error: UpstreamError) -> None:
    async def go() -> None:
        one = around(Server())
        await failing(one, OPENS_AFTER, error)
        assert one.is_open
        one.close()

    asyncio.run(go())


def test_a_refusal_of_the_guard_is_no_failure_of_the_server() -> None:
    async def go() -> None:
        one = around(Server())
        await failing(one, OPENS_AFTER, EgressDenied("no", kind="private"))
        assert not one.is_open

    asyncio.run(go())


def test_agents_that_give_up_after_a_long_silence_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def given_up(one: Circuit) -> None:
        call = asyncio.create_task(one.run(asyncio.Event().wait))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait((call,))

    async def go() -> None:
        one = around(Server())
        for _ in range(OPENS_AFTER):
            await given_up(one)
        assert not one.is_open, "impatient agents say nothing about a server"
        monkeypatch.setattr(circuit, "LONG_SILENCE", 0.0)
        for _ in range(OPENS_AFTER):
            await given_up(one)
        assert one.is_open
        one.close()

    asyncio.run(go())


def test_so_many_at_once_and_the_next_wait_in_line() -> None:
    async def go() -> None:
        one, gate, under_way, most = around(Server()), asyncio.Event(), 0, 0

        async def call() -> str:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await gate.wait()
            under_way -= 1
            return "fine"

        calls = [asyncio.create_task(one.run(call)) for _ in range(6)]
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*calls) == ["fine"] * 6 and most == 2

    asyncio.run(go())


def test_who_waited_too_long_in_line_is_told_and_nothing_was_sent() -> None:
    async def go() -> None:
        one, gate = around(Server(), at_once=1), asyncio.Event()
        first = asyncio.create_task(one.run(gate.wait))
        await asyncio.sleep(0)
        with pytest.raises(Unreachable) as caught:
            await one.run(works)
        assert (caught.value.agent_kind, caught.value.sent) == ("server_busy", False)
        assert not one.is_open
        gate.set()
        await first
        assert await one.run(works) == "fine"

    asyncio.run(go())


def test_places_come_back_whatever_happens() -> None:
    async def go() -> None:
        one = around(Server(), at_once=1)

        async def cancelled(ask: Callable[[], Awaitable[Any]]) -> None:
            call = asyncio.create_task(one.run(ask))
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait((call,))

        await failing(one, 2)
        await cancelled(asyncio.Event().wait)
        with pytest.raises(ZeroDivisionError):
            await one.run(lambda: fails(ZeroDivisionError()))
        assert await one.run(works) == "fine"

    asyncio.run(go())


# --- from outside


@pytest.fixture(scope="module")
def flaky(house: House) -> Iterator[Farm]:
    with farm() as servers:
        servers.put(serving(fine))
        house.run("add-server", servers.url(), "--name", "flaky", "--allow-private")
        house.run("set-policy", "mcp:flaky:create_thing", "auto")
        yield servers


async def fine(ask: Ask) -> Answer:
    return result(ask, {"content": [{"type": "text", "text": "fine"}]})


def state(house: House) -> str:
    return str(next(row["state"] for row in house.listed("servers") if row["name"] == "flaky"))


def page(house: House) -> str:
    with house.browser() as http:
        return http.get("/settings/integrations/flaky").text


def test_people_and_agents_are_told_and_it_comes_back_by_itself(house: House, flaky: Farm, key: str) -> None:
    flaky.put(hangs_up)  # also at a greeting, else it would be back in a second
    for _ in range(OPENS_AFTER):
        failed(house.call(key, "flaky__get_thing"))
    until(lambda: state(house) == "unreachable")
    down = flaky.put(always(Answer(503)))
    asked = len(flaky.zoo.asked)
    for tool in ("get_thing", "create_thing"):
        answer = house.call(key, f"flaky__{tool}")
        facts = failed(answer)
        assert (facts["kind"], facts["retry"], facts["server"]) == ("unreachable", "later", "flaky")
        assert facts["retry_after_seconds"] >= 1 and "did not run" in text_of(answer)
    assert not [ask for ask in flaky.zoo.asked[asked:] if ask.rpc == "tools/call"]
    shown = page(house)
    assert "Unreachable" in shown and "closed the connection" in shown and "Sync now" in shown
    assert down
    flaky.put(serving(fine))
    until(lambda: state(house) == "connected")
    assert text_of(house.call(key, "flaky__get_thing")) == "fine"
    rows = house.listed("activity", "--tool", "mcp:flaky:create_thing", "--limit", "1")
    assert rows[0]["outcome"] == "failed", "nothing is in doubt"


def test_other_servers_are_not_concerned(house: House, flaky: Farm, key: str) -> None:
    flaky.put(hangs_up)  # also at a greeting, else it would be back in a second
    for _ in range(OPENS_AFTER):
        failed(house.call(key, "flaky__get_thing"))
    assert not house.call(key, "desk__list_tickets")["result"].get("isError")
    flaky.put(serving(fine))
    until(lambda: state(house) == "connected")


def test_a_sync_that_reaches_it_closes_the_circuit_too(house: House, flaky: Farm, key: str) -> None:
    """The greeting alone would let calls wait: the server does not know it."""
    flaky.put(hangs_up)  # also at a greeting, else it would be back in a second
    for _ in range(OPENS_AFTER):
        failed(house.call(key, "flaky__get_thing"))
    until(lambda: state(house) == "unreachable")
    flaky.put(serving(fine))
    house.run("sync", "flaky")
    assert state(house) == "connected"

    def answered() -> bool:
        return "isError" not in house.call(key, "flaky__get_thing")["result"]

    until(answered)
