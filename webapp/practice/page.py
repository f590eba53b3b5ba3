"""What people see: one page, two buttons, and the state as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from webapp.practice.doors import DOORS, TOKEN
from webapp.practice.guards import from_another_site
from webapp.practice.picture import bar_chart
from webapp.practice.toolbox import Toolbox

ROOT = Path(__file__).parents[2]
TEMPLATES = Environment(loader=FileSystemLoader(ROOT / "templates" / "practice"), autoescape=True)
CSS = (ROOT / "templates" / "practice" / "page.css").read_text("utf-8")

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With no-referrer browsers would send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Page:
    def __init__(self, toolbox: Toolbox) -> None:
        self.toolbox = toolbox

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/", self.show),
            Route("/state", self.state),
            Route("/change", self.button(self.toolbox.change), methods=["POST"]),
            Route("/reset", self.button(self.toolbox.reset), methods=["POST"]),
            Route("/page.css", self.css),
            Route("/icon.png", self.icon),
        ]

    async def show(self, request: Request) -> Response:
        desk = self.toolbox.tools.desk
        html = TEMPLATES.get_template("page.html").render(
            base=str(request.base_url).rstrip("/"),
            doors=DOORS,
            token=TOKEN,
            changed=self.toolbox.changed,
            tickets=desk.find_tickets(),
            devices=list(desk.devices.values()),
            calls=list(self.toolbox.log.recent)[:25],
            arrived=self.toolbox.log.arrived.total(),
        )
        return HTMLResponse(html, headers=HEADERS)

    async def state(self, request: Request) -> Response:
        toolbox = self.toolbox
        body = {
            "tools": "changed" if toolbox.changed else "original",
            "tickets": [asdict(ticket) for ticket in toolbox.tools.desk.tickets.values()],
            "devices": [asdict(device) for device in toolbox.tools.desk.devices.values()],
            "calls": dict(toolbox.log.arrived),
            "done": dict(+toolbox.log.done),
            "recent": [asdict(call) for call in toolbox.log.recent],
        }
        return JSONResponse(body, headers=HEADERS)

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
