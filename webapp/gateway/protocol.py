"""MCP without HTTP: one JSON-RPC request in, its result out, in both protocol eras."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    LOG_LEVEL_META_KEY,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    SERVER_INFO_META_KEY,
)

from config import VERSION
from webapp.errors import NotFound, RpcError, TooMany
from webapp.gateway import again, dialogues, finding, shapes
from webapp.gateway.again import Again
from webapp.gateway.call import Answer, Call
from webapp.gateway.calls import Calls
from webapp.gateway.catalogue import Catalogue, CatalogueTool, KnownAgent
from webapp.gateway.finding import Finder
from webapp.gateway.lines import Progress
from webapp.gateway.listing import listed_bytes
from webapp.gateway.stream import EventStream
from webapp.gateway.subscriptions import Subscriptions
from webapp.gateway.voice import Voice
from webapp.gateway.words import Words
from webapp.services import own_tools
from webapp.services.agent_errors import about, failure, structured
from webapp.services.audit import Actor
from webapp.services.quotas import Quota
from webapp.upstream.client import LEVELS
from webapp.upstream.envelope import COMPLETE, HANDSHAKE, INPUT_REQUIRED, MODERN

SERVER_INFO = {"name": "gatehouse", "title": "Gatehouse", "version": VERSION}
REASON = "gatehouse/reason"
ANOTHER_ROUND = ("inputResponses", "requestState")
CAPABILITIES: dict[str, Any] = {"tools": {"listChanged": True}, "logging": {}}
LIST_HINTS = {"ttlMs": 5000, "cacheScope": "private"}
INSTRUCTIONS = (
    "Tools of several servers, named <server>__<tool>. Some calls wait for a person's approval: the answer then "
    "says so and how to wait. Nothing has run before that. Where there is gatehouse__search_tools, find tools with it."
)
INVALID_REQUEST, INVALID_PARAMS, METHOD_NOT_FOUND, INTERNAL_ERROR = -32600, -32602, -32601, -32603
TOO_OFTEN = 429  # MCP has no number for it, and leaves those outside the range of JSON-RPC to everybody
# For what MCP says of a conversation: the agent's with us, or ours with a server.
RESERVED = range(-32099, -32019)
NO_RESOURCE = -32002  # until 2025-11-25


@dataclass
class Request:
    agent: KnownAgent
    catalogue: Catalogue
    method: str
    params: dict[str, Any]
    version: str
    server: str = ""  # /mcp/s/<server-name>: one server with its own tool names
    ip: str = ""
    id: object = None
    session: str = ""
    stream: EventStream | None = None  # to the agent, while its answer is being made
    answer: Answer | None = field(default=None)  # set when the answer belongs to an approval
    modern: bool = field(init=False)
    meta: dict[str, Any] = field(init=False)  # of the params that came, also where they are replaced

    def __post_init__(self) -> None:
        meta = self.params.get("_meta")
        self.modern, self.meta = self.version == MODERN, meta if isinstance(meta, dict) else {}

    @property
    def caller(self) -> Actor:
        return Actor("agent", self.agent.name, self.agent.id, ip=self.ip)

    @property
    def progress(self) -> Progress | None:
        token = self.meta.get("progressToken")
        usable = isinstance(token, (str, int)) and not isinstance(token, bool)
        return self.stream.progress_to(token) if self.stream and usable else None


def error(code: int, message: str, data: Any = None) -> RpcError:
    return RpcError({"code": code, "message": message} | ({"data": data} if data else {}))


def without_reserved_code(refusal: RpcError) -> RpcError:
    """For programs of 2026-07-28, which must not be told what that revision reserves or has given up. A server's word
    that our headers or our version are wrong would send them looking at their own."""
    code, data = refusal.code, refusal.data
    if code == NO_RESOURCE:
        return error(INVALID_PARAMS, refusal.message, data)
    if code not in RESERVED or code == MISSING_REQUIRED_CLIENT_CAPABILITY:
        return refusal
    told = about("upstream_error", "no", code=code)
    return error(INTERNAL_ERROR, refusal.message, told | data if isinstance(data, dict) else data or told)


class Protocol:
    def __init__(self, calls: Calls, subscriptions: Subscriptions, words: Words) -> None:
        self._calls = calls
        self._words = words
        self._subscriptions = subscriptions
        self._finder = Finder()

    async def result(self, request: Request) -> dict[str, Any] | bytes:
        """In the envelope of the agent's era; bytes are JSON already. Raises RpcError for everything that is a
        JSON-RPC error rather than a tool's result."""
        if request.method == "tools/call":
            return _dressed_result(await self._call(request), request.modern)
        try:
            self._calls.quotas.ask(request.agent)
        except TooMany as refusal:
            await self._calls.refusals.note_too_many(request.caller, request.method[:200], {}, refusal.what)
            raise error(TOO_OFTEN, f"{refusal.what} {refusal.next_step}", too_often(refusal)) from None
        if request.method == "tools/list":
            return _list(request)
        return dressed(await self._plain(request), request.modern)

    async def _plain(self, request: Request) -> dict[str, Any]:
        match request.method:
            case "initialize" if not request.modern:
                return _initialize(request)
            case "ping" if not request.modern:
                return {}
            case "server/discover" if request.modern:
                return _discover()
            case "logging/setLevel" if not request.modern:
                return await self._set_level(request)
            case "subscriptions/listen" if request.modern:
                return await self._listen(request)
        raise error(METHOD_NOT_FOUND, f"Method not found: {request.method}")

    async def _call(self, request: Request) -> dict[str, Any]:
        request.params = finding.called_through(request.params)
        arguments = request.params.get("arguments", {})
        if not isinstance(arguments, dict):
            raise error(INVALID_PARAMS, "arguments must be an object")
        name = request.params.get("name")
        tool = request.catalogue.find(request.agent, name, request.server)
        try:
            if isinstance(name, str) and name.startswith(own_tools.PREFIX):
                self._calls.quotas.ask(request.agent)
                if (result := await self._call_own(request, name, arguments)) is not None:
                    return result
            quota = await self._calls.admit(request.agent)
            return await self._call_tool(request, tool, arguments, quota)
        except TooMany as refusal:
            asked_for = tool.catalogue_name if tool else str(name)[:200]
            await self._calls.refusals.note_too_many(request.caller, asked_for, arguments, refusal.what)
            return structured(_too_many(refusal), tool.definition if tool else None)

    async def _call_tool(
        self, request: Request, tool: CatalogueTool | None, arguments: dict[str, Any], quota: Quota
    ) -> dict[str, Any]:
        if tool is None:
            name = str(request.params.get("name"))[:200]
            await self._calls.refusals.note(request.caller, name, arguments, "not offered to this agent")
            raise error(INVALID_PARAMS, f"Unknown tool: {name}", about("not_offered", "no"))
        state = request.params.get("requestState") if request.modern else None
        came, dialogue, given = again.read(state), dialogues.read(state), _another_round(request)
        call = _call(
            request, tool, arguments, self._voice(request, tool), None if came or dialogue else given
        )
        call.quota = quota
        try:
            if dialogue:
                request.answer = await self._calls.go_on(call, dialogue, given.get("inputResponses", {}))
            else:
                request.answer = await self._answer(call, came)
        except NotFound:
            raise error(
                INVALID_PARAMS, "This requestState belongs to another call", about("invalid", "no")
            ) from None
        if request.answer.waiting and request.modern:
            rounds = came.round + 1 if came else 1
            if rounds <= again.MOST_ROUNDS:
                return Again(request.answer.approval, rounds).result
        return structured(request.answer.result, tool.definition)

    def _answer(self, call: Call, came: Again | None) -> Awaitable[Answer]:
        return self._calls.approvals.wait_again(call, came.approval_id) if came else self._calls.answer(call)

    async def _call_own(
        self, request: Request, name: str, arguments: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Gatehouse's own tools. None: it has no such tool."""
        if name == own_tools.AWAIT_APPROVAL["name"]:
            request.answer = await self._await(request, arguments)
            return structured(request.answer.result, own_tools.AWAIT_APPROVAL)
        if name == own_tools.MY_APPROVALS["name"]:
            return await self._calls.approvals.of_agent(request.agent)
        if name == own_tools.SEARCH_TOOLS:
            return await self._finder.find(request.catalogue, request.agent, arguments, request.server)
        return None

    def _voice(self, request: Request, tool: CatalogueTool) -> Voice | None:
        if request.stream is None:
            return None
        meta, modern = request.meta, request.modern
        if modern and (level := meta.get(LOG_LEVEL_META_KEY)) is not None and level not in LEVELS:
            raise error(INVALID_PARAMS, f"There is no log level {str(level)[:40]}")
        server = tool.source.name
        return Voice(request.stream, self._words, request.agent.id, request.session, modern, meta, server)

    async def _set_level(self, request: Request) -> dict[str, Any]:
        level = str(request.params.get("level"))
        if level not in LEVELS:
            raise error(INVALID_PARAMS, f"There is no log level {level[:40]}")
        await self._words.set_level(request.agent.id, request.session, level)
        return {}

    async def _listen(self, request: Request) -> dict[str, Any]:
        wanted = request.params.get("notifications")
        if not isinstance(wanted, dict):
            raise error(INVALID_PARAMS, "notifications must be an object")
        if request.stream is None or not request.stream.takes_events:
            raise error(INVALID_REQUEST, "Only a client that accepts text/event-stream can listen")
        return await self._subscriptions.serve(
            request.catalogue, request.agent, request.server, wanted.get("toolsListChanged") is True,
            request.id, request.stream.tell,
        )  # fmt: skip

    async def _await(self, request: Request, arguments: dict[str, Any]) -> Answer:
        approval_id, reason = str(arguments.get("approval_id", "")), str(arguments.get("reason", ""))
        seconds = own_tools.wait_seconds(arguments)
        try:
            return await self._calls.approvals.wait_for_own(
                request.agent, approval_id, seconds, reason, request.progress
            )
        except NotFound:
            return Answer(failure("There is no approval with this id for this agent.", "invalid", "no"))


def too_often(refusal: TooMany) -> dict[str, Any]:
    return about("rate_limited", "later", retry_after_seconds=refusal.retry_after)


def _too_many(refusal: TooMany) -> dict[str, Any]:
    text = f"{refusal.what} This call has not run. {refusal.next_step}"
    return failure(text, "rate_limited", "later", retry_after_seconds=refusal.retry_after)


def _call(
    request: Request,
    tool: CatalogueTool,
    arguments: dict[str, Any],
    voice: Voice | None,
    another_round: dict[str, Any] | None,
) -> Call:
    offers = voice.offers if voice else None
    reason = request.meta.get(REASON)
    return Call(
        request.caller,
        tool,
        arguments,
        meta={key: value for key, value in request.meta.items() if key != REASON},
        another_round=another_round,
        capabilities=_declared(request) if request.modern else offers,
        on_progress=request.progress,
        voice=voice,
        takes_part_in_rounds=request.modern,
        reason=reason[:2000] if isinstance(reason, str) else "",
    )


def _declared(request: Request) -> dict[str, Any] | None:
    """Without extensions: they hold between neighbours, and we have none, so what one adds would reach nobody."""
    told = request.meta.get(CLIENT_CAPABILITIES_META_KEY)
    return (
        {name: one for name, one in told.items() if name != "extensions"} if isinstance(told, dict) else None
    )


def _another_round(request: Request) -> dict[str, Any]:
    """The agent's answers to what the server asked back (2026-07-28, multi-round requests)."""
    given = {name: request.params[name] for name in ANOTHER_ROUND if name in request.params}
    if not isinstance(given.get("inputResponses", {}), dict):
        raise error(INVALID_PARAMS, "inputResponses must be an object")
    if not isinstance(given.get("requestState", ""), str):
        raise error(INVALID_PARAMS, "requestState must be a string")
    return given if request.modern else {}


def _initialize(request: Request) -> dict[str, Any]:
    wanted = request.params.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in HANDSHAKE else HANDSHAKE[0],
        "capabilities": CAPABILITIES,
        "serverInfo": SERVER_INFO,
        "instructions": INSTRUCTIONS,
    }


def _discover() -> dict[str, Any]:
    return {
        "supportedVersions": [MODERN],
        "capabilities": CAPABILITIES,
        "instructions": INSTRUCTIONS,
        "ttlMs": 60_000,
        "cacheScope": "public",
    }


def _list(request: Request) -> bytes:
    def dress(result: dict[str, Any]) -> dict[str, Any]:
        if request.modern:
            return dressed(result | LIST_HINTS, modern=True)
        return dressed(
            result | {"tools": [shapes.tool_of_old(tool) for tool in result["tools"]]}, modern=False
        )

    cursor = request.params.get("cursor")
    era = MODERN if request.modern else ""
    return listed_bytes(request.catalogue, request.agent, request.server, cursor, dress, era)


def _dressed_result(result: dict[str, Any], modern: bool) -> dict[str, Any]:
    over = result.get("resultType") != INPUT_REQUIRED
    return dressed(shapes.result(result, modern) if over else result, modern)


def dressed(result: dict[str, Any], modern: bool) -> dict[str, Any]:
    """The result in the envelope of the agent's era. The server's own envelope ends here; the rest is untouched."""
    theirs = result.get("_meta")
    given = theirs if isinstance(theirs, dict) else {}
    meta = {key: value for key, value in given.items() if key != SERVER_INFO_META_KEY}
    if modern:
        return {"resultType": COMPLETE} | result | {"_meta": meta | {SERVER_INFO_META_KEY: SERVER_INFO}}
    plain = {key: value for key, value in result.items() if key not in ("resultType", "_meta")}
    return plain | {"_meta": meta} if meta else plain
