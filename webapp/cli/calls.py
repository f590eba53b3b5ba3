"""Calls that wait, that run, and that have run."""

from __future__ import annotations

import json

import click

from webapp.cli.command import as_json, command, say, show
from webapp.errors import Refused
from webapp.services import approvals, audit
from webapp.services.audit import COMMAND
from webapp.store.models import Approval, Entry, Intent


@command("approvals")
@as_json
def waiting(json_wanted: bool) -> None:
    """List the calls that wait for a person."""
    rows = (
        {"id": a.id, "agent": a.agent_name, "tool": a.catalogue_name, "asked_at": a.created_at,
         "expires_at": a.expires_at, "arguments": approvals.arguments_of(a), "reason": a.reason}
        for a in Approval.waiting()
    )  # fmt: skip
    show(rows, json_wanted)


@command("decide")
@click.argument("approval_id", metavar="ID")
@click.argument("decision", type=click.Choice(["approve", "deny"]))
@click.option("--note", default="", help="Reaches the agent.")
def decide(approval_id: str, decision: str, note: str) -> None:
    """Approve or deny a waiting call."""
    approval = approvals.decide(approval_id, decision, COMMAND, note)
    say(f"{approval.id}: {approval.state}")


@command("activity")
@click.option("--tool", default="", help="Only this catalogue name.")
@click.option("--limit", default=50, show_default=True)
@as_json
def activity(tool: str, limit: int, json_wanted: bool) -> None:
    """List calls and changes, newest first."""
    query = Entry.newest({"tool": tool} if tool else {}).limit(limit)
    rows = (
        {"id": e.id, "at": e.at, "kind": e.kind, "actor": e.actor, "action": e.action, "tool": e.tool,
         "outcome": e.outcome, "ip": e.ip, "duration_ms": e.duration_ms, "approval": e.approval,
         "details": json.loads(e.details)}
        for e in query
    )  # fmt: skip
    show(rows, json_wanted)


@command("intents")
@as_json
def on_its_way(json_wanted: bool) -> None:
    """List the writes that are on their way right now."""
    rows = (
        {"id": i.id, "since": i.created_at, "tool": i.entry["tool"], "worker": i.worker}
        for i in Intent.select().order_by(Intent.created_at)
    )
    show(rows, json_wanted)


@command("verify-log")
def verify_log() -> None:
    """Walk the log's chain; name the first row that doesn't fit."""
    result = audit.verify()
    if not result.intact:
        raise Refused(
            f"The log does not fit from row {result.first_bad} on: it was changed outside Gatehouse."
        )
    gone = f" after {result.sealed} sealed and removed" if result.sealed else ""
    older = f", {result.unchecked} older ones of a key that was lost" if result.unchecked else ""
    say(f"The log is whole: {result.rows} rows{gone}{older}, head {result.head}")
