"""Forms are gathered before one of the few threads for pages begins: strangers may send them as slowly as they like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

LARGEST = 1024 * 1024
MOST_AT_ONCE = 32 * 1024 * 1024  # bytes of all forms that are on their way to one worker
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Gone(Exception):
    """Whoever sent it hung up."""


class Full(Exception):
    """Too much is on its way already."""


class Forms:
    """One per worker."""

    def __init__(self) -> None:
        self._held = 0

    async def gathered(self, scope: Message, receive: Receive) -> Receive:
        """Raises Gone or Full. What says that it is larger than any form is left unread: Flask refuses it."""
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if b"transfer-encoding" not in headers and not 0 < int(length) <= LARGEST:
            return receive
        body, more = bytearray(), True
        try:
            while more and len(body) <= LARGEST:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                body += message.get("body", b"")
                self._held += len(message.get("body", b""))
                more = message.get("more_body", False)
                if self._held > MOST_AT_ONCE:
                    raise Full
        finally:
            self._held -= len(body)
        return _replayed(bytes(body), receive)


def _replayed(body: bytes, receive: Receive) -> Receive:
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again
