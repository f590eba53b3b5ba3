"""Settings → Agents: who may call, with which key, and what."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput
from webapp.routes.guards import allow, current_actor, settings
from webapp.routes.replies import leave_for, page
from webapp.services import agents
from webapp.store.fields import now
from webapp.store.models import Agent, AgentIntegration, Entry, Integration

bp = Blueprint("agents", __name__, url_prefix="/settings/agents")
RECENT_CALLS = 10
PLACEHOLDER = "YOUR_KEY"


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    rows = Agent.select().order_by(Agent.revoked_at.is_null(False), Agent.name)
    return page("agents/index.html", agents=list(rows), calls=Entry.calls_by_actor(now() - timedelta(days=7)))


@bp.get("/new")
@allow("admin")
def new() -> ResponseReturnValue:
    return _form()


@bp.post("")
@allow("admin")
def create() -> ResponseReturnValue:
    try:
        agent, key = agents.create(
            request.form.get("name", ""), current_actor(), integrations=_chosen(), expires_at=_expiry()
        )
    except InvalidInput as error:
        return _form(error)
    return page("agents/key.html", agent=agent, key=key, address=_address())


@bp.get("/<int:agent_id>")
@allow("viewer")
def show(agent_id: int) -> ResponseReturnValue:
    return _show(agents.get(agent_id))


@bp.post("/<int:agent_id>/limits")
@allow("admin")
def limit(agent_id: int) -> ResponseReturnValue:
    agent = agents.get(agent_id)
    agents.limit(agent, _chosen(), current_actor())
    try:
        agents.set_expiry(agent, _expiry(), current_actor())
    except InvalidInput as error:
        return _show(agent, error)
    flash("Saved. It holds from the agent's next call on.")
    return leave_for(url_for(".show", agent_id=agent_id))


@bp.post("/<int:agent_id>/key")
@allow("admin")
def replace_key(agent_id: int) -> ResponseReturnValue:
    agent = agents.get(agent_id)
    key = agents.replace_key(agent, current_actor())
    return page("agents/key.html", agent=agent, key=key, address=_address())


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


def _form(error: InvalidInput | None = None) -> ResponseReturnValue:
    return page(
        "agents/new.html", status=error.status if error else 200, error=error, typed=request.form,
        integrations=_integrations(), chosen=set(request.form.getlist("integration")),
    )  # fmt: skip


def _show(agent: Agent, error: InvalidInput | None = None) -> ResponseReturnValue:
    granted = {
        row.integration.name
        for row in AgentIntegration.select(AgentIntegration, Integration)
        .join(Integration)
        .where(AgentIntegration.agent == agent)
    }
    calls = Entry.select().where(Entry.actor == agent.name, Entry.kind == "call").order_by(Entry.id.desc())
    return page(
        "agents/show.html", status=error.status if error else 200, error=error, agent=agent, chosen=granted,
        integrations=_integrations(), calls=list(calls.limit(RECENT_CALLS)), key=PLACEHOLDER, address=_address(),
    )  # fmt: skip


def _integrations() -> list[Integration]:
    return [one for one in Integration.listed() if one.state != "draft"]


def _chosen() -> list[Integration] | None:
    """None: every integration. A limit to nothing at all is allowed: such an agent sees no tool."""
    if request.form.get("scope", "all") == "all":
        return None
    names = request.form.getlist("integration")
    return list(Integration.select().where(Integration.name.in_(names)))


def _expiry() -> datetime | None:
    """The end of the chosen day, UTC."""
    day = request.form.get("expires", "").strip()
    if not day:
        return None
    try:
        return datetime.combine(datetime.fromisoformat(day).date(), time.max, UTC)
    except ValueError as error:
        raise InvalidInput("This is not a date.", field="expires") from error


def _address() -> str:
    return f"{settings().address}/mcp"
