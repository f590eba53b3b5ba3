"""Our side of a conversation with one MCP server, in both protocol eras. Results come back unaltered."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol, get_args

from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    LoggingLevel,
)

from webapp.errors import BadReply, RpcError, Unreachable, UpstreamError
from webapp.upstream import envelope, handshake, paging
from webapp.upstream.envelope import COMPLETE, HANDSHAKE, INPUT_REQUIRED, MODERN, HeaderMap
from webapp.upstream.exchange import NO_STREAM, Exchange, Http, Reply, error_code, result_of
from webapp.upstream.handshake import ServerInfo, Session
from webapp.upstream.listing import Listing, speaks_of_headers
from webapp.upstream.pace import Pace
from webapp.upstream.sse import MessageHandler

__all__ = ["HANDSHAKE", "MODERN", "Client", "ProgressHandler", "ServerInfo"]

# Gets the `params` of each notifications/progress; the `progressToken` in it is ours.
ProgressHandler = Callable[[dict[str, Any]], Awaitable[None]]
# Gets method and params of a request that a server of the old era makes of us; None: we don't do that.
RequestHandler = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any] | None]]


class Asker(Protocol):
    """Who a call is made for, as far as its server may speak to them while it runs."""

    async def log(self, params: dict[str, Any]) -> None: ...

    async def oblige(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """As RequestHandler; or raises RpcError with their own refusal."""


RESULT_TYPES = (COMPLETE, INPUT_REQUIRED)  # others come with extensions, of which we declare none
GOODBYE_SECONDS = 2.0
ANSWER_SECONDS = 10.0
MOST_QUESTIONS = 10  # of one call at a time; more get a plain no
MOST_ASKED = 200  # by one call in all, pings included
LISTEN_SECONDS = 3600.0
LISTEN = "subscriptions/listen"
LEVELS = get_args(LoggingLevel)  # of logs, the least important first
NOT_DONE = {"code": METHOD_NOT_FOUND, "message": "This client does not do that."}
MOST_HEARD = 1000  # of one stream, so that a flood ends
_NOT_UNDERSTOOD = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
_MODERN_REFUSALS = frozenset(
    {HEADER_MISMATCH, MISSING_REQUIRED_CLIENT_CAPABILITY, METHOD_NOT_FOUND, INVALID_PARAMS}
)


class _NothingPromised(Exception):
    """The server takes a subscription, but will not say anything that we want to hear."""


@dataclass
class _Ask:
    """One request of ours under way. `sent` is True once it may have reached the server."""

    number: int
    method: str
    params: Mapping[str, Any]
    capabilities: Mapping[str, Any] | None
    on_progress: ProgressHandler | None
    seconds: float
    asker: Asker | None = None
    sent: bool = False
    questions: set[asyncio.Task[None]] = field(default_factory=set)
    asked: int = 0
    pace: Pace = field(default_factory=Pace)


class Client:
    """One per worker and server; many calls may run on it at once, and a broken one harms no other."""

    def __init__(
        self,
        url: str,
        http: Http,
        *,
        headers: Mapping[str, str] | None = None,
        version: str | None = None,
        timeout: float = 60.0,
        on_tools_changed: Callable[[], None] | None = None,
        on_request: RequestHandler | None = None,
        offers: Mapping[str, Any] | None = None,
    ) -> None:
        """`offers` are the capabilities that a server of the old era is told of: those of whoever the calls are for.
        Who gives `on_request` answers elicitations."""
        self._exchange = Exchange(url, http, headers or {})
        self._expected = version
        self._assumed = version == MODERN
        self._session = Session(ServerInfo(MODERN)) if self._assumed else None
        self._handshake: asyncio.Task[Session] | None = None
        self._timeout = timeout
        self._on_tools_changed = on_tools_changed
        self._on_request = on_request
        self._offers = offers or ({"elicitation": {}} if on_request else {})
        self._logs_from = ""
        self._numbers = itertools.count(1)
        self._header_maps: dict[str, HeaderMap] = {}
        self._errands: set[asyncio.Task[Any]] = set()

    @classmethod
    def carrying_on(cls, exchange: Exchange, session: Session, *, timeout: float) -> Client:
        """For whoever has already shaken hands."""
        client = cls(exchange.url, exchange.http, headers=exchange.own_headers, timeout=timeout)
        client._session, client._expected = session, session.version
        return client

    @property
    def version(self) -> str:
        """Empty before the first handshake."""
        return self._session.version if self._session else ""

    def identify(self, headers: Mapping[str, str]) -> None:
        """Another token of the same account, from the next request on; a session goes on."""
        self._exchange.identify(headers)

    async def connect(self) -> ServerInfo:
        """Finds out which era and version the server speaks, and who it is."""
        if self._session is None or self._assumed:
            try:
                async with asyncio.timeout(self._timeout):
                    return (await self._shake_hands()).info
            except TimeoutError as error:
                raise self._too_late(sent=False) from error
        return self._session.info

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        on_progress: ProgressHandler | None = None,
        capabilities: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        asker: Asker | None = None,
    ) -> dict[str, Any]:
        """The raw result. `capabilities` are those of the agent we ask for; the modern era passes them on."""
        reply = await self.reply_to(
            method, params, on_progress=on_progress, capabilities=capabilities, timeout=timeout, asker=asker
        )
        result = result_of(reply, self._exchange.url)
        if result.get("resultType", COMPLETE) in RESULT_TYPES:
            return result
        if self.version == MODERN:
            raise BadReply("The server's answer is of a kind that Gatehouse does not know.", kind="not_mcp")
        return {name: part for name, part in result.items() if name != "resultType"}  # means nothing there

    def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        meta: Mapping[str, Any] | None = None,
        another_round: Mapping[str, Any] | None = None,
        on_progress: ProgressHandler | None = None,
        capabilities: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        asker: Asker | None = None,
    ) -> Awaitable[dict[str, Any]]:
        """`another_round` answers an `input_required` result (2026-07-28): inputResponses, and requestState if any."""
        params: dict[str, Any] = {"name": name, "arguments": arguments, **(another_round or {})}
        if meta:
            params["_meta"] = meta
        return self.request(
            "tools/call",
            params,
            on_progress=on_progress,
            capabilities=capabilities,
            timeout=timeout,
            asker=asker,
        )

    async def log_from(self, level: str) -> None:
        """The old era has one level for all who call in a session: the lowest that was ever wanted."""
        session = self._session or await self._shake_hands()
        rank = LEVELS.index
        if session.modern or not session.info.logs:
            return
        if not self._logs_from or rank(level) < rank(self._logs_from):
            self._logs_from = level
            await self.request("logging/setLevel", {"level": level})

    async def list_tools(
        self, *, max_pages: int = paging.MAX_PAGES, max_tools: int = paging.MAX_TOOLS
    ) -> Listing:
        async def page(cursor: str | None) -> tuple[dict[str, Any], int]:
            reply = await self.reply_to("tools/list", {} if cursor is None else {"cursor": cursor})
            return result_of(reply, self._exchange.url), reply.size

        listing = await paging.collect(page, max_pages=max_pages, max_tools=max_tools)
        for tool in listing.tools:
            self.learn(tool.name, tool.input_schema)
        return listing

    def learn(self, name: str, input_schema: Mapping[str, Any]) -> None:
        """Remembers which arguments of a tool the modern era repeats in request headers (`x-mcp-header`)."""
        self._header_maps.pop(name, None)
        if not speaks_of_headers(input_schema):
            return
        if find_invalid_x_mcp_header(input_schema) is None and (found := x_mcp_header_map(input_schema)):
            self._header_maps[name] = found

    async def listen(
        self, *, seconds: float = LISTEN_SECONDS, on_open: Callable[[], None] | None = None
    ) -> bool:
        """What the server says outside our calls (in the old era also what it asks), until its stream ends.

        False where it offers no such stream. Raises UpstreamError, also when the stream is cut off or time is up.
        """
        session = self._session or await self._shake_hands()
        if session.modern:
            return await self._subscribe(session, seconds, on_open)

        async def heard(incoming: dict[str, Any]) -> None:
            await self._hear(incoming, None, session)

        headers = envelope.headers_for(session.version, session.id)
        return await self._exchange.listen(headers, _at_most(heard), seconds=seconds, on_open=on_open)

    async def _subscribe(self, session: Session, seconds: float, on_open: Callable[[], None] | None) -> bool:
        """2026-07-28: the stream is the answer to a request; its result comes when the server ends it in good order."""
        wanted = {"notifications": {"toolsListChanged": True}}
        message, headers = envelope.request(
            next(self._numbers), LISTEN, wanted, version=session.version, session_id=session.id
        )

        async def heard(incoming: dict[str, Any]) -> None:
            if incoming["method"] != "notifications/subscriptions/acknowledged":
                await self._hear(incoming, None, session)
            elif not _promised(incoming):
                raise _NothingPromised
            elif on_open is not None:
                on_open()

        try:
            reply = await self._exchange.ask(message, headers, seconds=seconds, on_message=_at_most(heard))
        except _NothingPromised:
            return False
        if error_code(reply) == METHOD_NOT_FOUND or reply.status in NO_STREAM:
            return False
        result_of(reply, self._exchange.url)
        return True

    async def aclose(self, *, seconds: float = GOODBYE_SECONDS) -> None:
        """Ends the session, best effort. The HTTP client stays open: it is not ours."""
        waiting = self._errands | ({self._handshake} if self._handshake else set())
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=seconds)
            for task in late:
                task.cancel()
        session, self._session = self._session, None
        if session is not None:
            await handshake.end(self._exchange, session, seconds)

    async def reply_to(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        on_progress: ProgressHandler | None = None,
        capabilities: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        asker: Asker | None = None,
    ) -> Reply:
        """The answer before it is judged, with its HTTP status and headers."""
        seconds = self._timeout if timeout is None else timeout
        ask = _Ask(next(self._numbers), method, params or {}, capabilities, on_progress, seconds, asker)
        try:
            async with asyncio.timeout(seconds):
                return await self._reply(ask)
        except TimeoutError as error:
            self._call_off(ask)
            raise self._too_late(sent=ask.sent) from error
        except asyncio.CancelledError:
            self._call_off(ask)
            raise
        finally:
            for question in ask.questions:  # whoever asked has gone on without an answer
                question.cancel()

    async def _reply(self, ask: _Ask) -> Reply:
        session = self._session or await self._shake_hands()
        reply = await self._send(ask, session)
        if session.id and reply.status == HTTPStatus.NOT_FOUND:
            # The server has forgotten the session and so did not run the request: it may be said again.
            self._forget(session)
            return await self._send(ask, self._session or await self._shake_hands())
        if session.id and reply.status == HTTPStatus.BAD_REQUEST and (reply.message or {}).get("id") is None:
            # Some say so, instead of 404, that they know no such session. Not for certain, so nothing is repeated.
            self._forget(session)
        if session.modern and reply.status in _NOT_UNDERSTOOD:
            return await self._after_refusal(ask, session, reply)
        return reply

    async def _after_refusal(self, ask: _Ask, session: Session, reply: Reply) -> Reply:
        code = error_code(reply)
        if code == HEADER_MISMATCH and ask.method == "tools/call":
            before = self._header_map(ask)
            await self.list_tools()
            # It refused the headers and so did not run the call; with other headers it may be said again.
            return await self._send(ask, session) if self._header_map(ask) != before else reply
        if code not in _MODERN_REFUSALS:
            # Perhaps an older program runs there now: the next request finds out.
            self._forget(session)
        return reply

    def _forget(self, session: Session) -> None:
        if self._session is session:
            self._session = None

    def _header_map(self, ask: _Ask) -> HeaderMap | None:
        return self._header_maps.get(str(ask.params.get("name")))

    def _send(self, ask: _Ask, session: Session) -> Awaitable[Reply]:
        message, headers = envelope.request(
            ask.number,
            ask.method,
            ask.params,
            version=session.version,
            session_id=session.id,
            capabilities=ask.capabilities,
            wants_progress=ask.on_progress is not None,
            header_map=self._header_map(ask),
        )

        async def heard(incoming: dict[str, Any]) -> None:
            await self._hear(incoming, ask, session)
            await ask.pace.keep()

        ask.sent = True
        return self._exchange.ask(
            message, headers, seconds=ask.seconds, on_message=heard, resumable=not session.modern
        )

    async def _hear(self, incoming: dict[str, Any], ask: _Ask | None, session: Session) -> None:
        if "id" in incoming:
            await self._hear_question(incoming, ask, session)
        elif incoming["method"] == "notifications/message" and ask is not None and ask.asker is not None:
            if isinstance(params := incoming.get("params"), dict):
                await ask.asker.log(params)
        elif incoming["method"] == "notifications/progress" and ask is not None and ask.on_progress:
            params = incoming.get("params")
            if isinstance(params, dict) and params.get("progressToken") == ask.number and ask.pace.shows():
                await ask.on_progress(params)
        elif incoming["method"] == "notifications/tools/list_changed" and self._on_tools_changed is not None:
            self._on_tools_changed()

    async def _hear_question(self, incoming: dict[str, Any], ask: _Ask | None, session: Session) -> None:
        """A call's go beside its stream: what else comes on it does not wait for somebody's answer."""
        if ask is not None:
            ask.asked += 1
            if ask.asked > MOST_ASKED:
                raise BadReply("The server asks more questions than a call can have.", kind="too_large")
        if ask is None or ask.asker is None:
            await self._oblige(incoming, session, self._on_request)
        elif len(ask.questions) >= MOST_QUESTIONS:
            await self._oblige(incoming, session, None)
        else:
            task = asyncio.get_running_loop().create_task(self._oblige(incoming, session, ask.asker.oblige))
            ask.questions.add(task)
            task.add_done_callback(ask.questions.discard)

    async def _oblige(
        self, incoming: dict[str, Any], session: Session, handler: RequestHandler | None
    ) -> None:
        """What we have not offered gets a plain no, and servers of the modern era may not ask in this way."""
        if session.modern:
            return
        method, params = incoming["method"], incoming.get("params")
        result: dict[str, Any] | None = {} if method == "ping" else None
        said: dict[str, Any] = {"error": NOT_DONE}
        try:
            if result is None and handler is not None:
                result = await handler(method, params if isinstance(params, dict) else {})
        except RpcError as refusal:
            said = {"error": refusal.as_json()}
        said = said if result is None else {"result": result}
        await self._tell({"jsonrpc": "2.0", "id": incoming["id"]} | said, session, seconds=ANSWER_SECONDS)

    async def _tell(
        self, message: dict[str, Any], session: Session, *, seconds: float = GOODBYE_SECONDS
    ) -> None:
        """What gets lost here the server misses, not us: the call it belongs to goes on."""
        try:
            headers = envelope.headers_for(session.version, session.id)
            await self._exchange.tell(message, headers, seconds=seconds)
        except UpstreamError:
            return

    def _call_off(self, ask: _Ask) -> None:
        """In the modern era closing the stream says it."""
        session = self._session
        if ask.sent and session is not None and not session.modern:
            params = {"requestId": ask.number, "reason": "nobody waits for the answer any more"}
            self._errand(
                self._tell({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}, session)
            )

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _shake_hands(self) -> Session:
        """One handshake for all who wait. It goes on when one of them gives up."""
        if self._handshake is None:
            self._handshake = asyncio.get_running_loop().create_task(self._negotiate())
            self._handshake.add_done_callback(self._hands_shaken)
        return await asyncio.shield(self._handshake)

    async def _negotiate(self) -> Session:
        try:
            async with asyncio.timeout(self._timeout):
                session = await handshake.negotiate(
                    self._exchange, self._timeout, self._expected, self._offers
                )
        except Unreachable as error:
            # `sent` speaks of the calls that wait, and none of them has left.
            error.sent = False
            raise
        self._session, self._expected, self._assumed = session, session.version, False
        self._logs_from = ""
        return session

    def _hands_shaken(self, task: asyncio.Task[Session]) -> None:
        self._handshake = None
        if not task.cancelled():
            task.exception()

    def _too_late(self, *, sent: bool) -> Unreachable:
        return Unreachable(
            f"{self._exchange.host} did not answer in time.",
            kind="read_timeout",
            why="It may be busy, or stuck on this request.",
            next_step="Try again later.",
            sent=sent,
        )


def _promised(acknowledged: dict[str, Any]) -> bool:
    params = acknowledged.get("params")
    honoured = params.get("notifications") if isinstance(params, dict) else None
    return isinstance(honoured, dict) and honoured.get("toolsListChanged") is True


def _at_most(heard: MessageHandler) -> MessageHandler:
    count = itertools.count(1)

    async def heard_so_far(incoming: dict[str, Any]) -> None:
        if next(count) > MOST_HEARD:
            raise BadReply("The server says too much on its stream.", kind="too_large")
        await heard(incoming)

    return heard_so_far
