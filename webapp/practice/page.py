"""What people see: one page, its buttons, and the state as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from webapp.practice.doors import DOORS, TOKEN
from webapp.practice.guards import from_another_site
from webapp.practice.html import HEADERS, TEMPLATES, html
from webapp.practice.ledger import Ledger
from webapp.practice.picture import bar_chart
from webapp.practice.toolbox import Toolbox

CSS = (TEMPLATES / "page.css").read_text("utf-8")


class Page:
    def __init__(self, toolbox: Toolbox, ledger: Ledger) -> None:
        self.toolbox = toolbox
        self.ledger = ledger

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/", self.show),
            Route("/state", self.state),
            Route("/change", self.button(self.toolbox.change), methods=["POST"]),
            Route("/expire", self.button(self.ledger.expire), methods=["POST"]),
            Route("/revoke-me", self.button(self.ledger.revoke_all), methods=["POST"]),
            Route("/reset", self.button(self.reset), methods=["POST"]),
            Route("/page.css", self.css),
            Route("/icon.png", self.icon),
        ]

    async def show(self, request: Request) -> Response:
        desk = self.toolbox.tools.desk
        return html(
            "page.html",
            base=str(request.base_url).rstrip("/"),
            doors=DOORS,
            token=TOKEN,
            changed=self.toolbox.changed,
            tickets=desk.find_tickets(),
            devices=list(desk.devices.values()),
            calls=list(self.toolbox.log.recent)[:25],
            arrived=self.toolbox.log.arrived.total(),
            oauth=self.ledger.summary(),
        )

    async def state(self, request: Request) -> Response:
        toolbox = self.toolbox
        body = {
            "tools": "changed" if toolbox.changed else "original",
            "tickets": [asdict(ticket) for ticket in toolbox.tools.desk.tickets.values()],
            "devices": [asdict(device) for device in toolbox.tools.desk.devices.values()],
            "calls": dict(toolbox.log.arrived),
            "done": dict(+toolbox.log.done),
            "recent": [asdict(call) for call in toolbox.log.recent],
            "oauth": self.ledger.summary(),
        }
        return JSONResponse(body, headers=HEADERS)

    async def reset(self) -> None:
        self.ledger.forget()
        await self.toolbox.reset()

    def button(self, action: Callable[[], Awaitable[None]]) -> Callable[[Request], Awaitable[Response]]:
        async def press(request: Request) -> Response:
            if from_another_site(request):
                return PlainTextResponse(
                    "This button was pressed from another site, so nothing was done.\n"
                    "Open the practice server's own page and press it there.\n",
                    status_code=403,
                    headers=HEADERS,
                )
            await action()
            return RedirectResponse("/", status_code=303, headers=HEADERS)

        return press

    async def css(self, request: Request) -> Response:
        return Response(CSS, media_type="text/css", headers=HEADERS)

    async def icon(self, request: Request) -> Response:
        return Response(bar_chart([1, 3, 2]), media_type="image/png", headers=HEADERS)
