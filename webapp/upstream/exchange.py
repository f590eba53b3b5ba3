"""One message to a server and its answer, before anybody judges it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2

from webapp.errors import BadReply, InvalidInput, NeedsAuthorization, RpcError, Unreachable
from webapp.upstream import sse
from webapp.upstream.envelope import EVENT_STREAM
from webapp.upstream.failures import explain
from webapp.upstream.strict import ascii_encoded
from webapp.upstream.weight import LIGHT, MOST_VALUES

MAX_RESUMES = 3  # without anything new; servers of 2025-11-25 may hang up after every event
# Values of a page of tools: ten thousand tools with a dozen arguments each have so many.
MOST_LISTED = 1_000_000
LONGEST_RETRY = 86_400
CONNECT_SECONDS = 5.0
NO_REQUEST = -1  # an id that nobody can answer
_SHUT_OUT = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
NO_STREAM = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
FAILURES = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError)
_SNIPPET = 2000
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")


@dataclass(frozen=True)
class Reply:
    """`message` is the JSON-RPC answer; where there was none, `snippet` has the start of the body."""

    status: int
    headers: Any = field(repr=False)  # as in Response
    message: dict[str, Any] | None
    snippet: str = field(default="", repr=False)
    size: int = 0
    fault: BadReply | None = None

    @property
    def content_type(self) -> str:
        return media_type(self.headers)

    @property
    def status_words(self) -> str:
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    @property
    def is_web_page(self) -> bool:
        return self.content_type == "text/html" or self.snippet.lstrip()[:14].lower().startswith(
            ("<!doctype html", "<html")
        )

    @property
    def challenge(self) -> str:
        return ", ".join(self.headers.get_list("www-authenticate"))


class Response(Protocol):
    """httpx2's, or what a Wire gives of an answer that is whole."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Any: ...  # httpx2.Headers, or a mapping with its get_list

    async def aread(self) -> bytes: ...


class Http(Protocol):
    """What asks for us: httpx2's client behind the guard, or a Wire."""

    def stream(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None,
        headers: Mapping[str, str],
        timeout: httpx2.Timeout,
        extensions: dict[str, Any],
    ) -> AbstractAsyncContextManager[Any]: ...

    async def aclose(self) -> None: ...


class Exchange:
    """Talks to one URL. Headers are built from scratch: the protocol's, and the connection's own."""

    def __init__(self, url: str, http: Http, own_headers: Mapping[str, str]) -> None:
        self.url = url
        self.host = urlsplit(url).hostname or url
        self.http = http
        self.identify(own_headers)

    def identify(self, own_headers: Mapping[str, str]) -> None:
        """From the next request on."""
        self.own_headers = {name.lower(): checked_value(name, value) for name, value in own_headers.items()}

    async def ask(
        self,
        message: dict[str, Any],
        headers: Mapping[str, str],
        *,
        seconds: float,
        on_message: sse.MessageHandler | None = None,
        resumable: bool = False,
    ) -> Reply:
        """`seconds` is the most this exchange may take; whoever asks may stop waiting earlier."""
        most = MOST_LISTED if message["method"] == "tools/list" else MOST_VALUES
        reader = sse.Reader(message["id"], on_message, most)
        try:
            async with self._open("POST", headers, seconds, message) as response:
                if not is_event_stream(response):
                    return await _whole(response, reader.request_id, most)
                answer = await reader.answer(response)
            if answer is None and resumable:
                answer = await self._resumed(reader, headers, seconds)
        except FAILURES as error:
            raise explain(error, self.url) from error
        if answer is None:
            raise _ended_without_answer(self.host)
        return Reply(response.status_code, response.headers, answer, size=reader.bytes_read)

    async def tell(self, message: dict[str, Any], headers: Mapping[str, str], *, seconds: float) -> int:
        """Sends what needs no answer; the HTTP status."""
        with self._in_words():
            async with self._open("POST", headers, seconds, message) as response:
                if not is_event_stream(response):
                    await response.aread()
                status: int = response.status_code
                return status

    async def end(self, headers: Mapping[str, str], *, seconds: float) -> None:
        """DELETE of a session; a server need not know the method."""
        with self._in_words():
            async with self._open("DELETE", headers, seconds):
                pass

    async def listen(
        self,
        headers: Mapping[str, str],
        on_message: sse.MessageHandler,
        *,
        seconds: float,
        on_open: Callable[[], None] | None = None,
    ) -> bool:
        """The messages of a GET's event stream, until it ends; False at once where the server has none."""
        wanted = {**headers, "accept": EVENT_STREAM}
        wanted.pop("content-type", None)
        with self._in_words():
            async with self._open("GET", wanted, seconds) as response:
                if response.status_code == HTTPStatus.OK and is_event_stream(response):
                    if on_open is not None:
                        on_open()
                    await sse.Reader(NO_REQUEST, on_message).answer(response)
                    return True
                if response.status_code not in NO_STREAM:
                    result_of(await _whole(response, NO_REQUEST), self.url)
                return False

    @asynccontextmanager
    async def stream(self, seconds: float) -> AsyncIterator[httpx2.Response]:
        """GET for an event stream: how servers of 2024-11-05 begin."""
        with self._in_words():
            async with self._open("GET", {"accept": EVENT_STREAM}, seconds) as response:
                yield response

    def _open(
        self, method: str, headers: Mapping[str, str], seconds: float, message: dict[str, Any] | None = None
    ) -> AbstractAsyncContextManager[Any]:
        return self.http.stream(
            method,
            self.url,
            content=None if message is None else ascii_encoded(message),
            headers={**self.own_headers, **headers},
            timeout=_timeout(seconds),
            extensions={"total_seconds": seconds},
        )

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise explain(error, self.url) from error

    async def _resumed(
        self, reader: sse.Reader, headers: Mapping[str, str], seconds: float
    ) -> dict[str, Any] | None:
        wanted = {**headers, "accept": EVENT_STREAM}
        wanted.pop("content-type", None)
        in_vain = 0
        while reader.last_event_id and in_vain < MAX_RESUMES:
            before = reader.last_event_id
            await asyncio.sleep(reader.retry_seconds)
            wanted["last-event-id"] = checked_value("last-event-id", reader.last_event_id)
            async with self._open("GET", wanted, seconds) as response:
                if response.status_code != HTTPStatus.OK or not is_event_stream(response):
                    return None
                if (answer := await reader.answer(response)) is not None:
                    return answer
            in_vain = in_vain + 1 if reader.last_event_id == before else 0
        return None


@lru_cache(maxsize=64)
def _timeout(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


def result_of(reply: Reply, url: str) -> dict[str, Any]:
    """The `result` object exactly as received; otherwise the refusal that fits."""
    if reply.status in _SHUT_OUT:
        raise _needs_authorization(reply)
    if reply.message is None:
        raise _no_answer_in(reply, url)
    error, result = reply.message.get("error"), reply.message.get("result")
    if isinstance(error, dict):
        raise RpcError(error)
    if not isinstance(result, dict):
        raise BadReply("The server's answer has no result that MCP knows.", kind="not_mcp")
    return result


def error_code(reply: Reply) -> int | None:
    error = (reply.message or {}).get("error")
    return error.get("code") if isinstance(error, dict) else None


def checked_value(name: str, value: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise InvalidInput(f"“{name[:60]}” can't be the name of a header.", field="headers")
    if not _HEADER_VALUE.fullmatch(value):
        raise InvalidInput(
            f"The value of the header {name} has a line break or a character that HTTP does not allow.",
            field="headers",
            why="It may have been copied with something invisible around it.",
            next_step="Copy it again.",
        )
    return value.strip()


def media_type(headers: Mapping[str, str]) -> str:
    content_type: str = headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower()


def shown_url(url: str) -> str:
    """Fit for a page: what follows `?` may be a secret."""
    path, question, _ = url.partition("?")
    scheme, separator, rest = path.partition("://")
    host, slash, folders = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{folders}{'?…' if question else ''}"


def _needs_authorization(reply: Reply) -> NeedsAuthorization:
    if reply.status == HTTPStatus.UNAUTHORIZED:
        what, next_step = "The server wants a sign-in.", "Sign in again, or enter another token."
    else:
        what, next_step = "The server refuses this account.", "Sign in with an account that may do this."
    return NeedsAuthorization(what, http_status=reply.status, challenge=reply.challenge, next_step=next_step)


def _no_answer_in(reply: Reply, url: str) -> Exception:
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _busy(reply)
    if 300 <= reply.status < 400:
        where = shown_url(str(httpx2.URL(url).join(reply.headers.get("location", ""))))
        return BadReply(
            f"The server sends us on to {where}, where Gatehouse does not go by itself.",
            kind="redirect",
            next_step="If you trust that address, enter it as the Server URL.",
        )
    if reply.is_web_page:
        return BadReply(
            "This address answered with a web page, not as an MCP server.",
            kind="html",
            why="Most servers live under /mcp.",
            next_step="Check the path of the Server URL.",
        )
    if reply.fault is not None:
        return reply.fault.anew()
    return BadReply(
        f"The server answered {reply.status_words}, but not in the way of MCP.",
        kind="not_mcp",
        next_step="Check the path of the Server URL.",
    )


def _busy(reply: Reply) -> Unreachable:
    limited = reply.status == HTTPStatus.TOO_MANY_REQUESTS
    return Unreachable(
        f"The server answered {reply.status_words}.",
        kind="busy",
        why="It was asked too often." if limited else "It has a fault or is being restarted.",
        next_step="Try again later.",
        # 429 means that it did not even begin, so nothing is in doubt.
        sent=not limited,
        retry_after=_seconds(reply.headers.get("retry-after", "")),
    )


def _seconds(retry_after: str) -> int | None:
    """RFC 9110 §10.2.3 allows a date as well; what comes as a number of seconds is worth passing on."""
    return min(int(retry_after), LONGEST_RETRY) if re.fullmatch(r"[0-9]{1,9}", retry_after.strip()) else None


def _ended_without_answer(host: str) -> Unreachable:
    return Unreachable(
        f"{host} ended its answer before it was complete.",
        kind="closed",
        why="The server restarted or failed, or something in between cut the line.",
        next_step="Try again; if it stays so, ask whoever runs the server.",
        sent=True,
    )


async def _whole(response: Response, request_id: int, most_values: int = MOST_VALUES) -> Reply:
    body = await response.aread()
    message = None
    if len(body) > LIGHT:
        await sse.check_weight(body, most_values)
    if body and not 300 <= response.status_code < 400:
        try:
            message = sse.answer_in(sse.parsed(body), request_id)
        except BadReply as error:
            if error.kind == "wrong_id":
                raise
            return Reply(response.status_code, response.headers, None, _start_of(body), len(body), error)
    snippet = "" if message else _start_of(body)
    return Reply(response.status_code, response.headers, message, snippet, len(body))


def _start_of(body: bytes) -> str:
    return body[:_SNIPPET].decode("utf-8", "replace")


def is_event_stream(response: Response) -> bool:
    return media_type(response.headers) == EVENT_STREAM
