"""What an agent hears when it gets no result: which server, what kind, whether to retry, and no address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.test_odd_servers import answering, hangs_up, raw
from tests.house import House, modern_meta
from tests.services.farm import Farm, farm, tool
from tests.upstream.zoo import Animal, Answer, Ask, always, error, legacy, page
from webapp.services.agent_errors import ABOUT
from webapp.upstream.weight import MOST_VALUES

OUTPUT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture(scope="module")
def broken(house: House) -> Iterator[Farm]:
    """A server called `broken`: two tools that read, one of them with an output schema, and one that writes."""
    with farm() as servers:
        servers.put(serving(hangs_up))
        house.run("add-server", servers.url(), "--name", "broken", "--allow-private")
        house.run("set-policy", "mcp:broken:create_thing", "auto")
        yield servers


@pytest.fixture(autouse=True)
def calm(house: House, broken: Farm, key: str) -> None:
    """A good answer between the bad ones: a server that only fails would be left alone."""
    broken.put(serving(answering({"content": []})))
    assert house.call(key, "broken__get_thing")["result"] == {"content": []}


def serving(calls: Animal) -> Animal:
    tools = (tool("get_thing"), tool("get_number", outputSchema=OUTPUT), tool("create_thing"))
    return legacy(tools, tools_call=calls)


def failed(answer: dict[str, Any]) -> dict[str, Any]:
    """The facts of an answer that is an error; checks what must hold of every one."""
    result = answer["result"]
    assert result["isError"] and result["content"][0]["text"]
    said = json.dumps(result)
    assert "127.0.0.1" not in said and "Traceback" not in said and "http" not in said
    facts: dict[str, Any] = result["_meta"][ABOUT]
    return facts


async def limited(ask: Ask) -> Answer:
    return Answer(429, b"", {"retry-after": "17"})


async def huge(ask: Ask) -> None:
    await ask.write(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n")


REPLIES: dict[str, tuple[Animal, str, str, str]] = {
    # name: what the server does to a call; kind; whether a read, and a write, may be tried again
    "hangs up": (hangs_up, "unreachable", "later", "check_first"),
    "401": (always(Answer(401)), "auth", "no", "no"),
    "403": (always(Answer(403)), "auth", "no", "no"),
    "429": (limited, "server_busy", "later", "later"),
    "500": (always(Answer(500)), "upstream_error", "later", "check_first"),
    "a web page": (always(page()), "upstream_error", "later", "check_first"),
    "a redirect": (
        always(Answer(302, headers={"location": "http://elsewhere.test/"})),
        "upstream_error",
        "later",
        "check_first",
    ),  # fmt: skip
    "no JSON": (raw('"result":'), "upstream_error", "later", "check_first"),
    "no result": (raw('"result":[]'), "upstream_error", "later", "check_first"),
    "too large": (huge, "too_large", "no", "check_first"),
}


@pytest.mark.parametrize("reply", REPLIES)
def test_each_trouble_has_its_kind(house: House, broken: Farm, key: str, reply: str) -> None:
    animal, kind, read, write = REPLIES[reply]
    broken.put(serving(animal))
    for name, retry in (("get_thing", read), ("create_thing", write)):
        facts = failed(house.call(key, f"broken__{name}"))
        assert (facts["kind"], facts["retry"], facts["server"]) == (kind, retry, "broken")


def test_when_to_come_back_is_passed_on(house: House, broken: Farm, key: str) -> None:
    broken.put(serving(limited))
    assert failed(house.call(key, "broken__get_thing"))["retry_after_seconds"] == 17


def test_a_servers_own_errors_are_its_own(house: House, broken: Farm, key: str) -> None:
    async def refuses(ask: Ask) -> Answer:
        return error(ask, -32099, "no such ticket", {"id": 7})

    broken.put(serving(refuses))
    answer = house.call(key, "broken__get_thing")
    assert answer["error"] == {"code": -32099, "message": "no such ticket", "data": {"id": 7}}
    own = {"content": [{"type": "text", "text": "no such ticket"}], "isError": True}
    broken.put(serving(answering(own)))
    assert house.call(key, "broken__get_thing")["result"] == own


CODES = [
    (-32020, -32603, 200), (-32022, -32603, 200), (-32042, -32603, 200), (-32099, -32603, 200), (-32002, -32602, 400),
    (-32021, -32021, 400), (-32000, -32000, 200), (7, 7, 200), (True, -32603, 200), ("E7", -32603, 200),
]  # fmt: skip


@pytest.mark.parametrize(("said", "told", "status"), CODES)
def test_a_servers_words_about_its_own_conversation_are_none_about_the_agents(
    house: House, broken: Farm, key: str, said: Any, told: int, status: int
) -> None:
    """2026-07-28 reserves -32020 to -32099 and has given up -32002; other codes are the server's own."""

    async def refuses(ask: Ask) -> Answer:
        return error(ask, said, "no", {"id": 7})

    broken.put(serving(refuses))
    call = {"name": "broken__get_thing", "arguments": {}, "_meta": modern_meta()}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = {
        "mcp_protocol_version": "2026-07-28",
        "mcp_method": "tools/call",
        "mcp_name": "broken__get_thing",
    }
    reply = house.post(message, key, **headers)
    answer = reply.json()["error"]
    assert (answer["code"], answer["message"], answer["data"]["id"]) == (told, "no", 7)
    assert type(answer["code"]) is int and reply.status_code == status
    reserved = isinstance(said, int) and told == -32603 and said is not True
    assert answer["data"].get(ABOUT) == (
        {"kind": "upstream_error", "retry": "no", "code": said} if reserved else None
    )


def test_facts_are_structured_content_only_where_no_schema_forbids_it(
    house: House, broken: Farm, key: str
) -> None:
    broken.put(serving(hangs_up))
    free, promised = (house.call(key, f"broken__get_{name}")["result"] for name in ("thing", "number"))
    assert free["structuredContent"] == free["_meta"][ABOUT]
    assert "structuredContent" not in promised and promised["_meta"][ABOUT]["kind"] == "unreachable"


def test_so_is_the_word_that_a_person_must_decide(house: House, broken: Farm, key: str) -> None:
    house.run("set-policy", "mcp:broken:get_number", "approval")
    waits = house.call(key, "broken__get_number")["result"]
    house.run("set-policy", "mcp:broken:get_number", "auto")
    facts = waits["_meta"][ABOUT]
    assert (facts["kind"], facts["retry"]) == ("waiting", "wait") and "structuredContent" not in waits
    house.run("decide", facts["approval_id"], "deny")
    told = house.call(key, "gatehouse__await_approval", {"approval_id": facts["approval_id"]})["result"]
    assert told["structuredContent"] == told["_meta"][ABOUT]
    assert (told["_meta"][ABOUT]["kind"], told["_meta"][ABOUT]["retry"]) == ("denied", "no")


def test_what_is_not_offered_says_so(house: House, key: str) -> None:
    refusal = house.call(key, "broken__no_such_tool")["error"]
    assert refusal["code"] == -32602 and refusal["data"][ABOUT] == {"kind": "not_offered", "retry": "no"}


def test_a_request_that_is_too_large_says_how_large_it_may_be(house: House, key: str) -> None:
    reply = house.post({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "y" * 5_000_000}}, key)
    facts = reply.json()["error"]["data"][ABOUT]
    assert reply.status_code == 413 and facts["kind"] == "too_large"
    assert facts["limit_bytes"] == 4 * 1024 * 1024


def test_a_request_of_too_many_values_is_not_even_read(house: House, key: str) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": [0] * (MOST_VALUES + 1)}}
    reply = house.post(message, key)
    facts = reply.json()["error"]["data"][ABOUT]
    assert reply.status_code == 413 and facts == {
        "kind": "too_large", "retry": "no", "limit_values": MOST_VALUES,
    }  # fmt: skip


def test_without_a_key_there_is_a_kind_too(house: House) -> None:
    refusal = house.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, None).json()["error"]
    assert refusal["data"][ABOUT]["kind"] == "auth"
