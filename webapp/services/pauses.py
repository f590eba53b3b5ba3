"""The brake: one switch for a server, for an agent, for all writes, for all calls. It holds from the next call on.

Anybody who decides about calls may pull it, with one sentence why. Releasing it gives permission back, so it takes at
least the role of whoever pulled it: a technician undoes a colleague's mistake, and not what an admin has stopped.
"""

from __future__ import annotations

from typing import Any

from webapp.errors import Forbidden, InvalidInput, NotFound, Stale
from webapp.services import approvals, audit, health
from webapp.services.audit import Actor
from webapp.services.roles import ROLES, needs
from webapp.services.standstill import EVERYTHING
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, Integration, Pause

LEVELS = {"writes": "all writes", "calls": "all calls"}
LONGEST_REASON = 300
NO_REASON = "Say in a few words why."


def pause_server(integration: Integration, actor: Actor, reason: str) -> Pause:
    """Agents stop seeing its tools, and calls of them are refused; nothing is forgotten."""
    needs(actor, "technician")
    why = _reason(reason)
    with writing():
        current: Integration | None = Integration.get_or_none(Integration.id == integration.id)
        if current is None:
            raise NotFound("This integration was disconnected meanwhile.")
        if current.kind != "server":
            raise Stale("A built-in is not paused but switched off, by an admin.")
        if current.state == "draft":
            raise Stale("This server is not set up yet.")
        if found := Pause.get_or_none(Pause.key == key_of_server(current)):
            return found  # type: ignore[no-any-return]
        words = f"By {actor.name}: {why}"
        Integration.update(state="paused", state_reason=words).where(Integration.id == current.id).execute()
        made = _make(key_of_server(current), "server", actor, why, integration=current)
        _record("integration.paused", actor, integration=current.name, details={"reason": why})
    return made


def pause_agent(agent: Agent, actor: Actor, reason: str) -> Pause:
    """Its key stays good, and its calls are refused."""
    needs(actor, "technician")
    why = _reason(reason)
    with writing():
        if found := Pause.get_or_none(Pause.key == key_of_agent(agent)):
            return found  # type: ignore[no-any-return]
        made = _make(key_of_agent(agent), "agent", actor, why, agent=agent)
        _record("agent.paused", actor, details={"agent": agent.name, "reason": why})
    return made


def stop(level: str, actor: Actor, reason: str) -> Pause:
    """All writes, or all calls, of everybody. From calls to writes is half a release, by the same rule."""
    needs(actor, "technician")
    if level not in LEVELS:
        raise InvalidInput("Choose what to stop.", field="level")
    why = _reason(reason)
    with writing():
        before: Pause | None = Pause.get_or_none(Pause.key == EVERYTHING)
        if before is not None and before.scope == level:
            return before
        if before is not None and level == "writes":
            _check(before, actor)
        if before is not None:
            before.delete_instance()
        role = max(_role(actor), before.by_role if before else "viewer", key=ROLES.index)
        made = _make(EVERYTHING, level, actor, why, by_role=role)
        _record("everything.stopped", actor, details={"what": LEVELS[level], "reason": why})
    return made


def resume(key: str, actor: Actor) -> None:
    """Raises Forbidden where it takes a higher role. Nothing happens where nothing is paused by this key."""
    needs(actor, "technician")
    with writing():
        found: Pause | None = Pause.get_or_none(Pause.key == key)
        if found is None:
            return
        _check(found, actor)
        found.delete_instance()
        details: dict[str, Any] = {"paused_by": found.by, "paused_at": found.at}
        if found.scope == "server":
            state = health.settled(found.integration)
            changes = {"state": state, "state_reason": ""}
            Integration.update(**changes).where(Integration.id == found.integration_id).execute()
            _record("integration.resumed", actor, integration=found.integration.name, details=details)
        elif found.scope == "agent":
            _record("agent.resumed", actor, details={"agent": found.agent.name} | details)
        else:
            _record("everything.resumed", actor, details={"what": LEVELS[found.scope]} | details)


def hindrance(pause: Pause, role: str) -> str:
    """Why somebody of this role may not resume it; empty when they may."""
    if role in ROLES and ROLES.index(role) >= max(ROLES.index("technician"), ROLES.index(pause.by_role)):
        return ""
    if pause.by_role == "admin":
        return "An admin has paused it, so an admin resumes it."
    return "Technicians and admins resume it."


def standing() -> list[Pause]:
    """All that is paused: everything first, then servers and agents by name."""
    rows = Pause.select(Pause, Integration, Agent).left_outer_join(Integration).switch(Pause)
    found = list(rows.left_outer_join(Agent).where(Agent.revoked_at.is_null()))
    return sorted(found, key=lambda one: (one.key != EVERYTHING, one.scope != "server", _name(one).lower()))


def key_of_server(integration: Integration) -> str:
    return f"server:{integration.name}"


def key_of_agent(agent: Agent) -> str:
    return f"agent:{agent.id}"


def _make(key: str, scope: str, actor: Actor, reason: str, **of: Any) -> Pause:
    values = {"at": now(), "by": actor.name, "by_role": _role(actor), "reason": reason} | of
    made: Pause = Pause.create(key=key, scope=scope, **values)
    return made


def _record(action: str, actor: Actor, *, integration: str = "", details: dict[str, Any]) -> None:
    """With what became of the calls that wait."""
    frozen, thawed = approvals.settle_clocks()
    counts = {name: count for name, count in (("frozen", frozen), ("thawed", thawed)) if count}
    audit.record(action, actor, integration=integration, details=details | counts)


def _check(pause: Pause, actor: Actor) -> None:
    if why := hindrance(pause, _role(actor)):
        raise Forbidden(why, next_step="Ask an admin.")


def _role(actor: Actor) -> str:
    """The command line belongs to whoever owns the box."""
    return actor.role if actor.kind == "user" else "admin"


def _reason(text: str) -> str:
    words = " ".join(text.split())[:LONGEST_REASON]
    if not words:
        raise InvalidInput("A reason is missing.", field="reason", next_step=NO_REASON)
    return words


def _name(pause: Pause) -> str:
    return str(pause.integration.title if pause.integration else pause.agent.name if pause.agent else "")
