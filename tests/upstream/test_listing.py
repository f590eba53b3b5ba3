"""Tool lists: every usable tool gets through, every other one is set aside with its reason."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.upstream import zoo as z
from webapp.errors import BadReply, NeedsAuthorization, UpstreamError
from webapp.upstream.client import MODERN
from webapp.upstream.listing import Listing, ToolDefinition, parse_tools

OBJECT = {"type": "object"}


def tool(name: object = "lookup", **fields: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": OBJECT, **fields}


def nested(depth: int) -> dict[str, Any]:
    """An object `depth` + 2 levels deep."""
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"x": schema}
    return {"type": "object", "x": schema}


def parsed(**fields: Any) -> ToolDefinition:
    (only,), quarantined = parse_tools([tool(**fields)])
    assert quarantined == []
    return only


# One tool


UNUSABLE: dict[str, tuple[object, str]] = {
    "not an object": ("lookup", "not an object"),
    "no name": ({"inputSchema": OBJECT}, "no name"),
    "number for a name": (tool(5), "no name"),
    "empty name": (tool(""), "empty"),
    "blank name": (tool("  "), "empty"),
    "name too long": (tool("a" * 129), "129 characters"),
    "NUL in name": (tool("a\x00b"), "invisible"),
    "new line in name": (tool("a\nb"), "invisible"),
    "right-to-left mark in name": (tool("a\u202eb"), "invisible"),
    "zero-width space in name": (tool("lookup\u200b"), "invisible"),
    "half a character in name": (tool("a\ud800"), "Unicode"),
    "half a character in text": (tool(description="a\udc00"), "Unicode"),
    "no schema": ({"name": "x"}, "no input schema"),
    "schema null": (tool(inputSchema=None), "null"),
    "schema is text": (tool(inputSchema="object"), "not a JSON object"),
    "schema is a list": (tool(inputSchema=[]), "not a JSON object"),
    "schema of an array": (tool(inputSchema={"type": "array"}), '"object"'),
    "schema without type": (tool(inputSchema={}), '"object"'),
    "schema too large": (tool(inputSchema={**OBJECT, "x": "y" * 262_144}), "256 KB"),
    "schema too deep": (tool(inputSchema=nested(31)), "32 levels"),
    "bottomless": (tool(inputSchema=nested(900)), "32 levels"),
    "output schema is text": (tool(outputSchema="x"), "output schema"),
    "annotations are a list": (tool(annotations=[1]), "annotations"),
    "title is a number": (tool(title=1), "title"),
    "description is a list": (tool(description=["x"]), "description"),
    "forbidden request header": (
        tool(inputSchema={"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}}),
        "request header",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_tool_is_set_aside_with_its_reason_and_its_neighbours_stay(case: str) -> None:
    raw, reason = UNUSABLE[case]
    tools, quarantined = parse_tools([tool("before"), raw, tool("after")])
    assert [usable.name for usable in tools] == ["before", "after"]
    (aside,) = quarantined
    assert reason in aside.reason and aside.reason.endswith(".")
    assert aside.name.isprintable() and 0 < len(aside.name) <= 129


@pytest.mark.parametrize(
    "name", ["a", "a" * 128, "create ticket", "a:b/c", "../../x", "<img src=x>", "поиск", "😀"]
)
def test_strange_but_visible_names_are_kept_as_they_are(name: str) -> None:
    assert parsed(name=name).name == name


def test_of_two_tools_with_one_name_the_first_is_used() -> None:
    tools, quarantined = parse_tools([tool(description="first"), tool(description="second")])
    assert [usable.description for usable in tools] == ["first"]
    assert [(aside.name, "same name" in aside.reason) for aside in quarantined] == [("lookup", True)]


def test_absent_and_null_fields_mean_the_same() -> None:
    bare = parsed()
    empty = parsed(title=None, description=None, outputSchema=None, annotations=None)
    assert (bare.title, bare.description, bare.output_schema, bare.annotations) == ("", "", None, {})
    assert bare.digest == empty.digest


def test_the_tool_as_received_stays_beside_what_was_read() -> None:
    raw = tool(title="Look up", icons=[{"src": "x"}], _meta={"vendor": 1}, annotations={"readOnlyHint": True})
    (read,), _ = parse_tools([raw])
    assert read.raw == raw
    assert (read.title, read.annotations) == ("Look up", {"readOnlyHint": True})


def test_a_title_among_the_annotations_is_found() -> None:
    assert parsed(annotations={"title": "Look up"}).title == "Look up"
    assert parsed(title="Own", annotations={"title": "Look up"}).title == "Own"


def test_a_schema_at_the_limits_is_fine() -> None:
    assert parsed(inputSchema=nested(30)).input_schema == nested(30)


# Digests


def test_the_order_of_keys_and_of_sets_changes_no_digest() -> None:
    one = {"type": "object", "required": ["a", "b"], "properties": {"a": {"enum": ["x", "y"]}, "b": {}}}
    two = {"properties": {"b": {}, "a": {"enum": ["y", "x"]}}, "required": ["b", "a"], "type": "object"}
    assert parsed(inputSchema=one).digest == parsed(inputSchema=two).digest


CHANGES: list[dict[str, Any]] = [
    {"name": "lookup2"},
    {"title": "Look up"},
    {"description": "Looks up."},
    {"description": "x" * 20_000},
    {"inputSchema": {"type": "object", "properties": {}}},
    {"inputSchema": {"type": "object", "properties": {"a": {"enum": ["x"]}}}},
    {"inputSchema": {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}}},
    {"inputSchema": {"type": "object", "prefixItems": [{"type": "string"}, {"type": "number"}]}},
    {"inputSchema": {"type": "object", "prefixItems": [{"type": "number"}, {"type": "string"}]}},
    {"outputSchema": OBJECT},
    {"annotations": {"readOnlyHint": True}},
    {"annotations": {"readOnlyHint": False}},
    {"_meta": {"ui": {"resourceUri": "ui://a"}}},
    {"_meta": {"ui": {"resourceUri": "ui://b"}}},
    {"execution": {"taskSupport": "required"}},
    {"whatever": "comes later"},
]


def test_every_change_of_meaning_changes_the_digest() -> None:
    digests = {parsed(**change).digest for change in [{}, *CHANGES]}
    assert len(digests) == len(CHANGES) + 1


def test_a_change_behind_the_stored_part_of_a_description_changes_the_digest() -> None:
    long = "ä" * 20_000
    one, two = parsed(description=long + "1"), parsed(description=long + "2")
    assert one.description == two.description == "ä" * 8192
    assert one.digest != two.digest


def test_icons_change_no_digest_but_that_of_what_was_received() -> None:
    bare, one, other = parsed(), parsed(icons=[{"src": "x"}]), parsed(icons=[{"src": "y"}])
    assert bare.digest == one.digest == other.digest
    assert len({bare.received, one.received, other.received}) == 3


def test_empty_metadata_is_none() -> None:
    assert parsed(_meta={}).digest == parsed(_meta=None).digest == parsed().digest


def test_a_digest_is_the_same_in_every_version() -> None:
    """Of a tool without fields of its own: stored ones must not all read as changed after an upgrade."""
    tool = parsed(
        inputSchema={"type": "object", "required": ["b", "a"]},
        title="T", annotations={"readOnlyHint": True}, icons=[{"src": "x"}],
    )  # fmt: skip
    assert tool.digest == "e5a7d4af1abd7bf7a826f5b35253291165e2a1be40d8b0989c48bebae45b1991"


def test_the_order_of_keys_is_nothing_received() -> None:
    raw = tool(title="Look up", _meta={"a": 1, "b": 2})
    turned = dict(reversed(raw.items())) | {"_meta": {"b": 2, "a": 1}}
    assert parse_tools([raw])[0][0].received == parse_tools([turned])[0][0].received


# Pages


def pages(*results: Any) -> z.Animal:
    """Each result is the answer to the cursor with its number; an int is an HTTP status instead."""

    async def listing(ask: z.Ask) -> z.Answer:
        page = results[int(ask.params.get("cursor") or "0")]
        return z.Answer(page) if isinstance(page, int) else z.result(ask, page)

    return z.modern(tools_list=listing)


def listed(server: z.Animal, **limits: int) -> Listing:
    async def run() -> Listing:
        async with asyncio.timeout(90), z.opened() as zoo, zoo.client(server, version=MODERN) as client:
            return await client.list_tools(**limits)

    return asyncio.run(run())


def names(listing: Listing) -> list[str]:
    return [usable.name for usable in listing.tools]


def test_pages_are_followed_to_the_end() -> None:
    listing = listed(
        pages(
            {"tools": [tool("a"), tool("b")], "nextCursor": "1"},
            {"tools": [], "nextCursor": "2"},
            {"tools": [tool("c"), tool("a")], "nextCursor": ""},
        )
    )
    assert names(listing) == ["a", "b", "c"]
    assert [aside.name for aside in listing.quarantined] == ["a"]
    assert listing.complete and listing.problem == ""


@pytest.mark.parametrize("refused", [True, False])
def test_an_empty_cursor_leads_on_unless_the_server_says_otherwise(refused: bool) -> None:
    """2026-07-28: it "MUST NOT be treated as the end of results". Some mean that by it, and refuse it."""

    async def listing(ask: z.Ask) -> z.Answer:
        if "cursor" not in ask.params:
            return z.result(ask, {"tools": [tool("a")], "nextCursor": ""})
        if refused:
            return z.error(ask, -32602, "Invalid cursor")
        return z.result(ask, {"tools": [tool("b")]})

    found = listed(z.modern(tools_list=listing))
    assert names(found) == (["a"] if refused else ["a", "b"])
    assert found.complete and not found.quarantined


def test_an_empty_list_is_complete() -> None:
    assert listed(pages({"tools": []})) == Listing([], [], complete=True)


def test_a_list_that_runs_in_a_circle_ends() -> None:
    listing = listed(
        pages({"tools": [tool("a")], "nextCursor": "1"}, {"tools": [tool("b")], "nextCursor": "1"})
    )
    assert names(listing) == ["a", "b"]
    assert not listing.complete and "circle" in listing.problem


def test_a_list_without_end_is_cut_at_the_number_of_pages() -> None:
    async def endless(ask: z.Ask) -> z.Answer:
        number = int(ask.params.get("cursor", "0"))
        return z.result(ask, {"tools": [tool(f"t{number}")], "nextCursor": str(number + 1)})

    listing = listed(z.modern(tools_list=endless), max_pages=7)
    assert len(listing.tools) == 7
    assert not listing.complete and "7 pages" in listing.problem


def test_a_list_is_cut_at_the_number_of_tools() -> None:
    many = [tool(f"t{number}") for number in range(30)]
    for result in ({"tools": many}, {"tools": many[:10], "nextCursor": "0"}):
        listing = listed(pages(result), max_tools=10)
        assert len(listing.tools) == 10
        assert not listing.complete and "10 tools" in listing.problem


def test_ten_thousand_tools_are_read_whole() -> None:
    many = [tool(f"t{number}", description="d" * 200) for number in range(10_000)]
    listing = listed(pages({"tools": many}))
    assert len(listing.tools) == 10_000 and listing.complete


@pytest.mark.parametrize(
    "later", [503, 500, 404, {"tools": "x"}, {"no": "tools"}, {"tools": [], "nextCursor": 5}]
)
def test_a_later_page_that_fails_leaves_what_was_read_and_says_so(later: object) -> None:
    listing = listed(pages({"tools": [tool("a")], "nextCursor": "1"}, later))
    assert names(listing) == ["a"]
    assert not listing.complete and "later page" in listing.problem


def test_a_sign_in_asked_for_on_a_later_page_is_no_list() -> None:
    with pytest.raises(NeedsAuthorization):
        listed(pages({"tools": [tool("a")], "nextCursor": "1"}, 401))


@pytest.mark.parametrize("first", [503, 404, {"tools": "x"}, {"tools": {}}, {}])
def test_a_first_page_that_fails_is_no_list(first: object) -> None:
    with pytest.raises(UpstreamError):
        listed(pages(first))


def test_null_instead_of_a_list_is_empty_but_never_complete() -> None:
    listing = listed(pages({"tools": None}))
    assert (listing.tools, listing.complete) == ([], False)
    assert "null" in listing.problem


def test_a_bottomless_list_is_refused_and_not_fatal() -> None:
    async def bottomless(ask: z.Ask) -> z.Answer:
        deep = b"[" * 100_000 + b"]" * 100_000
        body = b'{"jsonrpc":"2.0","id":%d,"result":{"tools":%s}}' % (ask.message["id"], deep)
        return z.Answer(200, body, {"content-type": "application/json"})

    with pytest.raises(BadReply) as caught:
        listed(z.modern(tools_list=bottomless))
    assert "nested too deeply" in str(caught.value)
