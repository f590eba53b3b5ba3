"""A person looks at what changed, is new or was flagged, and accepts it: exactly what they had before them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from peewee import ModelSelect

from webapp.errors import InvalidInput, Stale
from webapp.services import policies
from webapp.services.audit import Actor
from webapp.services.changes import Part, compare
from webapp.services.policies import LOOKED_AT, POLICIES
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.models import WAITS, Integration, Tool

# What to do with many: leave each at what it has now, or give it what it had, or was seeded, before.
WAYS = ("keep", "before")


def difference(tool: Tool) -> list[Part] | None:
    """Between what a person knows and what it is; None where nobody has looked at it yet."""
    known = tool.reviewed_definition
    return None if known is None else compare(known, tool.definition)


def waiting(integration: Integration | None = None) -> ModelSelect:
    """Server by server, suspicious ones first; what is gone from its server waits until it comes back."""
    query = Tool.select(Tool, Integration).join(Integration)
    query = query.where(WAITS, Tool.missing_since.is_null())
    if integration is not None:
        query = query.where(Tool.integration == integration)
    return query.order_by(Integration.title, Integration.id, Tool.flagged.desc(), Tool.name)


def accept(tool: Tool, policy: str, actor: Actor, *, seen: str) -> Tool:
    """With this policy from now on; `seen` is the digest of the definition that was looked at.

    Raises Stale where the definition is another now or somebody was first, Forbidden where this role may not set
    that policy.
    """
    needs(actor, "technician")
    if policy not in POLICIES:
        raise InvalidInput(
            "Choose a policy.", field="policy", next_step="Use Auto, Approval needed or Disabled."
        )
    with writing():
        stored = _looked_at(tool, seen)
        if not stored.waits:
            raise Stale(_first(stored), next_step="Look at the tool as it is now.")
        if policy != stored.policy:
            policies.permitted(stored, policy, actor)
        policies.write(stored, policy, actor, "tool.reviewed", **LOOKED_AT)
    return policies.current(tool)


def keep(tool: Tool, actor: Actor, *, seen: str) -> Tool:
    """Somebody looked, at a tool that is only marked new too, and leaves the policy as it is."""
    needs(actor, "technician")
    with writing():
        stored = _looked_at(tool, seen)
        if stored.waits or stored.policy_at is None:
            policies.write(stored, stored.policy, actor, "tool.reviewed", **LOOKED_AT)
    return policies.current(tool)


@dataclass
class Accepted:
    """What became of several at once. `left`: (tool, why it goes on waiting)."""

    done: list[Tool] = field(default_factory=list)
    left: list[tuple[Tool, str]] = field(default_factory=list)


def accept_all(integration: Integration, seen: Mapping[int, str], way: str, actor: Actor) -> Accepted:
    """Those of one server that were looked at: {tool id: digest of the definition}.

    Raises Stale, and accepts none, where one of them is another now. What this role may not set goes on waiting, and
    so does what was flagged: that is looked at one by one.
    """
    needs(actor, "technician")
    if way not in WAYS:
        raise InvalidInput("Choose what the tools get.", field="way")
    accepted = Accepted()
    with writing():
        for tool in Tool.select().where(Tool.id.in_(list(seen)), Tool.integration == integration):
            stored = _looked_at(tool, seen[tool.id])
            if stored.waits:
                _accept_one_of_many(stored, way, actor, accepted)
    return accepted


def _accept_one_of_many(tool: Tool, way: str, actor: Actor, accepted: Accepted) -> None:
    policy = tool.policy_before if way == "before" else tool.policy
    if why := _why_not(tool, policy, actor):
        accepted.left.append((tool, why))
    else:
        policies.write(tool, policy, actor, "tool.reviewed", **LOOKED_AT)
        accepted.done.append(tool)


def _why_not(tool: Tool, policy: str, actor: Actor) -> str:
    if tool.flagged:
        return "It was flagged: look at it by itself."
    return policies.hindrance(tool.kind, policy, actor.role) if policy != tool.policy else ""


def _looked_at(tool: Tool, seen: str) -> Tool:
    """Who does not say what was looked at has looked at nothing."""
    return policies.current(tool, seen or "nothing")


def _first(tool: Tool) -> str:
    who = f"{tool.policy_by} has" if tool.policy_by else "Somebody has"
    return f"{who} looked at it already; it is {policies.WORDS[tool.policy]} now."
