"""`/mcp` over HTTP: who is asking, is this a request we take, and how the answer travels (JSON, or SSE when slow)."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    InboundLadderRejection,
    classify_inbound_request,
    find_duplicated_routing_header,
    unsupported_protocol_version_rejection,
    validate_mcp_param_headers,
)
from mcp_types import PROTOCOL_VERSION_META_KEY

from config import Config
from webapp.errors import RpcError, TooMany
from webapp.gateway import news, protocol, sessions
from webapp.gateway.calls import Calls
from webapp.gateway.catalogue import Catalogue, Catalogues, KnownAgent
from webapp.gateway.editions import Editions
from webapp.gateway.protocol import TOO_OFTEN, Protocol, Request, too_often
from webapp.gateway.stream import (
    EVENT_STREAM,
    AgentGone,
    EventStream,
    Headers,
    Reply,
    Send,
    send_body,
)
from webapp.gateway.subscriptions import Subscriptions
from webapp.gateway.words import Words
from webapp.logs import request_id
from webapp.services import agents
from webapp.services.agent_errors import about
from webapp.store.fields import now
from webapp.upstream import strict, weight
from webapp.upstream.envelope import HANDSHAKE, MODERN

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
PARSE_ERROR, INVALID_REQUEST, INTERNAL_ERROR = -32700, -32600, -32603
HEADER_MISMATCH = -32020
NEVER = {"q=0", "q=0.0", "q=0.00", "q=0.000"}
NOT_MODERN = (None, *HANDSHAKE)
NO_HEADER_VERSION = "2025-03-26"  # what a handshake client without the header speaks (2025-06-18, transports)
# Perhaps a surrogate without its other half: no text, so neither a log nor a page could hold it.
HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
log = logging.getLogger(__name__)


class Refusal(Exception):
    """An answer before any JSON-RPC method was looked at: HTTP status, JSON-RPC error, extra headers."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        id: object = None,
        data: object = None,
        headers: Any = (),
    ) -> None:
        super().__init__(message)
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        self.status, self.headers = status, list(headers)
        self.body = {"jsonrpc": "2.0", "id": id, "error": error}


class Endpoint:
    def __init__(self, config: Config, catalogues: Catalogues, calls: Calls, words: Words) -> None:
        self._config = config
        self._catalogues = catalogues
        self._calls = calls
        self._editions = Editions()
        self.subscriptions = Subscriptions(catalogues, self._editions)
        self._words = words
        self._protocol = Protocol(calls, self.subscriptions, words)
        self._hosts = frozenset(config.hosts)
        self._used: dict[int, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._serve(scope, receive, send)
        except Refusal as refusal:
            await send_body(send, refusal.status, strict.encoded(refusal.body), refusal.headers)
        except AgentGone:
            log.info("the agent hung up before its answer came")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {k.decode("latin-1"): v.decode("latin-1").strip(" \t") for k, v in scope["headers"]}
        self._check_origin(headers)
        admitted_by, agent = await self._admit(headers)
        if scope["method"] == "GET":
            return await self._tell_news(scope, headers, send)
        if scope["method"] != "POST":
            raise _not_served()
        message = await _message(await self._body(receive))
        # A body may take its time, and what was true when it began may not be any more.
        catalogue = await self._catalogues.current()
        if catalogue is not admitted_by or not agent.usable:
            agent = _authenticate(catalogue, headers)
        version = headers.get("mcp-protocol-version")
        modern = _is_modern(version, message)
        if "id" not in message or "method" not in message:
            self._count(agent)
            await self._take_word(agent, message, headers, version if modern else None)
            return await send_body(send, 202, b"")
        server = _server(scope)
        if modern:
            _check_envelope(message, headers, scope, catalogue, agent, server)
        params = message.get("params")
        request = Request(
            agent, catalogue, message["method"], params if isinstance(params, dict) else {},
            MODERN if modern else version or NO_HEADER_VERSION, server,
            _ip(scope, headers, self._config.forwarded_hops), message["id"], sessions.read(headers),
        )  # fmt: skip
        self._note_use(agent)
        await self._answer(request, headers, receive, send)

    async def _admit(self, headers: dict[str, str]) -> tuple[Catalogue, KnownAgent]:
        """Whoever has no key sends no body. What the key opens is looked at again when the body is here."""
        latest = self._catalogues.latest
        try:
            return latest, _authenticate(latest, headers)
        except Refusal:
            newest = await self._catalogues.current()
            return newest, _authenticate(newest, headers)

    def _count(self, agent: KnownAgent) -> None:
        """Of what has no answer in JSON-RPC that could say it."""
        try:
            self._calls.quotas.ask(agent)
        except TooMany as refusal:
            after = [(b"retry-after", b"%d" % refusal.retry_after)]
            data = too_often(refusal)
            raise Refusal(429, TOO_OFTEN, refusal.what, data=data, headers=after) from None

    async def _answer(self, request: Request, headers: dict[str, str], receive: Receive, send: Send) -> None:
        request.stream = stream = EventStream(
            send, receive, takes_events=_takes_events(headers.get("accept", ""))
        )
        reachable = functools.partial(self._reachable, request, now())
        status, body = await stream.carry(self._rpc(request), reachable)
        await stream.finish(status, body, _session_headers(request))
        if request.answer:
            await self._calls.approvals.delivered(request.answer)

    async def _tell_news(self, scope: Scope, headers: dict[str, str], send: Send) -> None:
        """The handshake era's stream of what no request asked for. It has an end at once: see news."""
        handshake = headers.get("mcp-protocol-version", NO_HEADER_VERSION) in HANDSHAKE
        if not handshake or not _takes_events(headers.get("accept", "")):
            raise _not_served()
        catalogue = await self._catalogues.current()
        agent = _authenticate(catalogue, headers)
        self._count(agent)
        edition = self._editions.of(catalogue, agent, _server(scope))
        events = news.stream(edition, headers.get("last-event-id", ""))
        if events is None:
            raise _not_served()
        await send_body(send, 200, events, content_type=EVENT_STREAM)

    def _reachable(
        self, request: Request, began: datetime, call_off: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """In 2026-07-28 closing the stream is the one way to take a request back."""
        if request.modern:
            return nullcontext()
        return self._words.cancels(request.agent.id, request.session, request.id, call_off, began)

    async def _take_word(
        self, agent: KnownAgent, message: dict[str, Any], headers: dict[str, str], modern_version: str | None
    ) -> None:
        """What asks for no answer: in the handshake era a call taken back, or a server's question answered."""
        if modern_version is not None:
            if refused := unsupported_protocol_version_rejection(modern_version):
                raise Refusal(400, refused.code, refused.message, data=refused.data)
        elif "method" not in message:
            await self._words.take_answer(agent.id, message)
        elif message["method"] == "notifications/cancelled":
            await self._words.take_cancel(agent.id, sessions.read(headers), message.get("params"))

    async def _rpc(self, request: Request) -> Reply:
        id = request.id
        try:
            result = await self._protocol.result(request)
        except RpcError as error:
            return _error_reply(request, error)
        except Exception:  # the agent gets a plain word, the log the whole story
            log.exception("could not answer %s", request.method)
            error_body = {
                "code": INTERNAL_ERROR,
                "message": "Gatehouse could not answer this. Its log says why.",
                "data": about("gatehouse", "check_first", request_id=request_id()),
            }
            return 200, {"jsonrpc": "2.0", "id": id, "error": error_body}
        if isinstance(result, bytes):
            return 200, b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (strict.encoded(id), result)
        return 200, {"jsonrpc": "2.0", "id": id, "result": result}

    def _check_origin(self, headers: dict[str, str]) -> None:
        """DNS rebinding: a page in somebody's browser must not speak to us under another name."""
        host = headers.get("host", "")
        if _hostname(host) not in self._hosts:
            raise Refusal(400, INVALID_REQUEST, "This Host is not served here")
        origin = headers.get("origin")
        if origin and _place(origin) != host and origin not in self._config.mcp_origins:
            raise Refusal(403, INVALID_REQUEST, "This Origin may not call here")

    async def _body(self, receive: Receive) -> bytes:
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise AgentGone
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._config.max_request:
                limit = self._config.max_request
                facts = about("too_large", "no", limit_bytes=limit)
                raise Refusal(413, INVALID_REQUEST, f"The request is larger than {limit} bytes", data=facts)
            if not message.get("more_body"):
                return b"".join(chunks)

    def _note_use(self, agent: KnownAgent) -> None:
        """Last used, at most once a minute per agent and worker: nobody waits for it."""
        moment = asyncio.get_running_loop().time()
        if moment - self._used.get(agent.id, -60.0) >= 60:
            self._used[agent.id] = moment
            self._calls.clerk.soon(lambda: agents.note_use(agent.id))


def _error_reply(request: Request, error: RpcError) -> Reply:
    told = protocol.without_reserved_code(error) if request.modern else error
    status = ERROR_CODE_HTTP_STATUS.get(told.code, 200) if request.modern else 200
    return status, {"jsonrpc": "2.0", "id": request.id, "error": told.as_json()}


def _server(scope: Scope) -> str:
    server: str = scope["path"].removeprefix("/mcp").removeprefix("/s/").strip("/")
    return server


@functools.lru_cache(maxsize=64)
def _takes_events(accept: str) -> bool:
    """Only who says so: `*/*` is what programs send by themselves that read one JSON body."""
    ranges = (one.replace(" ", "").lower().split(";") for one in accept.split(","))
    return any(kind == "text/event-stream" and not NEVER.intersection(more) for kind, *more in ranges)


def _is_modern(version: str | None, message: dict[str, Any]) -> bool:
    """By the header or by the body: where only one of them is of the modern era, the two don't agree."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    said = meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None
    return version not in NOT_MODERN or said not in NOT_MODERN


def _not_served() -> Refusal:
    return Refusal(405, INVALID_REQUEST, "Only POST is served here", headers=[(b"allow", b"POST")])


def _session_headers(request: Request) -> Headers:
    if request.method != "initialize" or request.modern:
        return ()
    word = sessions.issue(request.params.get("capabilities"))
    return [(sessions.HEADER.encode(), word.encode())]


def _authenticate(catalogue: Catalogue, headers: dict[str, str]) -> KnownAgent:
    """Anything but one whole, live key is 401: there is no anonymous agent."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    agent = catalogue.agent(key) if scheme.lower() == "bearer" else None
    if agent is None:
        challenge = [(b"www-authenticate", b'Bearer realm="Gatehouse"')]
        what = "An agent key is needed: Authorization: Bearer gh_…"
        raise Refusal(401, INVALID_REQUEST, what, data=about("auth", "no"), headers=challenge)
    return agent


async def _message(body: bytes) -> dict[str, Any]:
    if len(body) > weight.LIGHT and not await weight.bearable(body):
        facts = about("too_large", "no", limit_values=weight.MOST_VALUES)
        what = f"The request has more than {weight.MOST_VALUES:,} values"
        raise Refusal(413, INVALID_REQUEST, what, data=facts)
    return _parse(body)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        message = strict.decoded(body)
        if HALF_CHARACTER.search(body):
            json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refusal(400, PARSE_ERROR, "The body is not JSON") from error
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise Refusal(400, INVALID_REQUEST, "The body must be one JSON-RPC 2.0 message")
    if not isinstance(message.get("method"), str):
        if "method" not in message and "id" in message and ("result" in message or "error" in message):
            return message  # an answer
        raise Refusal(400, INVALID_REQUEST, "The message has no method")
    if "id" in message and (isinstance(message["id"], bool) or not isinstance(message["id"], (str, int))):
        raise Refusal(400, INVALID_REQUEST, "The id must be a string or a whole number")
    return message


def _check_envelope(
    message: dict[str, Any],
    headers: dict[str, str],
    scope: Scope,
    catalogue: Catalogue,
    agent: KnownAgent,
    server: str,
) -> None:
    """2026-07-28: headers and body must agree, and the version must be one we speak."""
    pairs = ((k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"])
    if double := find_duplicated_routing_header(pairs):
        raise Refusal(400, HEADER_MISMATCH, f"{double} header appears more than once", id=message["id"])
    verdict = classify_inbound_request(message, headers=headers)
    if not isinstance(verdict, InboundLadderRejection) and message["method"] == "tools/call":
        params = message["params"]
        if tool := catalogue.find(agent, params.get("name"), server):
            arguments = params.get("arguments") or {}
            schema = tool.definition.get("inputSchema")
            verdict = validate_mcp_param_headers(schema, arguments, headers) or verdict
    if isinstance(verdict, InboundLadderRejection):
        status = ERROR_CODE_HTTP_STATUS.get(verdict.code, 400)
        raise Refusal(status, verdict.code, verdict.message, id=message["id"], data=verdict.data)


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _hostname(host: str) -> str:
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.rsplit(":", 1)[0]


def _ip(scope: Scope, headers: dict[str, str], hops: int) -> str:
    """Who called: as our own proxies say (each adds the address it saw at the end), else as the socket says."""
    forwarded = [part.strip() for part in headers.get("x-forwarded-for", "").split(",")] if hops else []
    if hops and len(forwarded) >= hops and forwarded[-hops]:
        return forwarded[-hops][:64]
    client = scope.get("client")
    return str(client[0]) if client else ""
