"""What a sync may do to a tool's policy before a person has looked: tighten it, and remember what it would be.

`policy_before` is that memory. While it is there the tool waits under Needs review, and one click puts it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from webapp.errors import InvalidInput
from webapp.services import audit
from webapp.services.audit import Actor
from webapp.services.policies import stricter
from webapp.services.roles import needs
from webapp.services.screening import Flag
from webapp.services.seeding import Seed
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Integration, Tool

# What a server's setting lets a tool have that comes after the first sync, until somebody has looked at it. Not its
# seed by default: a server could escape the review of a changed tool by offering it under another name.
CEILINGS = {"seed": "auto", "approval": "approval", "disabled": "disabled"}


def of_new(integration: Integration, seed: Seed, flags: Sequence[Flag], *, first: bool) -> dict[str, Any]:
    """The first list of a server is seeded as it is: the person who connects it goes through it."""
    ceiling = "auto" if first or integration.kind == "builtin" else CEILINGS[integration.new_tools]
    policy = stricter(seed.policy, _with(flags, ceiling))
    return {"policy": policy, "policy_by": "", "policy_before": seed.policy if policy != seed.policy else ""}


def of_changed(before: Tool, seed: Seed, flags: Sequence[Flag]) -> dict[str, Any]:
    """A policy that a person chose stays where it is stricter; Auto never stays."""
    policy = stricter(stricter(before.policy, seed.policy), _with(flags, "approval"))
    return _tightened(before, policy) | _to_compare(before)


def of_flagged(before: Tool) -> dict[str, Any]:
    """The rules became sharper, and find something in what is known."""
    return _tightened(before, "disabled")


def marks(flags: Sequence[Flag]) -> dict[str, Any]:
    return {"flagged": bool(flags), "flags": [asdict(flag) for flag in flags]}


def _with(flags: Sequence[Flag], otherwise: str) -> str:
    return "disabled" if flags else otherwise


def _tightened(before: Tool, policy: str) -> dict[str, Any]:
    """Two changes before anybody looked: what it had before the first is what it goes back to."""
    changes: dict[str, Any] = {"policy": policy, "policy_before": before.policy_before or before.policy}
    if policy != before.policy:
        changes |= {"policy_by": "", "policy_at": now()}
    return changes


def _to_compare(before: Tool) -> dict[str, Any]:
    """What nobody has looked at yet is no measure of a change: it is still looked at as a whole."""
    if before.waits and before.changed_at is None:
        return {}
    known = before.reviewed_definition if before.changed_at else before.definition
    return {"changed_at": now(), "reviewed_definition": known}


def set_ceiling(integration: Integration, wanted: str, actor: Actor) -> None:
    """For tools to come. What waits already goes on waiting."""
    needs(actor, "admin")
    if wanted not in CEILINGS:
        raise InvalidInput("Choose what new tools get.", field="new_tools")
    with writing():
        current = Integration.get_by_id(integration.id)
        if current.new_tools != wanted:
            Integration.update(new_tools=wanted).where(Integration.id == current.id).execute()
            details = {"from": current.new_tools, "to": wanted}
            audit.record("integration.new_tools", actor, integration=current.name, details=details)
