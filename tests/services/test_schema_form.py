"""A schema is somebody else's: it makes Gatehouse fetch nothing and go on for ever with nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.upstream.loopback import reply, serving
from webapp.services.schema_form import checking, patterns


@pytest.mark.parametrize("word", ["$ref", "$dynamicRef", "$recursiveRef", "$schema"])
def test_nothing_is_fetched_for_a_schema(word: str) -> None:
    async def go() -> int:
        async with serving(reply(b'{"type": "object", "required": ["never"]}')) as here:
            elsewhere = f"http://127.0.0.1:{here.port}/schema.json"
            within = {"properties": {"a": {word: elsewhere}}, "allOf": [{word: elsewhere}]}
            for schema in ({word: elsewhere}, within):
                assert await asyncio.to_thread(checking.mistakes, {"a": {}}, schema) == []
            return here.connections

    assert asyncio.run(go()) == 0


# Each takes minutes or years for a text of thirty letters, where it is run.
ENDLESS = [
    "^(a+)+$",
    "^(a|aa)+$",
    "^a*a*a*a*a*a*a*b$",
    "^([a-z]+)*$",
    "(x+x+)+y",
    "^(?:a?){30}a{30}$",
    "^.*.*.*=.*$",
]


@pytest.mark.parametrize("pattern", ENDLESS)
def test_a_pattern_that_may_never_end_is_not_run(pattern: str) -> None:
    assert patterns.plain(pattern) is None and patterns.for_html(pattern) == ""
    schema = {"properties": {"a": {"pattern": pattern}}}
    assert checking.mistakes({"a": "a" * 30 + "!"}, schema) == []


def test_a_plain_pattern_is_run() -> None:
    schema = {"properties": {"a": {"pattern": "^T-[0-9]+$"}}}
    assert checking.mistakes({"a": "T-12"}, schema) == []
    assert [field for field, _ in checking.mistakes({"a": "12"}, schema)] == ["a"]
