"""The permission of each tool: who may set which, and the seed it started from."""

from __future__ import annotations

from typing import Any

from webapp.errors import Forbidden, InvalidInput, NotFound, Stale
from webapp.services import audit, health
from webapp.services.accounts import needs
from webapp.services.audit import Actor
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Integration, Tool

# From loose to strict.
POLICIES = ("auto", "approval", "disabled")
WORDS = {"auto": "Auto", "approval": "Approval needed", "disabled": "Disabled"}


def stricter(one: str, other: str) -> str:
    return max(one, other, key=POLICIES.index)


def looser(one: str, other: str) -> bool:
    return POLICIES.index(one) < POLICIES.index(other)


def hindrance(kind: str, policy: str, role: str) -> str:
    """Why somebody of this role may not set a tool of this kind to this policy; empty when they may."""
    if role == "admin":
        return ""
    if role != "technician":
        return "Only technicians and admins change policies."
    if policy == "auto" and kind != "read":
        return "Only an admin can set a tool that may write to Auto."
    return ""


def set_policy(tool: Tool, policy: str, actor: Actor, *, seen: str = "") -> Tool:
    """The tool as it is stored now. Setting a policy also says: I have looked at this tool.

    `seen` is the digest of the definition that the person had before them; raises Stale for another one.
    """
    if policy not in POLICIES:
        raise InvalidInput(
            "There is no such policy.", field="policy", next_step="Use Auto, Approval needed or Disabled."
        )
    needs(actor, "technician")
    with writing():
        current = _current(tool, seen)
        _permitted(current, policy, actor)
        _change(current, policy, actor, "policy.set")
    return _current(tool)


def reset(tool: Tool, actor: Actor, *, seen: str = "") -> Tool:
    """Back to the seed, by the same rules as setting it."""
    needs(actor, "technician")
    with writing():
        current = _current(tool, seen)
        _permitted(current, current.seed_policy, actor)
        _change(current, current.seed_policy, actor, "policy.reset")
    return _current(tool)


def keep(tool: Tool, actor: Actor, *, seen: str = "") -> Tool:
    """Somebody looked at a new tool or a changed definition, and leaves the policy as it is."""
    needs(actor, "technician")
    with writing():
        current = _current(tool, seen)
        if current.changed_at is not None or current.policy_at is None:
            _change(current, current.policy, actor, "tool.reviewed")
    return _current(tool)


def _permitted(tool: Tool, policy: str, actor: Actor) -> None:
    if why := hindrance(tool.kind, policy, actor.role):
        raise Forbidden(why, next_step="Ask an admin, or choose Approval needed.")


def _change(tool: Tool, policy: str, actor: Actor, action: str) -> None:
    """In the caller's transaction."""
    if policy == tool.policy and tool.changed_at is None and action != "tool.reviewed":
        return
    changes: dict[str, Any] = {"policy": policy, "policy_by": actor.name, "policy_at": now()}
    changes |= {"changed_at": None, "policy_bulk": ""}
    Tool.update(**changes).where(Tool.id == tool.id).execute()
    integration = tool.integration
    audit.record(
        action,
        actor,
        integration=integration.name,
        tool=tool.catalogue_name,
        details={"from": tool.policy, "to": policy, "seed": tool.seed_policy},
    )
    if integration.state == "needs_review":
        state = health.settled(integration)
        Integration.update(state=state).where(Integration.id == integration.id).execute()


def _current(tool: Tool, seen: str = "") -> Tool:
    found: Tool | None = Tool.select(Tool, Integration).join(Integration).where(Tool.id == tool.id).first()
    if found is None:
        raise NotFound("This tool is gone: its server was disconnected.")
    if seen and seen != found.definition_digest:
        raise Stale(
            "The definition of this tool has changed since this page was made.",
            next_step="Load the page again and look at what changed.",
        )
    return found
