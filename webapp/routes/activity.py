"""Activity: every call and every change, newest first."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from webapp.errors import NotFound
from webapp.routes.guards import allow
from webapp.routes.replies import page
from webapp.store.models import Agent, Approval, Entry, Integration, Tool

bp = Blueprint("activity", __name__, url_prefix="/activity")
PAGE = 50
EXACT = ("kind", "outcome", "actor", "integration", "tool", "approval")
OUTCOMES = ("ok", "tool_error", "waiting", "denied", "refused", "expired", "failed", "cancelled", "unknown")


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    """Pages are reached by `before=<id>`: new rows don't shift what somebody is reading."""
    filters = {name: value for name in (*EXACT, "text", "since", "until") if (value := request.args.get(name, ""))}
    query = Entry.newest(
        {name: filters[name] for name in EXACT if name in filters},
        text=filters.get("text", ""),
        since=_day(filters.get("since")),
        until=_day(filters.get("until"), end=True),
        before=request.args.get("before", 0, int),
    )
    rows = list(query.limit(PAGE + 1))
    return page(
        "activity/index.html", entries=rows[:PAGE], older=rows[PAGE - 1].id if len(rows) > PAGE else None,
        filters=filters, outcomes=OUTCOMES, integrations=Integration.listed(),
    )  # fmt: skip


@bp.get("/<int:entry_id>")
@allow("viewer")
def show(entry_id: int) -> ResponseReturnValue:
    entry = Entry.get_or_none(Entry.id == entry_id)
    if entry is None:
        raise NotFound("There is no such entry.")
    return page(
        "activity/show.html",
        entry=entry,
        details=json.loads(entry.details),
        tool=Tool.get_or_none(Tool.catalogue_name == entry.tool),
        agent=Agent.get_or_none(Agent.name == entry.actor) if entry.actor_kind == "agent" else None,
        approval=Approval.get_or_none(Approval.id == entry.approval),
    )


def _day(value: str | None, *, end: bool = False) -> datetime | None:
    try:
        day = datetime.fromisoformat(value or "").replace(tzinfo=UTC)
    except ValueError:
        return None
    return day + timedelta(days=1) if end else day
