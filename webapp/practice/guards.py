"""Who may come in: this machine only, and no form of another site."""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NAMES = {"127.0.0.1", "localhost", "[::1]"}


class ThisMachineOnly:
    """Refuses whatever was not sent to a loopback address under a loopback name.

    `serve` binds to loopback anyway; this holds when somebody starts the app in another way, and it stops
    DNS rebinding.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not (_loopback(scope) and _host(scope) in NAMES):
            refusal = PlainTextResponse(
                "The practice server is for this machine only: its tools obey anybody.\n"
                "Open it at http://127.0.0.1 or http://localhost, with its port.\n",
                status_code=421,
            )
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _loopback(scope: Scope) -> bool:
    try:
        return ipaddress.ip_address(scope["server"][0]).is_loopback
    except (TypeError, ValueError):
        return False


def _host(scope: Scope) -> str:
    host = Headers(scope=scope).get("host", "").lower()
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def from_another_site(request: Request) -> bool:
    """Browsers send at least one of the two headers with every form; programs send neither."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    here = f"{request.url.scheme}://{request.headers['host']}"
    return site != "same-origin" or request.headers.get("origin", here) != here
