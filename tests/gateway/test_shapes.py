"""One tool that is not as MCP has it takes no other along: every program can read the whole list, and each result."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.house import House, text_of
from tests.services.farm import Farm, farm, tool
from tests.upstream.zoo import Animal, Answer, Ask, modern, result

THING = {"type": "object"}
# As servers in the field say it: nulls of Java and Go, PHP's lists, words for yes, schemas of the later era.
ODD: list[dict[str, Any]] = [
    {"name": "get_nulls", "description": None, "title": None, "inputSchema": THING, "outputSchema": None,
     "annotations": None, "icons": None, "_meta": None, "execution": None},
    tool("get_php", inputSchema={"type": "object", "properties": [], "required": None}),
    tool("get_any", inputSchema=THING | {"properties": {"any": True, "none": False, "text": {"type": "string"}}}),
    tool("get_words", annotations={"readOnlyHint": "yes", "title": 5, "idempotentHint": True}),
    tool("get_pictures", icons=[{"src": "https://x.test/a.png", "sizes": "16x16"}, "b.png", {"mimeType": "a/b"}]),
    tool("get_marks", icons="a.png", _meta=["x"], execution={"taskSupport": "maybe"}),
    tool("get_list", outputSchema={"type": "array", "items": THING}),
    tool("get_either", outputSchema={"anyOf": [THING, {"type": "null"}]}),
    tool("get_dialect", inputSchema={"type": "object", "$schema": 7, "required": "x"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def server(house: House) -> Iterator[Farm]:
    with farm() as servers:
        servers.put(serving({}))
        house.run("add-server", servers.url(), "--name", "shapes", "--allow-private")
        yield servers


def serving(answer: object) -> Animal:
    async def call(ask: Ask) -> Answer:
        return result(ask, answer)

    return modern((*ODD, tool("get_plain")), tools_call=call)


def listed(house: House, key: str, mode: str, path: str) -> dict[str, dict[str, Any]]:
    async def ask() -> dict[str, dict[str, Any]]:
        async with house.client(key, path=path, mode=mode) as client:
            found = (await client.list_tools()).tools
        return {one.name: one.model_dump(by_alias=True, exclude_none=True) for one in found}

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/mcp", "/mcp/s/shapes"])
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_every_program_can_read_the_whole_list(
    house: House, server: Farm, key: str, mode: str, path: str
) -> None:
    tools = listed(house, key, mode, path)
    before = "" if path.endswith("shapes") else "shapes__"
    assert {before + one["name"] for one in ODD} < tools.keys()
    assert tools[f"{before}get_words"]["annotations"] == {"idempotentHint": True}
    assert tools[f"{before}get_pictures"]["icons"] == [{"src": "https://x.test/a.png"}]
    assert ("outputSchema" in tools[f"{before}get_list"]) is (mode == "auto")


def test_nothing_is_left_that_a_strict_reader_would_mind(house: House, server: Farm, key: str) -> None:
    """What the TypeScript SDK of the handshake era checks and the Python one does not."""
    answer = house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, key).json()
    ours = {one["name"]: one for one in answer["result"]["tools"] if one["name"].startswith("shapes__")}
    assert not [name for name, one in ours.items() if None in one.values()]
    assert ours["shapes__get_php"]["inputSchema"] == THING
    properties = ours["shapes__get_any"]["inputSchema"]["properties"]
    assert properties == {"any": {}, "none": {"not": {}}, "text": {"type": "string"}}
    assert not {"icons", "_meta"} & ours["shapes__get_marks"].keys()


RESULTS = [
    ({"structuredContent": [1, 2]}, "[1,2]"),
    ({"content": [], "structuredContent": "ü"}, '"ü"'),
    ({"content": [{"type": "text", "text": "two"}], "structuredContent": [1, 2], "isError": None}, "two"),
    ({"content": None, "structuredContent": {"a": 1}}, '{"a":1}'),
    ({"content": "only text"}, "only text"),
    ({"content": ["a word"]}, "a word"),
    ({"content": [{"type": "text", "text": 7}]}, "7"),
    ({"content": [{"type": "json", "json": {"a": None}}]}, '{"type":"json","json":{"a":null}}'),
]


@pytest.mark.parametrize(("answer", "text"), RESULTS)
def test_a_result_of_the_later_era_is_read_by_programs_of_the_earlier(
    house: House, server: Farm, key: str, answer: dict[str, Any], text: str
) -> None:
    server.put(serving(answer))
    got = house.call(key, "shapes__get_plain")
    assert text_of(got) == text
    assert isinstance(got["result"].get("structuredContent", {}), dict) and "isError" not in got["result"]


def test_nulls_in_contents_are_left_out_and_what_servers_say_in_meta_is_not(
    house: House, server: Farm, key: str
) -> None:
    text = {"type": "text", "text": "a", "_meta": {"kept": None}}
    file = {"uri": "x://1", "text": "b"}
    server.put(serving({"content": [
        text | {"annotations": None}, {"type": "resource", "resource": file | {"mimeType": None}, "_meta": None},
    ]}))  # fmt: skip
    content = house.call(key, "shapes__get_plain")["result"]["content"]
    assert content == [text, {"type": "resource", "resource": file}]


def test_an_empty_result_has_an_empty_content(house: House, server: Farm, key: str) -> None:
    server.put(serving({"content": None, "structuredContent": None}))
    assert house.call(key, "shapes__get_plain")["result"] == {"content": []}
