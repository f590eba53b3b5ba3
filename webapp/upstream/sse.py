"""Reads an event stream until the one answer we wait for has come."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpx2

from webapp.errors import BadReply
from webapp.upstream import strict
from webapp.upstream.weight import LIGHT, MOST_VALUES, bearable

MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 30.0

MessageHandler = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class Reader:
    """`on_message` gets everything that is not an answer: notifications, and requests of the server."""

    request_id: int
    on_message: MessageHandler | None = None
    most_values: int = MOST_VALUES
    last_event_id: str = ""
    retry_seconds: float = 1.0
    bytes_read: int = 0

    async def answer(self, response: httpx2.Response) -> dict[str, Any] | None:
        """The JSON-RPC answer, or None when the stream ended without it."""
        response.encoding = "utf-8-sig"  # always UTF-8, whatever its header says, perhaps with a mark ahead
        try:
            # The guard limits the whole answer; one event may be all of it.
            async for event in httpx2.EventSource(response, max_event_size=None):
                self._note(event)
                if event.event != "message" or not event.data:
                    continue
                if len(event.data) > LIGHT:
                    await check_weight(event.data.encode(), self.most_values)
                if (found := await self._take(parsed(event.data))) is not None:
                    return found
        except (httpx2.ReadError, httpx2.RemoteProtocolError):
            if not self.last_event_id:
                raise
        return None

    def _note(self, event: httpx2.ServerSentEvent) -> None:
        if event.id:  # what no header can carry leads nowhere
            self.last_event_id = event.id if event.id.isascii() and event.id.isprintable() else ""
        self.bytes_read += len(event.data)
        if event.retry is not None:
            self.retry_seconds = min(max(event.retry / 1000, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS)

    async def _take(self, message: object) -> dict[str, Any] | None:
        for one in _each(message):
            if is_answer(one):
                return matching(one, self.request_id)
            if "method" in one and self.on_message is not None:
                await self.on_message(one)
        return None


async def check_weight(body: bytes, most_values: int) -> None:
    if not await bearable(body, most_values):
        raise BadReply(
            f"The server's answer has more than {most_values:,} values.",
            kind="too_large",
            why="Tools with very large answers would crowd out the others.",
            next_step="Ask for less at a time.",
        )


def parsed(body: str | bytes) -> object:
    """Strict JSON: no NaN, no endless number, no bottomless nesting. But for the mark that some put before it."""
    try:
        return strict.decoded(body.removeprefix(BOM_UTF8) if isinstance(body, bytes) else body)
    except RecursionError as error:
        raise BadReply("The server's answer is nested too deeply to be read.", kind="not_json") from error
    except ValueError as error:
        raise BadReply(
            "The server's answer is not valid JSON.",
            kind="not_json",
            why="The server has a fault, or something in between changed the answer.",
        ) from error


def answer_in(body: object, request_id: int) -> dict[str, Any] | None:
    """The answer in a whole JSON body (2025-03-26 allows a list of messages), or None if it has none."""
    for one in _each(body):
        if is_answer(one):
            return matching(one, request_id)
    return None


def is_answer(message: dict[str, Any]) -> bool:
    return "method" not in message and ("result" in message or "error" in message)


def matching(message: dict[str, Any], request_id: int) -> dict[str, Any]:
    """Some servers send the id back as text, and null with errors about requests they could not read."""
    number = message.get("id")
    if number is None and "error" in message:
        return message
    if isinstance(number, bool) or number not in (request_id, str(request_id)):
        raise BadReply(
            "The server answered a question that was not asked (the id of its answer is wrong).",
            kind="wrong_id",
            why="The server has a fault, or mixes up its callers.",
            next_step="Ask whoever runs the server.",
        )
    return message


def _each(body: object) -> Iterable[dict[str, Any]]:
    messages = body if isinstance(body, list) else [body]
    return [one for one in messages if isinstance(one, dict)]
