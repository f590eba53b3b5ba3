"""Servers that close what they kept, and servers that never come to an end: a read is saved, a write is never risked
twice, and a flood is cut."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.gateway.test_agent_errors import failed
from tests.gateway.test_odd_servers import answering, hangs_up, last, odd, raw, serving
from tests.house import House, text_of
from tests.load.faults import FAULTS, FINE
from tests.services.farm import Farm
from tests.upstream.zoo import Animal, Answer, Ask, begin_stream, result
from webapp.upstream.client import MOST_ASKED
from webapp.upstream.weight import MOST_VALUES

__all__ = ["odd"]


def closing_what_it_kept() -> Animal:
    """Answers the first call of each connection, and hangs up at the next."""
    known = []

    async def animal(ask: Ask) -> Answer | None:
        if ask.writer in known:
            return await hangs_up(ask)
        known.append(ask.writer)
        return result(ask, FINE)

    return animal


def test_a_read_is_sent_once_more_where_a_kept_connection_was_closed(
    house: House, odd: Farm, key: str
) -> None:
    odd.put(serving(closing_what_it_kept()))
    before = last(house)["id"]
    assert [text_of(house.call(key, "odd__get_thing")) for _ in range(3)] == ["in order"] * 3
    assert last(house)["id"] == before + 3


def test_a_write_is_never_sent_once_more(house: House, odd: Farm, key: str) -> None:
    odd.put(serving(closing_what_it_kept()))
    asked = len(odd.zoo.asked)
    assert text_of(house.call(key, "odd__create_thing")) == "in order"
    assert failed(house.call(key, "odd__create_thing"))["retry"] == "check_first"
    assert last(house)["outcome"] == "unknown"
    assert [ask.rpc for ask in odd.zoo.asked[asked:] if ask.body].count("tools/call") == 2


@pytest.mark.parametrize(
    "fault",
    [
        "huge-header",
        "headers-without-end",
        "hints-without-end",
        "trailers-without-end",
        "never-ends",
        "event-without-end",
    ],
)
def test_what_has_no_end_is_cut(house: House, odd: Farm, key: str, fault: str) -> None:
    odd.put(serving(FAULTS[fault].animal))
    assert failed(house.call(key, "odd__get_thing"))["kind"] == "too_large"


def test_a_second_answer_on_one_connection_is_nobodys(house: House, odd: Farm, key: str) -> None:
    odd.put(serving(FAULTS["two-answers"].animal))
    assert [text_of(house.call(key, "odd__get_thing")) for _ in range(3)] == ["in order"] * 3


def test_a_flood_of_questions_ends(house: House, odd: Farm, key: str) -> None:
    odd.put(serving(FAULTS["question-flood"].animal))
    asked = len(odd.zoo.asked)
    assert failed(house.call(key, "odd__get_thing"))["kind"] == "too_large"
    replies = [ask for ask in odd.zoo.asked[asked:] if ask.body and not ask.rpc]
    assert 0 < len(replies) <= MOST_ASKED


def streamed(body: str) -> Animal:
    async def animal(ask: Ask) -> None:
        await begin_stream(ask)
        answer = f'{{"jsonrpc":"2.0","id":{ask.message["id"]},{body}}}'
        await ask.write(f"data: {answer}\n\n".encode())
        ask.writer.close()

    return animal


@pytest.mark.parametrize("sends", [raw, streamed])
def test_an_answer_of_too_many_values_is_not_even_read(
    house: House, odd: Farm, key: str, sends: Callable[[str], Animal]
) -> None:
    odd.put(serving(sends('"result":{"content":[' + "[]," * MOST_VALUES + "[]]}")))
    assert failed(house.call(key, "odd__get_thing")) == {
        "kind": "too_large", "retry": "no", "server": "odd",
    }  # fmt: skip
    assert "values" in last(house)["details"]["error"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_long_text_is_one_value_whatever_stands_in_it(
    house: House, odd: Farm, key: str, stream: bool
) -> None:
    table = '["a",{"b":1}],\\"' * MOST_VALUES
    content = {"content": [{"type": "text", "text": table}]}
    odd.put(serving(streamed(f'"result":{json.dumps(content)}') if stream else answering(content)))
    assert text_of(house.call(key, "odd__get_thing")) == table
