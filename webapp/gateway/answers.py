"""Tool results that Gatehouse itself writes. All are errors in MCP's sense (`isError`): clients check the
structured content of successes against the tool's output schema, which these can't meet."""

from __future__ import annotations

from typing import Any

from webapp.store.fields import now
from webapp.store.models import Approval


def failure(text: str, **facts: Any) -> dict[str, Any]:
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": True}
    if facts:
        result["structuredContent"] = facts
    return result


UNKNOWN = failure(
    "This call was cut off before its answer came. It may have run: check before you try again."
)


def waiting(approval: Approval, address: str) -> dict[str, Any]:
    link = f"{address}/approvals/{approval.id}"
    minutes = max(1, round((approval.expires_at - now()).total_seconds() / 60))
    return failure(
        f"Waiting for a person to approve this call (approval {approval.id}). It has not run yet. "
        f"Tell your user it can be decided at {link} within {minutes} minutes. To wait for the outcome, call "
        f"gatehouse__await_approval with this id, or repeat exactly the same call. Other arguments ask anew.",
        status="waiting",
        approval_id=approval.id,
        approve_url=link,
        expires_at=approval.expires_at.isoformat(timespec="seconds"),
    )


def running(approval: Approval) -> dict[str, Any]:
    return failure(
        f"A person approved this call (approval {approval.id}) and it is on its way, but its answer is not here "
        f"yet. Do not start it in another way. To wait for the answer, call gatehouse__await_approval with this "
        f"id, or repeat exactly the same call.",
        status="running",
        approval_id=approval.id,
    )


def outcome(approval: Approval, result: dict[str, Any] | None) -> dict[str, Any]:
    """What became of a decided call: the tool's own result where it ran, else why not."""
    if result is not None:
        return result
    facts = {"status": approval.state, "approval_id": approval.id}
    if approval.state == "denied":
        note = f" Their note: {approval.note}" if approval.note else ""
        return failure(f"A person denied this call.{note} Do not repeat it unchanged.", **facts)
    if approval.state == "expired":
        return failure("Nobody decided about this call in time. It has not run. You may ask again.", **facts)
    if approval.state == "unknown":
        return UNKNOWN
    return failure("This call has not run: the server behind it was disconnected.", **facts)


def from_rpc_error(error: dict[str, Any]) -> dict[str, Any]:
    return failure(f"The server answered with error {error.get('code')}: {error.get('message', '')}")
