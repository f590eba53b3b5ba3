"""Servers that hang up, answer nonsense or say what no log can hold: the call is on record, in true words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.house import House, text_of
from tests.services.farm import Farm, farm, tool
from tests.upstream.zoo import Animal, Answer, Ask, error, legacy, result

LONE = "\ud800"


@pytest.fixture(scope="module")
def odd(house: House) -> Iterator[Farm]:
    """A server called `odd` with a tool that reads and one that writes; what it answers is put in later."""
    with farm() as servers:
        servers.put(serving(hangs_up))
        house.run("add-server", servers.url(), "--name", "odd", "--allow-private")
        house.run("set-policy", "mcp:odd:create_thing", "auto")
        yield servers


def serving(calls: Animal) -> Animal:
    return legacy((tool("get_thing"), tool("create_thing")), tools_call=calls)


async def hangs_up(ask: Ask) -> Answer | None:
    await ask.hang_up()
    return None


def answering(value: Any) -> Animal:
    async def animal(ask: Ask) -> Answer:
        return result(ask, value)

    return animal


def raw(body: str) -> Animal:
    """An answer whose result or error is written down as it is."""

    async def animal(ask: Ask) -> Answer:
        text = f'{{"jsonrpc":"2.0","id":{ask.message["id"]},{body}}}'
        return Answer(200, text.encode("utf-8", "surrogatepass"), {"content-type": "application/json"})

    return animal


def last(house: House) -> dict[str, Any]:
    return house.listed("activity", "--limit", "1")[0]


def test_a_write_without_an_answer_has_an_unknown_outcome(house: House, odd: Farm, key: str) -> None:
    odd.put(serving(hangs_up))
    assert "may have run" in text_of(house.call(key, "odd__create_thing"))
    assert last(house)["outcome"] == "unknown"


def test_a_read_without_an_answer_has_failed(house: House, odd: Farm, key: str) -> None:
    odd.put(serving(hangs_up))
    text = text_of(house.call(key, "odd__get_thing"))
    assert "try again" in text and "did not run" not in text
    assert last(house)["outcome"] == "failed"


def test_a_refused_sign_in_ran_nothing(house: House, odd: Farm, key: str) -> None:
    async def refuses(ask: Ask) -> Answer:
        return Answer(401)

    odd.put(serving(refuses))
    assert "did not run" in text_of(house.call(key, "odd__create_thing"))
    assert last(house)["outcome"] != "unknown"


@pytest.mark.parametrize("meta", [[1], "text", 7, True])
def test_an_odd_envelope_is_left_off(house: House, odd: Farm, key: str, meta: Any) -> None:
    odd.put(serving(answering({"content": [{"type": "text", "text": "fine"}], "_meta": meta})))
    assert text_of(house.call(key, "odd__get_thing")) == "fine"


def marked(ask: Ask) -> Answer:
    text = f'{{"jsonrpc":"2.0","id":{ask.message["id"]},"result":{{"content":[{{"type":"text","text":"grün"}}]}}}}'
    return Answer(200, text.encode("utf-8-sig"), {"content-type": "application/json"})


def marked_events(ask: Ask) -> Answer:
    data = b"\xef\xbb\xbfdata: " + marked(ask).body.removeprefix(b"\xef\xbb\xbf") + b"\n\n"
    return Answer(200, data, {"content-type": "text/event-stream"})


def wrongly_labelled_events(ask: Ask) -> Answer:
    body = marked_events(ask).body.removeprefix(b"\xef\xbb\xbf")
    return Answer(200, body, {"content-type": "text/event-stream; charset=iso-8859-1"})


@pytest.mark.parametrize("answer", [marked, marked_events, wrongly_labelled_events])
def test_text_is_utf_8_whatever_stands_before_it_or_is_said_of_it(
    house: House, odd: Farm, key: str, answer: Callable[[Ask], Answer]
) -> None:
    async def animal(ask: Ask) -> Answer:
        return answer(ask)

    odd.put(serving(animal))
    assert text_of(house.call(key, "odd__get_thing")) == "grün"


@pytest.mark.parametrize("name", ["odd__get_thing", "odd__create_thing"])
@pytest.mark.parametrize("body", [
    '"error":{"code":-32000,"message":"no \\ud800"}',
    '"result":{"content":[{"type":"text","text":"\\ud800"}]}',
    '"result":{"isError":true,"content":[{"type":"text","text":"\\udfff"}]}',
])  # fmt: skip
def test_half_characters_from_a_server_reach_the_log_and_the_agent(
    house: House, odd: Farm, key: str, name: str, body: str
) -> None:
    odd.put(serving(raw(body)))
    before = last(house)["id"]
    assert "result" in (answer := house.call(key, name)) or answer["error"]["code"] == -32000
    assert last(house)["id"] == before + 1
    assert not house.listed("intents")
    with house.browser() as http:
        assert http.get(f"/activity/{before + 1}").status_code == 200


def test_endless_numbers_from_a_server_are_no_json(house: House, odd: Farm, key: str) -> None:
    odd.put(serving(raw('"result":{"content":[],"structuredContent":{"n":1e400}}')))
    answer = house.call(key, "odd__get_thing")
    assert "Infinity" not in json.dumps(answer) and "can't be used" in text_of(answer)


def test_half_characters_in_an_approved_result_leave_the_inbox_readable(
    house: House, odd: Farm, key: str
) -> None:
    odd.put(serving(raw('"result":{"content":[{"type":"text","text":"\\ud800"}]}')))
    house.run("set-policy", "mcp:odd:create_thing", "approval")
    approval = house.call(key, "odd__create_thing")["result"]["structuredContent"]["approval_id"]
    house.run("decide", approval, "approve")
    house.call(key, "gatehouse__await_approval", {"approval_id": approval})
    with house.browser() as http:
        assert http.get("/approvals").status_code == 200
        assert http.get(f"/approvals/{approval}").status_code == 200
    house.run("set-policy", "mcp:odd:create_thing", "auto")


def test_half_characters_in_a_listing_spoil_no_more_than_their_tool(house: House, odd: Farm) -> None:
    tools = json.dumps([tool("get_thing"), tool("create_thing"), tool("get_other", f"say {LONE}")])
    odd.put(legacy(tools_list=raw(f'"result":{{"tools":{tools}}}')))
    house.run("sync", "odd")
    with house.browser() as http:
        assert http.get("/settings/integrations/odd").status_code == 200
        assert http.get("/tools").status_code == 200


def test_what_a_server_says_is_no_line_of_its_own_for_whoever_connects_or_syncs(
    house: House, odd: Farm
) -> None:
    async def fails(ask: Ask) -> Answer:
        return error(ask, 1, "boom\nother: 5 tools\x1b[2J")

    odd.put(legacy((), tools_list=fails))
    for command in (["sync", "odd"], ["add-server", odd.url(), "--name", "odder", "--allow-private"]):
        said = house.run(*command, check=False).stderr
        assert "boom" in said and "\x1b" not in said
        assert [line for line in said.splitlines() if line.startswith("other")] == []
    odd.put(serving(hangs_up))
