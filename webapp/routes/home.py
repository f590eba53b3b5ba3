"""Home: what needs a person, and today's numbers."""

from __future__ import annotations

from datetime import UTC, datetime, time

from flask import Blueprint
from flask.typing import ResponseReturnValue

from webapp.routes.guards import allow, settings
from webapp.routes.replies import page
from webapp.services import health, practice
from webapp.store.fields import now
from webapp.store.models import Agent, Approval, Entry, Integration, Tool

bp = Blueprint("home", __name__)
QUIET = ("connected", "paused", "draft")


@bp.get("/")
@allow("viewer")
def index() -> ResponseReturnValue:
    midnight = datetime.combine(now().date(), time.min, UTC)
    integrations = list(Integration.listed())
    return page(
        "home/index.html",
        waiting=list(Approval.waiting().limit(5)),
        waiting_total=Approval.waiting().count(),
        troubled=[(one, health.of(one)) for one in integrations if one.state not in QUIET],
        drafts=[one for one in integrations if one.state == "draft"],
        changed=list(Tool.select().where(Tool.changed_at.is_null(False)).limit(10)),
        numbers=Entry.outcomes_since(midnight),
        has_server=any(one.kind == "server" and one.state != "draft" for one in integrations),
        has_agent=Agent.select().where(Agent.revoked_at.is_null()).exists(),
        has_call=Entry.select().where(Entry.kind == "call").exists(),
        practice=practice.offered(settings().practice_url),
    )
