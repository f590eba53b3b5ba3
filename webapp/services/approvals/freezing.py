"""Calls that wait while something is paused: they can't run, and their clock stands still."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from webapp.services import audit, standstill
from webapp.services.approvals import record
from webapp.services.audit import SYSTEM
from webapp.services.standstill import Standstill
from webapp.store.fields import now
from webapp.store.models import Approval

# What was approved but had not begun is decided anew; there must be time for that when all goes on.
TIME_TO_DECIDE = timedelta(minutes=10)


def settle() -> tuple[int, int]:
    """After something was paused or resumed, in the same transaction: how many are frozen now, and how many go on."""
    standing = standstill.now_standing()
    frozen = thawed = 0
    for approval in Approval.select().where(Approval.state.in_(("waiting", "approved"))):
        if scope_of(approval, standing):
            frozen += 1
            if approval.frozen_at is None:
                freeze(approval)
        elif approval.frozen_at is not None:
            thawed += 1
            _thaw(approval)
    return frozen, thawed


def freeze(approval: Approval) -> None:
    """In the caller's transaction. Approved, but not begun: it goes back to waiting, for a person to decide anew."""
    changes: dict[str, Any] = {"frozen_at": now()}
    if approval.state != "waiting":
        changes |= {"state": "waiting", "decided_by": "", "decided_at": None, "worker": "", "note": ""}
        changes["expires_at"] = max(approval.expires_at, now() + TIME_TO_DECIDE)
        name, details = approval.catalogue_name, {"agent": approval.agent_name, "by": approval.decided_by}
        audit.record("approval.frozen", SYSTEM, integration=record.integration_in(name), tool=name,
                     approval=approval.id, details=details, tools=())  # fmt: skip
    Approval.update(**changes).where(Approval.id == approval.id).execute()


def _thaw(approval: Approval) -> None:
    stood = now() - approval.frozen_at
    changes = {"frozen_at": None, "expires_at": approval.expires_at + stood}
    Approval.update(**changes).where(Approval.id == approval.id).execute()


def scope_of(approval: Approval, standing: Standstill | None = None) -> str:
    """What keeps it from running; empty where nothing does."""
    if approval.tool is None:
        return ""
    standing = standing or standstill.now_standing()
    return standing.scope(approval.agent_id, approval.tool.integration_id, approval.tool.kind)
