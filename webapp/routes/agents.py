"""Settings → Agents: who may call, with which key, and what."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput
from webapp.routes.confirming import recently
from webapp.routes.guards import allow, current_actor, settings
from webapp.routes.replies import leave_for, page
from webapp.services import agents, budget, pauses, quotas
from webapp.services.own_tools import SEARCH_ABOVE, Mode
from webapp.services.quotas import Quota
from webapp.store.fields import now
from webapp.store.models import Agent, Entry, Integration

bp = Blueprint("agents", __name__, url_prefix="/settings/agents")
RECENT_CALLS = 10
WEEK = timedelta(days=7)
PLACEHOLDER = "YOUR_KEY"


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    rows = list(Agent.listed())
    calls = Entry.calls_by_actor(now() - WEEK)
    return page("agents/index.html", agents=rows, limits=agents.limits_of(rows), calls=calls)


@bp.get("/new")
@allow("admin")
def new() -> ResponseReturnValue:
    return _form()


@bp.post("")
@allow("admin")
@recently
def create() -> ResponseReturnValue:
    try:
        agent, key = agents.create(
            request.form.get("name", ""), current_actor(), integrations=_chosen(), expires_at=_expiry(),
            mode=_mode(),
        )  # fmt: skip
    except InvalidInput as error:
        return _form(error)
    return _key_page(agent, key)


@bp.get("/<int:agent_id>")
@allow("viewer")
def show(agent_id: int) -> ResponseReturnValue:
    return _show(agents.get(agent_id))


@bp.post("/<int:agent_id>/state")
@allow("technician")
def set_state(agent_id: int) -> ResponseReturnValue:
    agent = agents.get(agent_id)
    match request.form.get("wanted", ""):
        case "paused":
            try:
                pauses.pause_agent(agent, current_actor(), request.form.get("reason", ""))
            except InvalidInput as error:
                return _show(agent, error)
            flash(f"{agent.name} is paused: its calls are refused from now on.")
        case "active":
            pauses.resume(pauses.key_of_agent(agent), current_actor())
            flash(f"{agent.name} may call again.")
        case _:
            raise InvalidInput("Choose to pause or to resume.", field="wanted")
    return leave_for(url_for(".show", agent_id=agent_id))


@bp.post("/<int:agent_id>/limits")
@allow("admin")
def limit(agent_id: int) -> ResponseReturnValue:
    agents.limit(agents.get(agent_id), _chosen(), current_actor())
    return _saved(agent_id)


@bp.post("/<int:agent_id>/tool-search")
@allow("admin")
def set_tool_search(agent_id: int) -> ResponseReturnValue:
    agent = agents.get(agent_id)
    try:
        agents.set_tool_search(agent, _mode(), current_actor())
    except InvalidInput as error:
        return _show(agent, error)
    return _saved(agent_id)


@bp.post("/<int:agent_id>/quota")
@allow("admin")
def set_quota(agent_id: int) -> ResponseReturnValue:
    agent = agents.get(agent_id)
    try:
        quotas.change(agent, request.form, current_actor())
    except InvalidInput as error:
        return _show(agent, error)
    return _saved(agent_id)


@bp.post("/<int:agent_id>/expiry")
@allow("admin")
def set_expiry(agent_id: int) -> ResponseReturnValue:
    agent = agents.get(agent_id)
    try:
        agents.set_expiry(agent, _expiry(), current_actor())
    except InvalidInput as error:
        return _show(agent, error)
    return _saved(agent_id)


@bp.post("/<int:agent_id>/key")
@allow("admin")
@recently
def replace_key(agent_id: int) -> ResponseReturnValue:
    agent = agents.get(agent_id)
    return _key_page(agent, agents.replace_key(agent, current_actor()))


@bp.get("/<int:agent_id>/revoke")
@allow("admin")
def ask_revoke(agent_id: int) -> ResponseReturnValue:
    return page("agents/revoke.html", agent=agents.get(agent_id))


@bp.post("/<int:agent_id>/revoke")
@allow("admin")
def revoke(agent_id: int) -> ResponseReturnValue:
    agent = agents.get(agent_id)
    agents.revoke(agent, current_actor())
    flash(f"{agent.name} can no longer call tools.")
    return leave_for(url_for(".index"))


def _saved(agent_id: int) -> ResponseReturnValue:
    flash("Saved. It holds from the agent's next call on.")
    return leave_for(url_for(".show", agent_id=agent_id))


def _form(error: InvalidInput | None = None) -> ResponseReturnValue:
    return page(
        "agents/new.html", status=error.status if error else 200, error=error, typed=request.form,
        everything=request.form.get("scope", "all") == "all", integrations=_integrations(),
        chosen=set(request.form.getlist("integration")), mode=Mode(request.form.get("tool_search", "auto")),
    )  # fmt: skip


def _show(agent: Agent, error: InvalidInput | None = None) -> ResponseReturnValue:
    limits = agents.limits_of([agent]).get(agent.id, [])
    calls = Entry.newest({"kind": "call", "actor": agent.name}).limit(RECENT_CALLS)
    cost = budget.budget_of(agent)
    return page(
        "agents/show.html", status=error.status if error else 200, error=error, typed=request.form,
        agent=agent, everything=agent.every_integration, limits=limits, chosen={one.name for one in limits},
        integrations=_integrations(), calls=list(calls), budget=cost,
        mode=Mode(request.form["tool_search"]) if "tool_search" in request.form else cost.mode,
        week=Entry.calls_by_actor(now() - WEEK).get(agent.name, 0), **_connecting(PLACEHOLDER, agent),
        quota=_quota(agent), usual=quotas.usual(settings()),
    )  # fmt: skip


def _key_page(agent: Agent, key: str) -> ResponseReturnValue:
    """The one page that ever shows the key."""
    return page("agents/key.html", agent=agent, **_connecting(key, agent))


def _connecting(key: str, agent: Agent) -> dict[str, Any]:
    """What the snippets need. An SDK must hold the line longer than a call is held for its approval."""
    patience = max(60, int(_quota(agent).hold_seconds or 0) + 15)
    return {"key": key, "address": f"{settings().address}/mcp", "patience": patience}


def _quota(agent: Agent) -> Quota:
    return quotas.of(agent).or_else(quotas.usual(settings()))


def _integrations() -> list[Integration]:
    return [one for one in Integration.listed() if one.state != "draft"]


def _chosen() -> list[Integration] | None:
    """None: every integration, only where that was asked for. An agent limited to nothing sees no tool."""
    if request.form.get("scope") == "all":
        return None
    return list(Integration.select().where(Integration.name.in_(request.form.getlist("integration"))))


def _mode() -> Mode:
    """What the form says of tool search; a form that says nothing leaves the whole list."""
    above = request.form.get("tool_search_above", "").strip() or str(SEARCH_ABOVE)
    try:
        return Mode(request.form.get("tool_search", "off"), int(above))
    except ValueError as error:
        raise InvalidInput("This is not a number.", field="tool_search_above",
                           next_step=f"Write it like {SEARCH_ABOVE}.") from error  # fmt: skip


def _expiry() -> datetime | None:
    """The end of the chosen day, UTC."""
    day = request.form.get("expires", "").strip()
    if not day:
        return None
    try:
        return datetime.combine(datetime.strptime(day, "%Y-%m-%d").date(), time.max, UTC)
    except ValueError as error:
        raise InvalidInput(
            "This is not a date.", field="expires", next_step="Write it like 2030-12-31."
        ) from error
