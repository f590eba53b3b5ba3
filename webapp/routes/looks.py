"""The zone and the theme of the page that is being made: the person's choice, else the browser's."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from urllib.parse import unquote

from flask import Response, g, has_request_context, request

from webapp.routes.guards import current_session
from webapp.services import looks, sentences, times
from webapp.services.sentences import Sentence
from webapp.store.models import Entry

ZONE_COOKIE = "zone"  # written by app.js: the browser's own
THEME_COOKIE = "theme"  # for pages without a person, such as the door
A_YEAR = 365 * 86400


def zone() -> tzinfo:
    """UTC where nobody said anything else."""
    if not has_request_context():
        return UTC
    if "zone" not in g:
        g.zone = times.zone(zone_name()) or UTC
    found: tzinfo = g.zone
    return found


def zone_name() -> str:
    session = current_session()
    chosen = str(session.user.zone) if session else ""
    return chosen if chosen and times.zone(chosen) else browser_zone() or "UTC"


def browser_zone() -> str:
    """Empty where the browser has not said, or said nonsense."""
    name = unquote(request.cookies.get(ZONE_COOKIE, ""))[:100]
    return name if name and times.zone(name) else ""


def theme() -> str:
    session = current_session()
    kept = str(session.user.theme) if session else request.cookies.get(THEME_COOKIE, "")
    return kept if kept in looks.THEMES else ""


def keep_theme(response: Response, theme: str) -> None:
    response.set_cookie(
        THEME_COOKIE, theme, max_age=A_YEAR if theme else 0, httponly=True, secure=request.is_secure,
        samesite="Lax", path="/",
    )  # fmt: skip


def clock(moment: datetime) -> str:
    return times.clock(moment, zone())


def absolute(moment: datetime | None) -> str:
    return times.absolute(moment, zone())


def sentence(entry: Entry) -> Sentence:
    return sentences.tell(entry, zone())
