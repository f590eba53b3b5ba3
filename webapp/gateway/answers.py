"""Tool results that Gatehouse itself writes: all are errors in MCP's sense, and say what to do next."""

from __future__ import annotations

from typing import Any

from webapp.errors import UpstreamError
from webapp.gateway.catalogue import CatalogueTool
from webapp.services import approvals
from webapp.services.agent_errors import Kind, Retry, failure
from webapp.store.fields import now
from webapp.store.models import Approval
from webapp.upstream import strict

PAUSED = {
    "calls": "An operator has stopped all calls for the time being.",
    "writes": "An operator has stopped all calls that may change something, for the time being. Reads still run.",
    "server": "An operator has paused the server {server} for the time being.",
    "agent": "An operator has paused this agent for the time being.",
}
CUT_OFF = "This call was cut off before its answer came. It may have run: check before you try again."
UNKNOWN = failure(CUT_OFF, "unknown_outcome", "check_first")


def waiting(approval: Approval, address: str) -> dict[str, Any]:
    link = f"{address}/approvals/{approval.id}"
    if approval.frozen_at is not None:
        text = f"This call waits for approval ({approval.id}), but an operator has paused what it needs: not run."
        return failure(text, "paused", "later", status="waiting", approval_id=approval.id, approve_url=link)
    minutes = max(1, round((approval.expires_at - now()).total_seconds() / 60))
    return failure(
        f"Waiting for a person to approve this call (approval {approval.id}). It has not run yet. "
        f"Tell your user it can be decided at {link} within {minutes} minutes. To wait for the outcome, call "
        f"gatehouse__await_approval with this id, or repeat exactly the same call. Other arguments ask anew.",
        "waiting",
        "wait",
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
        "running",
        "wait",
        status="running",
        approval_id=approval.id,
    )


def wants_input(approval_id: str) -> dict[str, Any]:
    return failure(
        "A person approved this call, and its server wants to know something before it goes on. Repeat exactly the "
        "same call to be asked.",
        "needs_input",
        "later",
        approval_id=approval_id,
    )


def mine(known: list[Approval]) -> dict[str, Any]:
    """For the agent that asked for them."""
    rows = [
        {
            "approval_id": one.id,
            "tool": one.tool.wire_name if one.tool else one.catalogue_name,
            "status": one.state,
            "asked_at": one.created_at.isoformat(timespec="seconds"),
            "expires_at": one.expires_at.isoformat(timespec="seconds"),
        }
        | ({"note": one.note} if one.note else {})
        for one in known
    ]
    return told({"approvals": rows})


def told(facts: dict[str, Any]) -> dict[str, Any]:
    """Clients without structured content read the same as text (MCP 2025-06-18, tools)."""
    text = strict.encoded(facts).decode()
    return {"content": [{"type": "text", "text": text}], "structuredContent": facts}


def outcome(approval: Approval, result: dict[str, Any] | None) -> dict[str, Any]:
    """What became of a decided call: the tool's own result where it ran, else why not."""
    if result is not None:
        return result
    facts = {"status": approval.state, "approval_id": approval.id}
    if approval.state == "denied":
        note = f" Their note: {approval.note}" if approval.note else ""
        text = f"A person denied this call.{note} Do not repeat it unchanged."
        return failure(text, "denied", "no", **facts)
    if approval.state == "expired":
        text = "Nobody decided about this call in time. It has not run. You may ask again."
        return failure(text, "expired", "later", **facts)
    if approval.state == "unknown":
        return failure(CUT_OFF, "unknown_outcome", "check_first", **facts)
    text = f"This call has not run: {approval.note or 'it was withdrawn'}."
    if approval.note == approvals.CHANGED:
        return failure(f"{text} List the tools again; you may ask again.", "not_run", "later", **facts)
    return failure(text, "not_offered", "no", **facts)


def paused(tool: CatalogueTool, scope: str) -> dict[str, Any]:
    """Why is for people: the reason they wrote may name what an agent should not know of."""
    text = f"{PAUSED[scope].format(server=tool.source.name)} This call has not run. It may run later."
    return failure(text, "paused", "later", scope=scope, server=tool.source.name)


def from_rpc_error(error: dict[str, Any]) -> dict[str, Any]:
    text = f"The server answered with error {error.get('code')}: {error.get('message', '')}"
    return failure(text, "upstream_error", "no", code=error.get("code"))


def from_server(tool: CatalogueTool, error: UpstreamError, *, doubt: bool) -> dict[str, Any]:
    """`doubt`: it may have run, which is the one thing an agent must know before it tries again."""
    return without_answer(
        tool, error.trouble, error.agent_kind, doubt=doubt, sent=error.sent, retry_after=error.retry_after
    )


def without_answer(
    tool: CatalogueTool,
    trouble: str,
    kind: Kind | str,
    *,
    doubt: bool,
    sent: bool,
    retry_after: int | None = None,
) -> dict[str, Any]:
    retry, advice = _advice(kind, doubt, sent)
    text = f"The server {tool.source.name} {trouble} {advice}"
    return failure(text, kind, retry, server=tool.source.name, retry_after_seconds=retry_after)


def _advice(kind: Kind | str, doubt: bool, sent: bool) -> tuple[Retry, str]:
    if doubt:
        return "check_first", "It may have run: check before you try again."
    if kind == "auth":
        return "no", "It did not run."
    if kind == "too_large":
        return "no", "The same call would fail again."
    return "later", "You may try again." if sent else "It did not run; you may try again later."
