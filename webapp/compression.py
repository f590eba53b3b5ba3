"""Pages, styles and scripts go over the wire compressed; what another site asked for does not, nor does `/mcp`.

BREACH: where somebody can read the length of encrypted answers, make a browser ask again and again, and have words
of their choice come back beside a secret, compression gives that secret away letter by letter. Three things stand
against it. A secret that a page repeats is only the token of its forms; it is signed anew every second, and alone it
opens nothing (`routes/guards.py` asks where a form came from). The cookie is SameSite=Lax, so another site can make
a browser ask with it by a whole new page only. And that page comes uncompressed, by the rule below. Keys and
passwords never come back at all, but for an agent's key and the link of an invitation, once, on pages
that repeat nothing of another site's choice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]
LEVEL = 5  # a tools page of 224 KB: 14 KB in 1 ms; level 9 takes twice as long for 200 bytes less
AS_IT_IS = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/vnd.sqlite3")  # a backup comes in many small pieces
LONGEST_AT_ONCE = 32 * 1024  # what is longer is compressed in a thread: the loop belongs to the agents


class Compressed:
    """In front of the pages. Starlette's middleware knows content types, ranges and streams; it came with `mcp`."""

    def __init__(self, pages: App) -> None:
        self._plain = pages
        self._compressed = GZipMiddleware(
            pages, compresslevel=LEVEL, thread_minimum_size=LONGEST_AT_ONCE, exclude_content_types=AS_IT_IS
        )

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        asked = scope["type"] == "http" and (scope["path"].startswith("/static/") or _by_us(scope["headers"]))
        await (self._compressed if asked else self._plain)(scope, receive, send)


def _by_us(headers: list[tuple[bytes, bytes]]) -> bool:
    """A page of our own, or the person at the address bar, asked for this. Browsers say so by `Sec-Fetch-Site`; to
    plain http names of a network by the Referer at most, which our pages send to us alone."""
    given = dict(headers)
    site = given.get(b"sec-fetch-site")
    if site is not None:
        return site in (b"same-origin", b"none")
    try:
        return urlsplit(given.get(b"referer", b"")).netloc == given.get(b"host", b"").lower() != b""
    except ValueError:
        return False
