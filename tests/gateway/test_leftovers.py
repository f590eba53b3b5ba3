"""What a worker keeps of a call once its answer has left: nothing, whatever the garbage collector does."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.gateway.test_odd_servers import answering, hangs_up, raw, serving
from tests.house import House
from tests.load.faults import FINE
from tests.services.farm import Farm, farm
from tests.upstream.zoo import Animal, Answer, always, begin_stream, event
from tests.waiting import until

OF_A_CALL = ("protocol.Request", "stream.EventStream", "call.Call", "exchange.Reply", "wire._Connection")


@pytest.fixture(scope="module")
def odd(house: House) -> Iterator[Farm]:
    with farm() as servers:
        servers.put(serving(answering(FINE)))
        house.run("add-server", servers.url(), "--name", "odd", "--allow-private")
        yield servers


@contextmanager
def nothing_left() -> Iterator[None]:
    """Of what happens in it. A connection more is kept for half a minute."""
    gc.collect()
    gc.disable()
    try:
        before = left()
        yield
        until(lambda: not left() - before, "the worker lets go of what it knew")
    finally:
        gc.enable()


async def streams(ask: Any) -> None:
    await begin_stream(ask)
    for step in range(3):
        params = {"progressToken": ask.message["params"]["_meta"]["progressToken"], "progress": step}
        message = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        await ask.write(event(message))
    await ask.write(event({"jsonrpc": "2.0", "id": ask.message["id"], "result": FINE}))
    await ask.hang_up()


BEHAVIOURS: dict[str, Animal] = {
    "in order": answering(FINE),
    "a tool's error": answering(FINE | {"isError": True}),
    "a JSON-RPC error": raw('"error":{"code":-32050,"message":"no such ticket"}'),
    "half an answer": raw('"result":{"content":['),
    "no result": raw('"result":5'),
    "progress": streams,
    "hangs up": hangs_up,
    "refused at the door": always(Answer(401, b"", {"www-authenticate": "Bearer"})),
    "a web page": always(Answer(200, b"<!doctype html>", {"content-type": "text/html"})),
    "out of order": always(Answer(503, b"", {})),
}


def left() -> Counter[str]:
    kinds = Counter(map(type, gc.get_objects()))
    names = {f"{kind.__module__}.{kind.__name__}": many for kind, many in kinds.items()}
    return Counter({name: many for name, many in names.items() if name.endswith(OF_A_CALL)})


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_nothing_of_a_call_is_left(house: House, odd: Farm, key: str, behaviour: str) -> None:
    odd.put(serving(answering(FINE)))
    house.call(key, "odd__get_thing")  # or too many failures in a row would open its circuit
    odd.put(serving(BEHAVIOURS[behaviour]))
    with nothing_left():
        for id in range(3):
            params = {"name": "odd__get_thing", "arguments": {}, "_meta": {"progressToken": id}}
            house.post({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}, key)


@pytest.mark.parametrize("name", ["desk__add_ticket_note", "nowhere__get_thing", "gatehouse__my_approvals"])
def test_nothing_is_left_of_a_call_that_no_server_gets(house: House, key: str, name: str) -> None:
    with nothing_left():
        for id in range(3):
            house.call(key, name, {"ticket_id": f"T-{id}", "text": "x"}, id=id)
