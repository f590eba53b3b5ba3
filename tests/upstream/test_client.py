"""The client with servers of both eras: what it sends, what it gives back, what it survives."""

from __future__ import annotations

import asyncio
import base64
import functools
import gzip
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

from tests.upstream import zoo as z
from webapp.errors import BadReply, InvalidInput, NeedsAuthorization, RpcError, Unreachable, UpstreamError
from webapp.upstream.client import MODERN, Client
from webapp.upstream.egress import Allowance, Egress
from webapp.upstream.pace import AT_ONCE, PER_SECOND, SHOWN_AT_ONCE, SHOWN_PER_SECOND

META = "io.modelcontextprotocol/"


def in_the_zoo(test: Callable[[z.Zoo], Awaitable[None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        async def visit() -> None:
            async with asyncio.timeout(90), z.opened() as zoo:
                await test(zoo)

        asyncio.run(visit())

    # pytest would take the zoo for a fixture.
    del run.__wrapped__
    return run


def calling(answer: z.Animal) -> z.Animal:
    return z.modern(tools_call=answer)


async def broken(zoo: z.Zoo, animal: z.Animal, **settings: Any) -> UpstreamError:
    """The refusal a call of `echo` ends with."""
    async with zoo.client(animal, **settings) as client:
        with pytest.raises(UpstreamError) as caught:
            await client.call_tool("echo", {})
    return caught.value


# What goes out


@in_the_zoo
async def test_a_modern_request_says_everything_by_itself(zoo: z.Zoo) -> None:
    async with zoo.client(z.modern(), version=MODERN) as client:
        await client.call_tool("echo", {"a": 1}, meta={"trace": "x"}, capabilities={"elicitation": {}})
    (ask,) = zoo.asked
    assert ask.params["arguments"] == {"a": 1}
    assert ask.params["_meta"] == {
        "trace": "x",
        f"{META}protocolVersion": MODERN,
        f"{META}clientInfo": ask.params["_meta"][f"{META}clientInfo"],
        f"{META}clientCapabilities": {"elicitation": {}},
    }
    assert (ask.headers["mcp-method"], ask.headers["mcp-name"]) == ("tools/call", "echo")


@in_the_zoo
async def test_headers_are_built_from_scratch(zoo: z.Zoo) -> None:
    settings = {"version": MODERN, "headers": {"Authorization": "Bearer t", "Accept": "text/plain"}}
    async with zoo.client(z.modern(), **settings) as client:
        await client.call_tool("echo", {})
    headers = zoo.asked[0].headers
    assert headers.keys() == {
        *("host", "connection", "accept-encoding", "user-agent", "content-length", "content-type", "accept"),
        *("authorization", "mcp-protocol-version", "mcp-method", "mcp-name"),
    }
    assert headers["authorization"] == "Bearer t"
    assert headers["accept"] == "application/json, text/event-stream"


@in_the_zoo
async def test_a_caller_can_not_put_words_in_our_mouth(zoo: z.Zoo) -> None:
    forged = {f"{META}clientInfo": {"name": "forged"}, f"{META}protocolVersion": "1", "progressToken": "p"}
    async with zoo.client(z.modern(), version=MODERN) as client:
        await client.call_tool("echo", {}, meta=forged)
    meta = zoo.asked[0].params["_meta"]
    assert meta[f"{META}clientInfo"]["name"] == "gatehouse"
    assert meta[f"{META}protocolVersion"] == MODERN
    assert "progressToken" not in meta


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "snow\N{SNOWMAN}", "a\x00b"])
def test_a_header_that_would_break_the_request_is_refused_at_once(value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Client("https://example.com/mcp", Egress().http(), headers={"Authorization": value})
    assert value not in str(caught.value)


@in_the_zoo
async def test_arguments_are_repeated_in_headers_where_the_schema_says_so(zoo: z.Zoo) -> None:
    region = {"type": "string", "x-mcp-header": "Region"}
    tool = {**z.ECHO, "inputSchema": {"type": "object", "properties": {"region": region}}}
    async with zoo.client(z.modern((tool,))) as client:
        await client.list_tools()
        await client.call_tool("echo", {"region": "eu"})
        await client.call_tool("echo", {"region": "Zürich"})
        await client.call_tool("echo", {})
    plain, coded, absent = (ask.headers.get("mcp-param-region") for ask in zoo.asked[-3:])
    assert (plain, absent) == ("eu", None)
    assert coded == f"=?base64?{base64.b64encode('Zürich'.encode()).decode()}?="


@in_the_zoo
async def test_a_refusal_of_our_headers_makes_us_read_the_schema_and_ask_again(zoo: z.Zoo) -> None:
    tool = {
        **z.ECHO,
        "inputSchema": {"type": "object", "properties": {"r": {"type": "string", "x-mcp-header": "R"}}},
    }

    async def picky(ask: z.Ask) -> z.Answer:
        if "mcp-param-r" not in ask.headers:
            return z.error(ask, -32020, "Header mismatch", status=400)
        return z.result(ask, {"content": []})

    async with zoo.client(z.modern((tool,), tools_call=picky), version=MODERN) as client:
        assert await client.call_tool("echo", {"r": "x"}) == {"content": []}
    assert zoo.rpcs() == ["tools/call", "tools/list", "tools/call"]


@in_the_zoo
async def test_a_refusal_of_our_headers_that_stays_is_passed_on_once(zoo: z.Zoo) -> None:
    async def never(ask: z.Ask) -> z.Answer:
        return z.error(ask, -32020, "Header mismatch", status=400)

    refusal = await broken(zoo, calling(never), version=MODERN)
    assert isinstance(refusal, RpcError) and refusal.code == -32020
    assert zoo.rpcs().count("tools/call") == 1


# The beginning


@in_the_zoo
async def test_a_modern_server_is_known_by_its_own_word(zoo: z.Zoo) -> None:
    async with zoo.client(z.modern()) as client:
        info = await client.connect()
        assert (info.version, info.name, info.title, info.server_version) == (
            *(MODERN, "menagerie"),
            *("The Menagerie", "7.1"),
        )
    assert zoo.rpcs() == ["server/discover"]


@in_the_zoo
async def test_an_older_server_gets_its_handshake_and_its_session_back(zoo: z.Zoo) -> None:
    async with zoo.client(z.legacy(sessions=True)) as client:
        info = await client.connect()
        await client.call_tool("echo", {})
    assert (info.version, info.name) == ("2025-06-18", "menagerie")
    assert zoo.rpcs() == [
        "server/discover",
        "initialize",
        "notifications/initialized",
        "tools/call",
        "DELETE",
    ]
    sessions = {ask.headers.get("mcp-session-id") for ask in zoo.asked[2:]}
    assert len(sessions) == 1 and None not in sessions
    assert all(ask.headers["mcp-protocol-version"] == "2025-06-18" for ask in zoo.asked[2:])
    assert "mcp-protocol-version" not in zoo.asked[1].headers
    assert "_meta" not in zoo.asked[3].params


@in_the_zoo
async def test_a_server_known_to_be_older_is_not_asked_for_the_new_era(zoo: z.Zoo) -> None:
    async with zoo.client(z.legacy(), version="2025-06-18") as client:
        await client.call_tool("echo", {})
    assert zoo.rpcs()[0] == "initialize"


@in_the_zoo
async def test_a_server_that_has_become_modern_is_found_out(zoo: z.Zoo) -> None:
    async with zoo.client(z.modern(), version="2025-06-18") as client:
        assert (await client.connect()).version == MODERN


@in_the_zoo
async def test_a_server_that_has_become_older_costs_one_call(zoo: z.Zoo) -> None:
    async def older(ask: z.Ask) -> z.Answer | None:
        if ask.headers.get("mcp-protocol-version") == MODERN:
            return z.error(ask, -32000, "Bad Request: Server not initialized", status=400)
        return await z.legacy()(ask)

    async with zoo.client(older, version=MODERN) as client:
        with pytest.raises(RpcError):
            await client.call_tool("echo", {})
        assert "content" in await client.call_tool("echo", {})


@in_the_zoo
async def test_many_calls_at_once_share_one_handshake(zoo: z.Zoo) -> None:
    async with zoo.client(z.legacy(sessions=True)) as client:
        answers = await asyncio.gather(*(client.call_tool("echo", {"n": n}) for n in range(20)))
    assert [answer["content"][0]["text"] for answer in answers] == [f'{{"n": {n}}}' for n in range(20)]
    assert zoo.rpcs().count("initialize") == 1


@in_the_zoo
async def test_a_handshake_that_fails_fails_for_all_who_wait_and_can_be_tried_again(zoo: z.Zoo) -> None:
    async with zoo.client(z.always(z.Answer(503))) as client:
        results = await asyncio.gather(
            *(client.call_tool("echo", {}) for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(result, Unreachable) and not result.sent for result in results)
        zoo.put(z.modern())
        assert "content" in await client.call_tool("echo", {})


@in_the_zoo
async def test_whoever_gives_up_does_not_spoil_the_handshake_of_the_others(zoo: z.Zoo) -> None:
    waiting, go = asyncio.Event(), asyncio.Event()

    async def slow(ask: z.Ask) -> z.Answer | None:
        if ask.rpc == "server/discover":
            waiting.set()
            await go.wait()
        return await z.modern()(ask)

    async with zoo.client(slow) as client:
        first = asyncio.create_task(client.call_tool("echo", {}))
        await waiting.wait()
        second = asyncio.create_task(client.call_tool("echo", {}))
        first.cancel()
        go.set()
        assert "content" in await second
        with pytest.raises(asyncio.CancelledError):
            await first
    assert zoo.rpcs() == ["server/discover", "tools/call"]


@in_the_zoo
async def test_versions_we_do_not_know_are_refused_by_name(zoo: z.Zoo) -> None:
    async def future(ask: z.Ask) -> z.Answer:
        return z.error(ask, -32022, "Unsupported", {"supported": ["2031-01-01"]}, 400)

    refusal = await broken(zoo, future)
    assert isinstance(refusal, RpcError) and refusal.data == {"supported": ["2031-01-01"]}
    refusal = await broken(zoo, z.legacy(version="1999-01-01"))
    assert isinstance(refusal, BadReply) and "1999-01-01" in str(refusal)


# Sessions


@in_the_zoo
async def test_a_forgotten_session_is_begun_anew_and_the_call_said_again(zoo: z.Zoo) -> None:
    async with zoo.client(z.legacy(sessions=True), version="2025-06-18") as client:
        await client.request("forget")
        answers = await asyncio.gather(*(client.call_tool("echo", {}) for _ in range(8)))
    assert len(answers) == 8
    assert zoo.rpcs().count("initialize") == 2


@in_the_zoo
async def test_a_server_that_forgets_every_session_is_not_asked_for_ever(zoo: z.Zoo) -> None:
    async def amnesiac(ask: z.Ask) -> z.Answer:
        return z.error(ask, -32000, "Session not found", status=404)

    async def animal(ask: z.Ask) -> z.Answer | None:
        return await (amnesiac(ask) if ask.body and ask.rpc == "tools/call" else with_sessions(ask))

    with_sessions = z.legacy(sessions=True)
    refusal = await broken(zoo, animal, version="2025-06-18")
    assert isinstance(refusal, RpcError)
    assert zoo.rpcs().count("tools/call") == 2


@in_the_zoo
async def test_a_server_that_knows_no_session_and_says_400_costs_one_call(zoo: z.Zoo) -> None:
    """As many do that were started anew. It does not say for certain that nothing ran, so nothing is said twice."""

    async def animal(ask: z.Ask) -> z.Answer | None:
        answer = await server(ask)
        if isinstance(answer, z.Answer) and answer.status == 404:
            refusal = {"code": -32000, "message": "Bad Request: No valid session ID provided"}
            return z.as_json({"jsonrpc": "2.0", "id": None, "error": refusal}, 400)
        return answer

    server = z.legacy(sessions=True)
    async with zoo.client(animal, version="2025-06-18") as client:
        await client.request("forget")
        with pytest.raises(RpcError):
            await client.call_tool("echo", {})
        assert zoo.rpcs().count("tools/call") == 1
        await client.call_tool("echo", {})
    assert zoo.rpcs().count("initialize") == 2


@in_the_zoo
async def test_a_result_of_a_kind_that_nobody_agreed_on_is_none(zoo: z.Zoo) -> None:
    async def answer(ask: z.Ask) -> z.Answer:
        return z.result(ask, {"resultType": "task", "content": []})

    refusal = await broken(zoo, calling(answer), version=MODERN)
    assert isinstance(refusal, BadReply) and (refusal.kind, refusal.sent) == ("not_mcp", True)
    async with zoo.client(z.legacy(tools_call=answer)) as client:
        assert await client.call_tool("echo", {}) == {"content": []}, "a word without meaning there"


@in_the_zoo
async def test_without_a_session_nothing_is_said_twice(zoo: z.Zoo) -> None:
    async def gone(ask: z.Ask) -> z.Answer:
        return z.Answer(404)

    refusal = await broken(zoo, z.legacy(tools_call=gone), version="2025-06-18")
    assert isinstance(refusal, BadReply)
    assert zoo.rpcs().count("tools/call") == 1


@in_the_zoo
async def test_a_failing_goodbye_is_no_failure(zoo: z.Zoo) -> None:
    async def rude(ask: z.Ask) -> z.Answer | None:
        if ask.method == "DELETE":
            await ask.hang_up()
            return None
        return await with_sessions(ask)

    with_sessions = z.legacy(sessions=True)
    async with zoo.client(rude) as client:
        await client.connect()
    assert zoo.rpcs()[-1] == "DELETE"


# Answers


ODD_RESULTS = [
    {"content": [{"type": "text", "text": "x" * 3_000_000}]},
    {"content": [{"type": "hologram", "x": 1}], "isError": False},
    {"structuredContent": {"misses": "the output schema"}, "unknown": {"kept": [1, 2.5, None]}},
    {"content": "not even a list", "_meta": {"vendor/x": {"y": "ü\ud800"}}},
    {"resultType": "input_required", "requestState": "b64==", "inputRequests": {"a": {"method": "x"}}},
    {},
]


@pytest.mark.parametrize("odd", ODD_RESULTS)
@pytest.mark.parametrize("streamed", [False, True])
def test_results_come_back_unaltered(odd: dict[str, Any], streamed: bool) -> None:
    async def answer(ask: z.Ask) -> z.Answer | None:
        if not streamed:
            return z.result(ask, odd)
        await z.begin_stream(ask)
        await ask.write(z.event({"jsonrpc": "2.0", "id": ask.message["id"], "result": odd}))
        await asyncio.Event().wait()
        return None

    @in_the_zoo
    async def test(zoo: z.Zoo) -> None:
        async with zoo.client(calling(answer)) as client:
            assert await client.call_tool("echo", {}) == odd

    test()


@in_the_zoo
async def test_reading_ends_with_the_answer_though_the_stream_goes_on(zoo: z.Zoo) -> None:
    heard: list[dict[str, Any]] = []

    async def telling(ask: z.Ask) -> None:
        await z.begin_stream(ask)
        token = ask.params["_meta"]["progressToken"]
        for step in (1, 2):
            params = {"progressToken": token, "progress": step, "vendor": "x"}
            await ask.write(z.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}))
        stranger = {"progressToken": "another", "progress": 9}
        await ask.write(z.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": stranger}))
        await ask.write(b": a comment\n\ndata:\n\n")
        await ask.write(z.event({"jsonrpc": "2.0", "id": ask.message["id"], "result": {"content": []}}))
        await asyncio.Event().wait()

    async def listen(params: dict[str, Any]) -> None:
        heard.append(params)

    async with zoo.client(calling(telling)) as client:
        assert await client.call_tool("echo", {}, on_progress=listen) == {"content": []}
    assert [(params["progress"], params["vendor"]) for params in heard] == [(1, "x"), (2, "x")]


class Listener:
    """Counts what a server says beside its answer."""

    def __init__(self) -> None:
        self.logs = self.progress = 0

    async def log(self, params: dict[str, Any]) -> None:
        self.logs += 1

    async def note(self, params: dict[str, Any]) -> None:
        self.progress += 1

    async def oblige(self, method: str, params: dict[str, Any]) -> None:
        return None


@in_the_zoo
async def test_a_flood_is_read_no_faster_than_it_can_be_borne(zoo: z.Zoo) -> None:
    async def flooding(ask: z.Ask) -> None:
        await z.begin_stream(ask)
        params = {"progressToken": ask.params["_meta"]["progressToken"], "progress": 1}
        progress = z.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        spoken = z.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "so"}})
        while True:
            await ask.write((progress + spoken) * 100)

    listener = Listener()
    async with zoo.client(calling(flooding)) as client:
        began = time.monotonic()
        with pytest.raises(Unreachable):
            await client.call_tool("echo", {}, on_progress=listener.note, asker=listener, timeout=2)
        took = time.monotonic() - began
    assert AT_ONCE < 2 * listener.logs <= AT_ONCE + PER_SECOND * took + 2
    assert SHOWN_AT_ONCE / 2 < listener.progress <= SHOWN_AT_ONCE / 2 + SHOWN_PER_SECOND * took + 2


@in_the_zoo
async def test_requests_of_the_server_are_refused_and_pings_answered(zoo: z.Zoo) -> None:
    answered = asyncio.Event()

    async def curious(ask: z.Ask) -> None:
        await z.begin_stream(ask)
        await ask.write(
            z.event({"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": {}})
        )
        await ask.write(z.event({"jsonrpc": "2.0", "id": "s2", "method": "ping"}))
        await answered.wait()
        await ask.write(z.event({"jsonrpc": "2.0", "id": ask.message["id"], "result": {}}))

    async def animal(ask: z.Ask) -> z.Answer | None:
        if ask.body and ask.message.get("id") == "s2":
            answered.set()
        return await server(ask)

    server = z.legacy(sessions=True, tools_call=curious)
    async with zoo.client(animal) as client:
        assert await client.call_tool("echo", {}) == {}
    first, second = [ask for ask in zoo.asked if ask.body and ask.message.get("id") in ("s1", "s2")]
    assert first.message["error"]["code"] == -32601
    assert second.message["result"] == {}
    assert first.headers["mcp-session-id"]


@in_the_zoo
async def test_news_of_changed_tools_is_passed_on(zoo: z.Zoo) -> None:
    news: list[str] = []

    async def changing(ask: z.Ask) -> None:
        await z.begin_stream(ask)
        await ask.write(z.event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
        await ask.write(z.event({"jsonrpc": "2.0", "id": ask.message["id"], "result": {}}))

    settings = {"on_tools_changed": lambda: news.append("changed")}
    async with zoo.client(calling(changing), **settings) as client:
        await client.call_tool("echo", {})
    assert news == ["changed"]


@pytest.mark.parametrize("roughly", [False, True])
def test_a_stream_cut_short_is_taken_up_where_it_ended(roughly: bool) -> None:
    @in_the_zoo
    async def test(zoo: z.Zoo) -> None:
        await _take_up(zoo, "Content-Length: 999" if roughly else "Connection: close")

    test()


async def _take_up(zoo: z.Zoo, framing: str) -> None:
    async def stuttering(ask: z.Ask) -> None:
        await ask.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n\r\n".encode())
        await ask.write(b"id: e1\nretry: 1\ndata:\n\n")
        ask.writer.close()

    async def animal(ask: z.Ask) -> z.Answer | None:
        if ask.method != "GET":
            return await server(ask)
        (call,) = (
            earlier.message["id"] for earlier in zoo.asked if earlier.body and earlier.rpc == "tools/call"
        )
        await z.begin_stream(ask)
        await ask.write(z.event({"jsonrpc": "2.0", "id": call, "result": {"late": True}}, "e2"))
        return None

    server = z.legacy(sessions=True, tools_call=stuttering)
    async with zoo.client(animal) as client:
        assert await client.call_tool("echo", {}) == {"late": True}
    (get,) = [ask for ask in zoo.asked if ask.method == "GET"]
    assert (get.headers["last-event-id"], get.headers["accept"]) == ("e1", "text/event-stream")
    assert get.headers["mcp-session-id"]


@in_the_zoo
async def test_a_stream_may_be_taken_up_as_often_as_it_goes_on(zoo: z.Zoo) -> None:
    async def hanging_up(ask: z.Ask) -> None:
        number = sum(1 for earlier in zoo.asked if earlier.method == "GET")
        await z.begin_stream(ask)
        await ask.write(f"id: e{number}\nretry: 0\ndata:\n\n".encode())
        ask.writer.close()

    async def animal(ask: z.Ask) -> z.Answer | None:
        if ask.method != "GET":
            return await server(ask)
        if ask.headers["last-event-id"] != "e5":
            await hanging_up(ask)
            return None
        (call,) = (one.message["id"] for one in zoo.asked if one.body and one.rpc == "tools/call")
        await z.begin_stream(ask)
        await ask.write(z.event({"jsonrpc": "2.0", "id": call, "result": {"late": True}}))
        return None

    server = z.legacy(tools_call=hanging_up)
    async with zoo.client(animal, timeout=60) as client:
        assert await client.call_tool("echo", {}) == {"late": True}


@in_the_zoo
async def test_a_place_in_a_stream_that_no_header_can_name_is_no_place_to_go_on(zoo: z.Zoo) -> None:
    async def breaking(ask: z.Ask) -> None:
        await z.begin_stream(ask)
        await ask.write("id: ä\ndata:\n\n".encode())
        ask.writer.close()

    refusal = await broken(zoo, z.legacy(tools_call=breaking))
    assert isinstance(refusal, Unreachable) and (refusal.kind, refusal.sent) == ("closed", True)


@in_the_zoo
async def test_a_stream_that_ends_without_the_answer_is_no_usable_connection(zoo: z.Zoo) -> None:
    async def breaking(ask: z.Ask) -> None:
        await z.begin_stream(ask)
        await ask.write(b"id: e1\nretry: 1\ndata:\n\n")
        ask.writer.close()

    older = z.legacy(tools_call=breaking)
    for server in (z.modern(tools_call=breaking), older):
        refusal = await broken(zoo, server)
        assert isinstance(refusal, Unreachable) and (refusal.kind, refusal.sent) == ("closed", True)
        # Only the older era knows how to take a stream up again.
        assert zoo.rpcs().count("GET") == (server is older)


@in_the_zoo
async def test_errors_of_the_server_are_kept_whole(zoo: z.Zoo) -> None:
    async def failing(ask: z.Ask) -> z.Answer:
        return z.error(ask, -32042, "Needs a URL", {"elicitations": [1]}, 400)

    refusal = await broken(zoo, calling(failing))
    assert isinstance(refusal, RpcError)
    assert (refusal.code, refusal.message, refusal.data) == (-32042, "Needs a URL", {"elicitations": [1]})


@in_the_zoo
async def test_refused_sign_ins_carry_their_challenge(zoo: z.Zoo) -> None:
    for status, challenge in (
        (401, 'Bearer resource_metadata="https://x"'),
        (403, "Bearer error=x"),
        (401, ""),
        (403, ""),
    ):
        refusal = await broken(zoo, z.guarded(z.modern(), challenge, status=status))
        assert isinstance(refusal, NeedsAuthorization)
        assert (refusal.http_status, refusal.challenge) == (status, challenge)


@in_the_zoo
async def test_a_redirect_is_named_and_the_token_goes_nowhere_else(zoo: z.Zoo) -> None:
    zoo.put(z.modern(), "/elsewhere")
    redirect = z.redirect("/elsewhere?code=secret", 307)
    refusal = await broken(zoo, redirect, headers={"Authorization": "Bearer t"}, version=MODERN)
    assert isinstance(refusal, BadReply) and refusal.kind == "redirect"
    assert zoo.url("/elsewhere") in str(refusal) and "secret" not in str(refusal)
    assert [ask.path for ask in zoo.asked] == ["/mcp"]


@pytest.mark.parametrize(("status", "sent"), [(429, False), (500, True), (503, True)])
def test_a_server_in_trouble_is_busy(status: int, sent: bool) -> None:
    @in_the_zoo
    async def test(zoo: z.Zoo) -> None:
        refusal = await broken(zoo, calling(z.always(z.Answer(status, b"oops"))))
        assert isinstance(refusal, Unreachable)
        assert (refusal.kind, refusal.sent) == ("busy", sent)

    test()


# Hostile answers


def with_id(ask: z.Ask, template: bytes) -> z.Answer:
    body = template.replace(b"ID", str(ask.message["id"]).encode())
    return z.Answer(200, body, {"content-type": "application/json"})


BAD_BODIES = {
    "web page": (b"<html>please log in</html>", "html"),
    "not JSON": (b"{'jsonrpc'", "not_json"),
    "not UTF-8": (b'{"jsonrpc":"2.0","id":ID,"result":{"x":"\xff\xfe"}}', "not_json"),
    "not a number": (b'{"jsonrpc":"2.0","id":ID,"result":{"x":NaN}}', "not_json"),
    "bottomless": (
        b'{"jsonrpc":"2.0","id":ID,"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "not_json",
    ),
    "endless number": (b'{"jsonrpc":"2.0","id":ID,"result":{"x":' + b"9" * 5000 + b"}}", "not_json"),
    "nothing": (b"", "not_mcp"),
    "other JSON": (b'{"hello": "world"}', "not_mcp"),
    "a list": (b"[1, 2]", "not_mcp"),
    "no result": (b'{"jsonrpc":"2.0","id":ID,"result":"text"}', "not_mcp"),
    "wrong id": (b'{"jsonrpc":"2.0","id":999,"result":{}}', "wrong_id"),
    "id true": (b'{"jsonrpc":"2.0","id":true,"result":{}}', "wrong_id"),
    "no id": (b'{"jsonrpc":"2.0","result":{}}', "wrong_id"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_answer_is_named(name: str) -> None:
    body, kind = BAD_BODIES[name]

    async def answer(ask: z.Ask) -> z.Answer:
        return with_id(ask, body)

    @in_the_zoo
    async def test(zoo: z.Zoo) -> None:
        refusal = await broken(zoo, calling(answer), version=MODERN)
        assert isinstance(refusal, BadReply) and refusal.kind == kind

    test()


@in_the_zoo
async def test_an_answer_to_another_question_does_not_leave_us_waiting(zoo: z.Zoo) -> None:
    async def confused(ask: z.Ask) -> None:
        await z.begin_stream(ask)
        await ask.write(z.event({"jsonrpc": "2.0", "id": 999, "result": {}}))
        await asyncio.Event().wait()

    refusal = await broken(zoo, calling(confused), timeout=60)
    assert isinstance(refusal, BadReply) and refusal.kind == "wrong_id"


@in_the_zoo
async def test_an_id_sent_back_as_text_is_taken(zoo: z.Zoo) -> None:
    async def answer(ask: z.Ask) -> z.Answer:
        return with_id(ask, b'{"jsonrpc":"2.0","id":"ID","result":{"ok":true}}')

    async with zoo.client(calling(answer)) as client:
        assert await client.call_tool("echo", {}) == {"ok": True}


@in_the_zoo
async def test_a_batch_of_2025_03_26_is_read(zoo: z.Zoo) -> None:
    async def answer(ask: z.Ask) -> z.Answer:
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
        return z.as_json([note, {"jsonrpc": "2.0", "id": ask.message["id"], "result": {"ok": True}}])

    async with zoo.client(z.legacy(version="2025-03-26", tools_call=answer)) as client:
        assert await client.call_tool("echo", {}) == {"ok": True}


@in_the_zoo
async def test_floods_bombs_and_drips_end_at_their_limits(zoo: z.Zoo) -> None:
    async def flood(ask: z.Ask) -> None:
        await ask.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        for _ in range(100):
            await ask.write(b" " * 1_000_000)

    async def bomb(ask: z.Ask) -> z.Answer:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        return z.Answer(200, gzip.compress(b" " * 50_000_000, 1), headers)

    async def drip(ask: z.Ask) -> None:
        await ask.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n")
        while True:
            await ask.write(b" ")
            await asyncio.sleep(0.02)

    for animal, kinds in (
        (flood, {"too_large"}),
        (bomb, {"compressed"}),
        (drip, {"too_slow", "read_timeout"}),
    ):
        refusal = await broken(
            zoo, calling(animal), version=MODERN, timeout=60 if animal is not drip else 0.3
        )
        assert isinstance(refusal, BadReply | Unreachable) and refusal.kind in kinds


# Deadlines and broken lines


@in_the_zoo
async def test_no_answer_in_time_says_whether_it_may_have_been_heard(zoo: z.Zoo) -> None:
    refusal = await broken(zoo, calling(z.silent), version=MODERN, timeout=1)
    assert isinstance(refusal, Unreachable) and (refusal.kind, refusal.sent) == ("read_timeout", True)
    refusal = await broken(zoo, z.silent, timeout=1)
    assert isinstance(refusal, Unreachable) and (refusal.kind, refusal.sent) == ("read_timeout", False)


@in_the_zoo
async def test_a_single_call_may_take_longer_than_the_others(zoo: z.Zoo) -> None:
    async def slow(ask: z.Ask) -> z.Answer:
        await asyncio.sleep(0.3)
        return z.result(ask, {})

    async with zoo.client(calling(slow), version=MODERN, timeout=0.1) as client:
        assert await client.call_tool("echo", {}, timeout=60) == {}


@in_the_zoo
async def test_an_older_server_is_told_when_nobody_waits_any_more(zoo: z.Zoo) -> None:
    begun, told = asyncio.Event(), asyncio.Event()

    async def hanging(ask: z.Ask) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def animal(ask: z.Ask) -> z.Answer | None:
        if ask.body and ask.rpc == "notifications/cancelled":
            told.set()
        return await server(ask)

    server = z.legacy(tools_call=hanging)
    async with zoo.client(animal) as client:
        call = asyncio.create_task(client.call_tool("echo", {}))
        await begun.wait()
        call.cancel()
        await told.wait()
    (asked,) = [ask.message["id"] for ask in zoo.asked if ask.body and ask.rpc == "tools/call"]
    assert [ask.params["requestId"] for ask in zoo.asked if ask.rpc == "notifications/cancelled"] == [asked]


@pytest.mark.parametrize("version", [MODERN, "2025-06-18"])
def test_one_dropped_connection_hurts_one_call_only(version: str) -> None:
    begun, dropped = asyncio.Event(), asyncio.Event()

    async def answer(ask: z.Ask) -> z.Answer | None:
        if ask.params["arguments"] == {"drop": True}:
            await begun.wait()
            await ask.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
            await ask.hang_up()
            dropped.set()
            return None
        begun.set()
        await dropped.wait()
        return z.result(ask, {"survived": True})

    @in_the_zoo
    async def test(zoo: z.Zoo) -> None:
        server = (
            z.modern(tools_call=answer) if version == MODERN else z.legacy(sessions=True, tools_call=answer)
        )
        async with zoo.client(server, version=version) as client:
            calls = (client.call_tool("echo", {"drop": True}), client.call_tool("echo", {}))
            outcomes: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
            lost, kept = outcomes
            assert isinstance(lost, Unreachable) and (lost.kind, lost.sent) == ("closed", True)
            assert kept == {"survived": True}
            assert await client.call_tool("echo", {}) == {"survived": True}
        assert zoo.rpcs().count("initialize") <= 1
        assert zoo.rpcs().count("tools/call") == 3

    test()


def test_a_server_that_is_not_there_was_sent_nothing() -> None:
    async def call() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        async with Egress([Allowance("127.0.0.1", port, "127.0.0.0/8", True)]).http() as http:
            await Client(f"http://127.0.0.1:{port}/mcp", http, version=MODERN).call_tool("x", {})

    with pytest.raises(Unreachable) as caught:
        asyncio.run(call())
    assert (caught.value.kind, caught.value.sent) == ("refused", False)


# The real thing


@asynccontextmanager
async def sdk_server(*, stateless: bool) -> AsyncIterator[str]:
    server = MCPServer("official", version="3", instructions="Be kind.", log_level="CRITICAL")

    @server.tool()
    def echo(text: str) -> str:
        return text

    @server.tool()
    async def count(context: Context) -> str:
        for step in range(3):
            await context.report_progress(step, 3)
        return "done"

    app = server.streamable_http_app(stateless_http=stateless)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        runner = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        task = asyncio.create_task(runner.serve([listener]))
        while not runner.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        runner.should_exit = True
        await task


@pytest.mark.parametrize("stateless", [True, False])
def test_the_official_sdk_server_in_both_eras(stateless: bool) -> None:
    async def talk() -> None:
        async with sdk_server(stateless=stateless) as url:
            port = int(url.split(":")[2].split("/")[0])
            async with Egress([Allowance("127.0.0.1", port, "127.0.0.0/8", True)]).http() as http:
                for expected, spoken in ((None, MODERN), (MODERN, MODERN), ("2025-11-25", "2025-11-25")):
                    await _talk_to_sdk(Client(url, http, version=expected), spoken)

    asyncio.run(talk())


async def _talk_to_sdk(client: Client, spoken: str) -> None:
    info = await client.connect()
    assert (info.version, info.name, info.instructions) == (spoken, "official", "Be kind.")
    listing = await client.list_tools()
    assert [tool.name for tool in listing.tools] == ["echo", "count"] and listing.complete
    answer = await client.call_tool("echo", {"text": "grüezi"})
    assert answer["structuredContent"] == {"result": "grüezi"}
    heard: list[float] = []

    async def listen(params: dict[str, Any]) -> None:
        heard.append(params["progress"])

    assert (await client.call_tool("count", {}, on_progress=listen))["content"][0]["text"] == "done"
    assert heard == [0, 1, 2]
    with pytest.raises(RpcError):
        await client.request("no/such/method")
    await client.aclose()
