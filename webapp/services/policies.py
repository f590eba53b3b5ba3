"""The permission of each tool: who may set which, and the seed it started from."""

from __future__ import annotations

from typing import Any

from webapp.errors import Forbidden, InvalidInput, NotFound, Stale
from webapp.services import audit, health
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Integration, Tool

# From loose to strict.
POLICIES = ("auto", "approval", "disabled")
LOOK_FIRST = "Nobody has looked at it yet as it is now, so it gets no more permission from here."
# What a look ends.
LOOKED_AT: dict[str, Any] = {"changed_at": None, "policy_before": "", "reviewed_definition": None}
WORDS = {"auto": "Auto", "approval": "Approval needed", "disabled": "Disabled"}


# What a server's later tools get at most until somebody has looked: see holding.
CEILING_WORDS = {
    "seed": "Their seeds",
    "approval": "Approval needed at most",
    "disabled": "Disabled until looked at",
}


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


def unreviewed(waits: bool, current: str, policy: str) -> str:
    """Why a tool that waits for a look may not be set to this policy in passing; empty when it may."""
    return LOOK_FIRST if waits and looser(policy, current) else ""


def set_policy(tool: Tool, policy: str, actor: Actor, *, seen: str = "", was: str = "") -> Tool:
    """The tool as it is stored now. What waits for a look gets more permission by `reviews.accept` only.

    `seen` is the digest of the definition that the person had before them, `was` the policy; raises Stale when
    either is another one by now.
    """
    if policy not in POLICIES:
        raise InvalidInput(
            "There is no such policy.", field="policy", next_step="Use Auto, Approval needed or Disabled."
        )
    needs(actor, "technician")
    with writing():
        stored = current(tool, seen)
        _not_overtaken(stored, was, actor)
        _set(stored, policy, actor, "policy.set")
    return current(tool)


def reset(tool: Tool, actor: Actor, *, seen: str = "", was: str = "") -> Tool:
    """Back to the seed, by the same rules as setting it."""
    needs(actor, "technician")
    with writing():
        stored = current(tool, seen)
        _not_overtaken(stored, was, actor)
        _set(stored, stored.seed_policy, actor, "policy.reset")
    return current(tool)


def _not_overtaken(tool: Tool, was: str, actor: Actor) -> None:
    """Nobody loosens unknowingly what somebody else has just tightened. One's own last click is no surprise."""
    if was and was != tool.policy and tool.policy_by != actor.name:
        raise Stale(
            f"It was set to {WORDS[tool.policy]} meanwhile.",
            why="Somebody else changed it after this page was made.",
            next_step="Look at it as it is now, and choose again if you still want to.",
        )


def permitted(tool: Tool, policy: str, actor: Actor) -> None:
    """Raises Forbidden."""
    if why := hindrance(tool.kind, policy, actor.role):
        raise Forbidden(why, next_step="Ask an admin, or choose Approval needed.")


def _set(tool: Tool, policy: str, actor: Actor, action: str) -> None:
    """In the caller's transaction. The command line belongs to whoever owns the box: that it names this one tool
    is a look."""
    permitted(tool, policy, actor)
    why = unreviewed(tool.waits, tool.policy, policy)
    if why and actor.kind != "command":
        raise Forbidden(why, next_step="Open the tool, look at it and accept it there.")
    if policy != tool.policy:
        write(tool, policy, actor, action, **(LOOKED_AT if why else {}))


def write(tool: Tool, policy: str, actor: Actor, action: str, **marks: Any) -> None:
    """In the caller's transaction, which has made sure that it may be."""
    changes = {"policy": policy, "policy_by": actor.name, "policy_at": now(), "policy_bulk": ""} | marks
    Tool.update(**changes).where(Tool.id == tool.id).execute()
    details = {"from": tool.policy, "to": policy, "seed": tool.seed_policy}
    if tool.waits and marks:
        details |= {"before": tool.policy_before, "definition": tool.definition_digest}
    audit.record(action, actor, integration=tool.integration.name, tool=tool.catalogue_name, details=details,
                 tools=[tool.id])  # fmt: skip
    health.settle(tool.integration)


def current(tool: Tool, seen: str = "") -> Tool:
    """The tool as it is stored. Raises NotFound, and Stale where `seen` is the digest of another definition."""
    found: Tool | None = Tool.select(Tool, Integration).join(Integration).where(Tool.id == tool.id).first()
    if found is None:
        raise NotFound("This tool is gone: its server was disconnected.")
    if seen and seen != found.definition_digest:
        raise Stale(
            "The definition of this tool has changed since this page was made.",
            next_step="Load the page again and look at what changed.",
        )
    return found
