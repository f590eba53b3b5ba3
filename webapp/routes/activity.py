"""Activity: every call and every change, newest first."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from webapp.errors import NotFound
from webapp.routes.guards import allow
from webapp.routes.replies import page
from webapp.services import sentences
from webapp.store.models import Agent, Approval, Entry, Integration, Tool, User

bp = Blueprint("activity", __name__, url_prefix="/activity")
PAGE = 50
LARGEST_ID = 2**63 - 1
EXACT = ("kind", "outcome", "actor", "integration", "tool", "approval")
DAYS = ("since", "until")


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    """Pages are reached by `before=<id>`: new rows don't shift what somebody is reading."""
    filters, before = _filters(), _id(request.args.get("before", ""))
    query = Entry.newest(
        _exact(filters),
        text=filters.get("text", ""),
        since=_day(filters.get("since", "")),
        until=_day(filters.get("until", ""), end=True),
        before=before,
    )
    rows = list(query.limit(PAGE + 1))
    return page(
        "activity/index.html", entries=rows[:PAGE], older=rows[PAGE - 1].id if len(rows) > PAGE else None,
        before=before, filters=filters, groups=sentences.GROUPS, outcomes=sentences.OUTCOMES,
        actors=_actors(), integrations=list(Integration.listed()),
    )  # fmt: skip


@bp.get("/<int:entry_id>")
@allow("viewer")
def show(entry_id: int) -> ResponseReturnValue:
    entry = Entry.get_or_none(Entry.id == entry_id) if entry_id <= LARGEST_ID else None
    if entry is None:
        raise NotFound("There is no such entry.", next_step="Go back to Activity and search there.")
    return page(
        "activity/show.html",
        entry=entry,
        details=json.dumps(json.loads(entry.details), indent=2, ensure_ascii=False),
        digest=bytes(entry.digest).hex(),
        tool=Tool.get_or_none(Tool.catalogue_name == entry.tool),
        integration=Integration.get_or_none(Integration.name == entry.integration),
        agent=Agent.get_or_none(Agent.name == entry.actor) if entry.actor_kind == "agent" else None,
        approval=Approval.get_or_none(Approval.id == entry.approval),
    )


def _filters() -> dict[str, str]:
    """What the address asks for, as far as it makes sense."""
    given = {name: request.args.get(name, "").strip()[:300] for name in (*EXACT, "text", *DAYS)}
    return {name: text for name, text in given.items() if text and (name not in DAYS or _day(text))}


def _exact(filters: dict[str, str]) -> dict[str, str | tuple[str, ...]]:
    exact: dict[str, str | tuple[str, ...]] = {name: filters[name] for name in EXACT if name in filters}
    if (outcome := filters.get("outcome", "")) in sentences.GROUPS:
        exact["outcome"] = sentences.GROUPS[outcome][1]
    return exact


def _actors() -> list[str]:
    names = [name for (name,) in Agent.select(Agent.name).order_by(Agent.name).tuples()]
    return names + [email for (email,) in User.select(User.email).order_by(User.email).tuples()]


def _id(text: str) -> int:
    """0 for what can't be the id of an entry."""
    return min(int(text), LARGEST_ID) if text.isascii() and text.isdigit() and len(text) < 30 else 0


def _day(text: str, *, end: bool = False) -> datetime | None:
    """Midnight, UTC, at the start or the end of the day."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        return day + timedelta(days=1) if end else day
    except (ValueError, OverflowError):
        return None
