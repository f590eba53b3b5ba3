"""What every page knows: who looks at it, how to count the calls that wait, and the filters its words need."""

from __future__ import annotations

from typing import Any

from flask import Flask, request

from config import VERSION
from webapp.logs import request_id
from webapp.routes import looks, texts
from webapp.routes.guards import current_session, settings
from webapp.services import browsers, times, visible
from webapp.services import looks as choices
from webapp.store.models import Approval
from webapp.upstream import strict

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def init_app(app: Flask) -> None:
    app.context_processor(context)
    app.add_template_filter(visible.told, "told")
    app.add_template_filter(texts.visible, "visible")
    app.add_template_filter(texts.as_name, "as_name")
    app.add_template_filter(texts.unbroken, "unbroken")
    app.add_template_filter(looks.sentence, "sentence")
    app.add_template_filter(browsers.named, "browser")
    app.add_template_filter(times.relative, "relative")
    app.add_template_filter(looks.absolute, "absolute")
    app.add_template_filter(looks.clock, "clock")
    app.add_template_filter(times.span, "span")
    app.add_template_filter(times.took, "took")
    app.add_template_filter(pretty, "pretty")


def pretty(value: object) -> str:
    """JSON to read; not for scripts, so nothing is escaped here."""
    return strict.pretty(value)


def context() -> dict[str, Any]:
    session = current_session()
    return {
        "current_user": session.user if session else None,
        "count_waiting": lambda: Approval.waiting().count(),
        "insecure": not request.is_secure and request.host.rsplit(":", 1)[0] not in LOOPBACK,
        "config_address": settings().address,
        "version": VERSION,
        "request_id": request_id,
        "theme": looks.theme(),
        "themes": choices.THEMES,
        "zone": looks.zone_name(),
        "here": request.full_path.rstrip("?") if request.method == "GET" else "/",
    }
