"""Home: what needs a person, today's numbers, thirty days of calls and the slowest tools."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from webapp.routes import looks
from webapp.routes.guards import allow, settings
from webapp.routes.replies import page
from webapp.services import figures, needs, practice
from webapp.store.models import Agent, Entry, Integration

bp = Blueprint("home", __name__)


@bp.get("/")
@allow("viewer")
def index() -> ResponseReturnValue:
    integrations = list(Integration.listed())
    days = figures.last_days(looks.zone())
    return page(
        "home/index.html", needs=needs.now_needed(integrations), days=days, top=figures.nice_top(days),
        today=days[-1], slowest=figures.slowest(), steps=_steps(integrations),
        practice=practice.offered(settings().practice_url),
    )  # fmt: skip


def _steps(integrations: list[Integration]) -> dict[str, bool]:
    """The first steps, and whether each is done."""
    return {
        "server": any(one.kind == "server" and one.state != "draft" for one in integrations),
        "agent": Agent.select().where(Agent.revoked_at.is_null()).exists(),
        "call": Entry.select().where(Entry.kind == "call").exists(),
    }
