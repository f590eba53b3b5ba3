"""Lines of the server's log, plain or JSON, each with the id of the request that it belongs to.

The id goes out as `X-Request-Id` and stands on error pages, so that a person can quote it and an admin can find it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from random import getrandbits
from typing import Any

PLAIN = "%(asctime)s %(levelname)s %(name)s%(of_request)s: %(message)s"
# Control characters, those that turn the direction, and line separators: as Python writes them.
NAMED = {
    code: ascii(chr(code))[1:-1]
    for code in (
        *range(0x20),
        *range(0x7F, 0xA0),
        0x200E,
        0x200F,
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
    )
}
_id: ContextVar[str] = ContextVar("request_id", default="")
_make_record = logging.getLogRecordFactory()
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def request_id() -> str:
    """Of the request under way; one is made where a program asked past our server."""
    return _id.get() or _new()


def _new() -> str:
    number = f"{getrandbits(48):012x}"  # no secret; asking the system would let another thread in first
    _id.set(number)
    return number


def over() -> None:
    """The request has ended, and its thread may take another."""
    _id.set("")


def numbered(send: Send) -> Send:
    """From here on the request has an id, also in threads and tasks that are begun for it; its answer says it."""
    header = (b"x-request-id", _new().encode())

    def with_id(message: MutableMapping[str, Any]) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), header]
        return send(message)

    return with_id


class PlainLines(logging.Formatter):
    """One line each: what servers and agents say begins no other, and commands no terminal. Traces follow below."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).translate(NAMED)


class JsonLines(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request": getattr(record, "request", ""),
            "process": record.process,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value != ""})


def configure(form: str) -> None:
    """`form`: plain or json."""
    logging.setLogRecordFactory(_record)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else PlainLines(PLAIN))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs addresses, and those may carry secrets


def _record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record, number = _make_record(*args, **kwargs), _id.get()
    record.__dict__ |= {"request": number, "of_request": f" [{number}]" if number else ""}
    return record
