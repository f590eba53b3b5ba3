"""What a server says comes through as it said it: its tools, its results, its errors and all of its pages. The server
is made with the SDK, of either era, and agents come in either, to all servers or to this one alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ListToolsResult, Tool

from config import Config
from tests.house import House, last_message, served
from tests.shifting import old
from webapp.asgi import program
from webapp.gateway.listing import PAGE
from webapp.services import agents
from webapp.services.audit import COMMAND
from webapp.services.own_tools import Mode

MODERN = "2026-07-28"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
ICON = {
    "src": f"data:image/png;base64,{PIXEL}",
    "mimeType": "image/png",
    "sizes": ["1x1", "any"],
    "theme": "dark",
}
# Values that programs on the way like to change: 1.0 to 1, large numbers, escapes, order, what is empty.
META = {
    "ui": {"resourceUri": "ui://parcels/card.html", "visibility": ["model", "app"]},
    "example.com/odd": [
        1.0,
        1,
        -0.0,
        2**70,
        1e-7,
        None,
        {},
        [],
        "",
        "grüß Gott, 世界 \U0001f680 </script>",
    ],
}
PARCEL: dict[str, Any] = {
    "name": "get_parcel",
    "title": "Parcel 📦",
    "description": "Gets a parcel.\n\n  - two spaces\n\ttab",
    "inputSchema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"id": {"type": "string", "pattern": "^\\d+\\\\$"}},
        "properties": {"z": {"$ref": "#/$defs/id"}, "a": {"type": "number", "default": 1.0, "maximum": 2**70}},
        "required": ["z"],
        "x-vendor": 0.0,
        "additionalProperties": False,
    },
    "outputSchema": {"type": "object", "properties": {"odd": {"type": "array"}}, "required": ["odd"]},
    "annotations": {"title": "P", "readOnlyHint": True, "destructiveHint": False, "idempotentHint": True,
                    "openWorldHint": False},
    "icons": [ICON],
    "_meta": META,
}  # fmt: skip
BARE: dict[str, Any] = {"name": "get_nothing", "inputSchema": {"type": "object"}}
RESULT: dict[str, Any] = {
    "content": [
        {"type": "text", "text": "grüß Gott, 世界 \u202e", "_meta": META,
         "annotations": {"audience": ["user", "assistant"], "priority": 0.5, "lastModified": "2026-01-02T03:04:05Z"}},
        {"type": "text", "text": ""},
        {"type": "image", "data": PIXEL, "mimeType": "image/png", "_meta": {"a": 1.0}},
        {"type": "audio", "data": "UklGRg==", "mimeType": "audio/wav", "annotations": {"priority": 1.0}},
        {"type": "resource_link", "uri": "parcel://1?a=b&c=%20", "name": "one", "title": "One", "description": "1st",
         "mimeType": "text/plain", "size": 7, "icons": [ICON], "annotations": {"audience": ["user"]}, "_meta": META},
        {"type": "resource", "resource": {"uri": "parcel://1", "mimeType": "text/plain", "text": "in it",
                                          "_meta": {"b": ""}}, "annotations": {"priority": 0.0}},
        {"type": "resource", "resource": {"uri": "parcel://2", "mimeType": "application/zip", "blob": "UEsFBg=="}},
    ],
    "structuredContent": {"odd": META["example.com/odd"], "nested": {"z": 1, "a": {"_meta": "mine"}}},
    "isError": False,
    "_meta": META,
}  # fmt: skip
FAILURE = RESULT | {"isError": True, "structuredContent": {"odd": []}}
ERROR = {"code": 7042, "message": "Kaputt: ä", "data": {"odd": META["example.com/odd"]}}
ANSWERS = {"ok": RESULT, "failure": FAILURE}


@dataclass
class Store:
    """A server whose tools are exactly these, a few to a page."""

    url: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)
    page: int = 700

    async def list_tools(self, _: Any, params: Any) -> ListToolsResult:
        start = int(params.cursor or 0) if params else 0
        end = start + self.page
        cursor = str(end) if end < len(self.tools) else None
        return ListToolsResult(
            tools=[Tool.model_validate(tool) for tool in self.tools[start:end]], next_cursor=cursor
        )

    async def call_tool(self, _: Any, params: Any) -> CallToolResult:
        how = (params.arguments or {}).get("how", "ok")
        if how == "error":
            raise MCPError(**ERROR)
        return CallToolResult.model_validate(ANSWERS[how])


@contextmanager
def store(era: str, *tools: dict[str, Any]) -> Iterator[Store]:
    it = Store(tools=list(tools))
    server = Server("store", on_list_tools=it.list_tools, on_call_tool=it.call_tool)
    app = server.streamable_http_app()
    with served(old(app, []) if era == "old" else app) as url:
        it.url = f"{url}/mcp"
        yield it


@pytest.fixture(scope="module")
def stores() -> Iterator[dict[str, Store]]:
    with store("old", PARCEL, BARE) as one, store("new", PARCEL, BARE) as other:
        yield {"old": one, "new": other}


@pytest.fixture(scope="module")
def house(stores: dict[str, Store], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data: Path = tmp_path_factory.mktemp("unharmed") / "data"
    made = program(Config(data=data))
    with served(made) as url:
        house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
        for era, one in stores.items():
            house.run("add-server", one.url, "--name", f"s-{era}", "--allow-private")
        yield house


@pytest.fixture(scope="module")
def key(house: House) -> str:
    return house.agent("claude")


@dataclass(frozen=True)
class Way:
    """An agent of an era at an address."""

    house: House
    key: str
    modern: bool
    server: str = ""

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The raw answer."""
        headers = {"authorization": f"Bearer {self.key}", "accept": "application/json, text/event-stream"}
        if self.modern:
            protocol = "io.modelcontextprotocol/"
            about = {
                "protocolVersion": MODERN,
                "clientInfo": {"name": "raw", "version": "1"},
                "clientCapabilities": {},
            }
            params["_meta"] = {protocol + name: value for name, value in about.items()}
            headers |= {"mcp-protocol-version": MODERN, "mcp-method": method}
            headers |= {"mcp-name": params["name"]} if "name" in params else {}
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        path = f"/mcp/s/{self.server}" if self.server else "/mcp"
        url = self.house.url + path
        return last_message(httpx2.post(url, json=message, headers=headers, timeout=60, trust_env=False))

    def call(self, era: str, how: str) -> dict[str, Any]:
        name = PARCEL["name"] if self.server else f"s-{era}__{PARCEL['name']}"
        return self.ask("tools/call", name=name, arguments={"how": how})

    def page(self, cursor: str | None = None) -> tuple[list[dict[str, Any]], str | None]:
        result = self.ask("tools/list", **({} if cursor is None else {"cursor": cursor}))["result"]
        return result["tools"], result.get("nextCursor")


of_each_server = pytest.mark.parametrize("era", ["old", "new"])


@pytest.fixture(params=["handshake", "modern"])
def modern(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "modern")


@pytest.fixture(params=["together", "alone"])
def way(request: pytest.FixtureRequest, house: House, key: str, modern: bool, era: str) -> Way:
    return Way(house, key, modern, f"s-{era}" if request.param == "alone" else "")


def exactly(value: object) -> str:
    """1.0 is not 1 in JSON, while it is in Python. The order of an object's names means nothing in either."""
    return json.dumps(value, sort_keys=True)


def bare(result: dict[str, Any]) -> dict[str, Any]:
    """Without the envelope that every answer of 2026-07-28 has."""
    own = "io.modelcontextprotocol/serverInfo"
    meta = {name: value for name, value in result.get("_meta", {}).items() if name != own}
    return {name: value for name, value in result.items() if name not in ("resultType", "_meta")} | (
        {"_meta": meta} if meta else {}
    )


@of_each_server
def test_tools_are_listed_with_all_that_the_server_says_of_them(way: Way, era: str) -> None:
    listed = {tool["name"]: tool for tool in way.page()[0]}
    for tool in (PARCEL, BARE):
        name = tool["name"] if way.server else f"s-{era}__{tool['name']}"
        expected = tool if way.server else tool | {"name": name, "title": f"mcp:s-{era}:{tool['name']}"}
        assert exactly(listed[name]) == exactly(expected)
    assert list(listed[name]["inputSchema"]) == list(tool["inputSchema"])


@of_each_server
def test_arguments_of_a_schema_stay_in_their_order(way: Way, era: str) -> None:
    """It means nothing in JSON, but programs show forms in it."""
    listed = next(tool for tool in way.page()[0] if tool["name"].endswith("get_parcel"))
    assert list(listed["inputSchema"]["properties"]) == ["z", "a"]


@of_each_server
@pytest.mark.parametrize("how", ANSWERS)
def test_results_come_through_with_every_kind_of_content(way: Way, era: str, how: str) -> None:
    assert exactly(bare(way.call(era, how)["result"])) == exactly(ANSWERS[how])


@of_each_server
def test_errors_of_the_protocol_come_through_with_their_data(way: Way, era: str) -> None:
    assert exactly(way.call(era, "error")["error"]) == exactly(ERROR)


@of_each_server
def test_a_new_icon_reaches_agents_and_holds_up_nobody(way: Way, era: str, drawn: str) -> None:
    listed = next(tool for tool in way.page()[0] if tool["name"].endswith("get_parcel"))
    assert exactly(listed["icons"]) == exactly([{"src": drawn}])
    assert way.call(era, "ok")["result"]["isError"] is False, "it is still Auto"


@pytest.fixture
def drawn(house: House, stores: dict[str, Store]) -> Iterator[str]:
    """The address of an icon that both servers show for a while."""
    for number in (2, 1):
        icon = f"https://example.com/icon.png?version={number}"
        redraw(house, stores, {"icons": [{"src": icon}]})
    yield icon
    redraw(house, stores, {})


def redraw(house: House, stores: dict[str, Store], looks: dict[str, Any]) -> None:
    for era, one in stores.items():
        one.tools[0] = PARCEL | looks
        house.run("sync", f"s-{era}")


# --- pages


def numbered(*numbers: int) -> list[dict[str, Any]]:
    return [BARE | {"name": f"get_{number:05}"} for number in numbers]


def number_of(tool: dict[str, Any]) -> int:
    return int(tool["name"][-5:])


def test_a_walk_repeats_and_loses_nothing_while_tools_change(house: House) -> None:
    """Between its pages tools before, at and behind the cursor come, go and change; then the agent is given a search
    instead of the list."""
    with store("new", *numbered(*range(0, 4 * PAGE + 500, 2))) as big:
        house.run("add-server", big.url, "--name", "big", "--allow-private")
        key = house.agent("walker", "--only", "big")
        walks = [Walk(Way(house, key, modern, server)) for modern in (False, True) for server in ("", "big")]
        there = all_the_time = {number_of(tool) for tool in big.tools}
        for turn in range(2):
            last = [walk.step() for walk in walks][0]
            gone, come = (
                {100 + turn, last, last + 2, 4 * PAGE + turn * 2},
                {1 + turn * 2, last + 1, 4 * PAGE + 1},
            )
            all_the_time = all_the_time - gone
            there = there - gone | come
            big.tools = numbered(*sorted(there, reverse=turn == 1))
            big.tools[7]["description"] = f"It is other than before {turn}"
            house.run("sync", "big")
        house.do(lambda: agents.set_tool_search(agents.by_name("walker"), Mode("on"), COMMAND))
        for walk in walks:
            walk.step()
            assert walk.cursor is None
            assert len(walk.seen) == len(set(walk.seen)), "nothing comes twice"
            assert all_the_time <= set(walk.seen), "what was there all the time was seen"
            assert last + 1 in walk.seen and 1 not in walk.seen
        house.run("disconnect", "big")


@dataclass
class Walk:
    way: Way
    cursor: str | None = None
    seen: list[int] = field(default_factory=list)

    def step(self) -> int:
        """One page further; the last number on it."""
        tools, self.cursor = self.way.page(self.cursor)
        self.seen += [number_of(tool) for tool in tools if not tool["name"].startswith("gatehouse__")]
        return self.seen[-1]


@pytest.mark.parametrize("cursor", ["?", "w6Q", "_w==", 5, ["a"], {}])
def test_a_cursor_that_nobody_gave_is_refused(house: House, key: str, cursor: object) -> None:
    answer = Way(house, key, False).ask("tools/list", cursor=cursor)
    assert answer["error"]["code"] == -32602, answer
