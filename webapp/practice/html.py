"""Pages for people, with headers that lock them down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from starlette.responses import HTMLResponse

TEMPLATES = Path(__file__).parents[2] / "templates" / "practice"
ENVIRONMENT = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)


def policy(form_action: str = "'self'") -> str:
    return (
        f"default-src 'none'; style-src 'self'; img-src 'self'; form-action {form_action}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


HEADERS = {
    "Content-Security-Policy": policy(),
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With no-referrer browsers would send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def html(template: str, status: int = 200, *, form_action: str = "'self'", **values: Any) -> HTMLResponse:
    page = ENVIRONMENT.get_template(template).render(**values)
    return HTMLResponse(page, status, HEADERS | {"Content-Security-Policy": policy(form_action)})
