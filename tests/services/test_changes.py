"""The difference between two definitions: word by word, complete, and soon done whatever a server sends."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.services import changes
from webapp.services.changes import Piece, compare, in_short, pieces_of

WORDS = st.lists(st.sampled_from(["get ", "a ", "ticket", ", ", "\n", "\u200b", "é", "(id)"]), max_size=40)


def marked(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    return {part["part"]: part["difference"] for part in in_short(before, after)}


@given(WORDS, WORDS)
def test_both_texts_can_be_read_from_the_pieces(before: list[str], after: list[str]) -> None:
    old, new = "".join(before), "".join(after)
    pieces = pieces_of(old, new)
    assert "".join(text for kind, text in pieces if kind != "added") == old
    assert "".join(text for kind, text in pieces if kind != "removed") == new


def test_one_word_more_is_one_word_more() -> None:
    before = {"description": "Get one ticket with all its notes."}
    after = {"description": "Get one ticket with all its secret notes."}
    assert marked(before, after) == {"Description": "Get one ticket with all its{+ secret+} notes."}


@pytest.mark.parametrize(("before", "after", "expected"), [
    ({"title": "Ticket"}, {"title": "Tickets"}, {"Title": "[-Ticket-]{+Tickets+}"}),
    ({}, {"title": "New"}, {"Title": "{+New+}"}),
    ({"annotations": {"readOnlyHint": True}}, {"annotations": {"readOnlyHint": False}},
     {"Annotations": "readOnlyHint: [-true-]{+false+}"}),
    ({"annotations": {"readOnlyHint": True}}, {}, {"Annotations": "readOnlyHint: [-true-]"}),
    ({"outputSchema": {"type": "object"}}, {"outputSchema": None}, {"Output schema": "type: [-object-]"}),
    ({"inputSchema": {"properties": {"id": {"description": "The id"}}}},
     {"inputSchema": {"properties": {"id": {"description": "The id"}, "bcc": {"type": "string"}}}},
     {"Input schema": "properties › bcc › type: {+string+}"}),
    ({"inputSchema": {"properties": {"to": {"enum": ["a", "b"]}}}},
     {"inputSchema": {"properties": {"to": {"enum": ["b", "a", "c"]}}}},
     {"Input schema": "properties › to › enum: a, b{+, c+}"}),
    ({"inputSchema": {"properties": {}}}, {"inputSchema": {"properties": {"x": {}}}},
     {"Input schema": "properties: [-{}-]\nproperties › x: {+{}+}"}),
    ({"inputSchema": {"anyOf": [{"type": "string"}]}},
     {"inputSchema": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
     {"Input schema": "anyOf › 2 › type: {+null+}"}),
])  # fmt: skip
def test_every_part_is_compared(
    before: dict[str, Any], after: dict[str, Any], expected: dict[str, str]
) -> None:
    assert marked(before, after) == expected


def test_the_order_of_a_set_is_no_change() -> None:
    one = {"inputSchema": {"required": ["a", "b"], "properties": {"x": {"type": ["null", "string"]}}}}
    other = {"inputSchema": {"properties": {"x": {"type": ["string", "null"]}}, "required": ["b", "a"]}}
    assert compare(one, other) == []


def test_a_long_text_is_folded_around_what_changed() -> None:
    words = " ".join(f"word{number}" for number in range(300))
    (part,) = compare({"description": words}, {"description": words.replace("word150", "other")})
    (change,) = part.changes
    assert ("added", " other") in change.pieces
    assert sum(len(text) for _, text in change.pieces) < 600


def test_what_is_added_is_never_folded() -> None:
    hidden = " ".join(f"order{number}" for number in range(700))
    (part,) = compare({"description": "Get."}, {"description": f"Get. {hidden}"})
    assert hidden in "".join(text for kind, text in part.changes[0].pieces if kind == "added")


@pytest.mark.parametrize("size", [190, 700, 790, 5000, 40_000])
@pytest.mark.parametrize("ways", [2, 97])
def test_no_text_takes_long(size: int, ways: int) -> None:
    """The worst that was found took nine seconds for 1,400 words."""
    before = " ".join(f"a{number % ways} b{number % (ways + 2)}" for number in range(size // 2))
    started = time.process_time()
    pieces: list[Piece] = pieces_of(before, before.replace("b", "c"))
    assert pieces
    assert time.process_time() - started < 2


def test_deep_and_wide_schemas_are_compared_too() -> None:
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(30):
        deep = {"properties": {"x": deep}}
    wide = {"properties": {f"p{number}": {"type": "string"} for number in range(2000)}}
    assert changes.compare({"inputSchema": deep}, {"inputSchema": wide})
