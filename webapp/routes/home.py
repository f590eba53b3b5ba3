"""Home: what needs a person, and today's numbers."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from flask import Blueprint
from flask.typing import ResponseReturnValue
from peewee import fn

from webapp.routes.guards import allow, settings
from webapp.routes.replies import page
from webapp.services import health, practice, sentences
from webapp.store.fields import now
from webapp.store.models import Agent, Approval, Entry, Integration, Tool

bp = Blueprint("home", __name__)
# In these states an integration needs nobody; changed tools are listed by themselves.
QUIET = ("connected", "paused", "draft", "needs_review")
SOON = timedelta(days=7)


@bp.get("/")
@allow("viewer")
def index() -> ResponseReturnValue:
    today, waiting = now().date(), Approval.waiting()
    integrations = list(Integration.listed())
    return page(
        "home/index.html",
        waiting=waiting.count(),
        oldest=waiting.first(),
        troubled=[(one, health.of(one)) for one in integrations if _troubled(one)],
        drafts=[one for one in integrations if one.state == "draft"],
        unseen=[one for one in integrations if _unseen(one)],
        changed=_changed(),
        ending=_ending(),
        today=today.isoformat(),
        numbers=_numbers(datetime.combine(today, time.min, UTC)),
        steps=_steps(integrations),
        practice=practice.offered(settings().practice_url),
    )


def _troubled(integration: Integration) -> bool:
    return integration.state not in QUIET or bool(integration.sync_error and integration.state == "connected")


def _unseen(integration: Integration) -> bool:
    """In use, but nobody went through its tools to the end of the wizard."""
    return integration.kind == "server" and integration.state != "draft" and not integration.finished_at


def _changed() -> list[tuple[Integration, int]]:
    """Integrations with tools whose definition changed since a person looked, and how many."""
    count = fn.COUNT(Tool.id)
    query = (
        Integration.select(Integration, count.alias("changed"))
        .join(Tool, on=Tool.integration == Integration.id)
        .where(Tool.changed_at.is_null(False), Tool.missing_since.is_null())
        .group_by(Integration.id)
        .order_by(Integration.title)
    )
    return [(row, row.changed) for row in query.objects()]


def _ending() -> list[Agent]:
    """Agents whose key stops soon, or stopped lately."""
    soon = Agent.expires_at.between(now() - SOON, now() + SOON)
    return list(Agent.select().where(Agent.revoked_at.is_null(), soon).order_by(Agent.expires_at))


def _numbers(since: datetime) -> dict[str, int]:
    outcomes = Entry.outcomes_since(since)
    numbers = {"waiting": outcomes.get("waiting", 0)}
    for group, (_, members) in sentences.GROUPS.items():
        numbers[group] = sum(outcomes.get(one, 0) for one in members)
    return numbers


def _steps(integrations: list[Integration]) -> dict[str, bool]:
    """The first steps, and whether each is done."""
    return {
        "server": any(one.kind == "server" and one.state != "draft" for one in integrations),
        "agent": Agent.select().where(Agent.revoked_at.is_null()).exists(),
        "call": Entry.select().where(Entry.kind == "call").exists(),
    }
