"""How an integration is: one word, one sentence, one action."""

from __future__ import annotations

from dataclasses import dataclass, replace

from webapp.services import audit
from webapp.services.audit import SYSTEM
from webapp.store import generation
from webapp.store.database import writing
from webapp.store.models import WAITS, Grant, Integration, Tool

# Only people bring an integration out of these.
HELD = ("draft", "paused")


@dataclass(frozen=True)
class Health:
    """`tone` is ok, wait, stop or quiet; `action` is what to do next, or nothing: see integrations/macros.html."""

    word: str
    tone: str
    sentence: str
    action: str = ""


def of(integration: Integration) -> Health:
    off = ("Paused", "wait") if integration.kind == "server" else ("Switched off", "quiet")
    known = {
        "draft": Health("Setup not finished", "quiet", "Its tools are not in use yet.", "setup"),
        "connected": Health("Connected", "ok", "Agents can use its tools."),
        "needs_sign_in": Health("Needs sign-in", "stop", "It refuses the stored sign-in.", "sign_in"),
        "unreachable": Health("Unreachable", "stop", "It could not be used the last time.", "sync"),
        "needs_review": Health(
            "Needs review", "wait", "Some of its tools wait until somebody has looked at them.", "review"
        ),
        "paused": Health(*off, "Agents don't see its tools.", "resume"),
    }
    health = known[integration.state]
    grant = Grant.of(integration)
    if grant is not None and integration.state == "needs_sign_in":
        health = replace(health, action="reconnect")
    if grant is not None and grant.needed_scope and integration.state in ("connected", "needs_review"):
        sentence = f"It wants more access than was granted: {grant.needed_scope}."
        return Health("Needs more access", "wait", sentence, "grant")
    if integration.state_reason:
        return Health(health.word, health.tone, integration.state_reason, health.action)
    if integration.sync_error and integration.state in ("connected", "needs_review"):
        sentence = f"{health.sentence} The last sync failed: {integration.sync_error}"
        return Health(health.word, "wait", sentence, health.action or "sync")
    return health


def mark(integration: Integration, state: str, reason: str = "") -> None:
    """What a call or a sync found out. Logged only when the state changes; drafts and pauses stay."""
    with writing():
        row = Integration.get_or_none(Integration.id == integration.id)
        if row is None or row.state in HELD:
            return
        state = settled(row, state)
        if (row.state, row.state_reason) == (state, reason):
            return
        Integration.update(state=state, state_reason=reason).where(Integration.id == row.id).execute()
        if row.state != state:
            details = {"from": row.state, "to": state, "reason": reason}
            audit.record("integration.state", SYSTEM, integration=row.name, details=details)


def lost(integration_id: int, why: str) -> None:
    """Calls to it fail one after the other. Who has to sign in again or to resume it is told that first."""
    row = Integration.get_or_none(Integration.id == integration_id)
    if row is not None and row.state in ("connected", "needs_review", "unreachable"):
        mark(row, "unreachable", f"Its last calls failed, so agents are told so at once. {why}")


def regained(integration_id: int) -> None:
    """It answers again."""
    row = Integration.get_or_none(Integration.id == integration_id)
    if row is not None and row.state == "unreachable":
        mark(row, "connected")


def settled(integration: Integration, state: str = "connected") -> str:
    """Connected becomes *needs review* while tools wait for somebody to look at them."""
    return "needs_review" if state == "connected" and unreviewed(integration) else state


def settle(integration: Integration) -> None:
    """Somebody has looked at a tool. In the caller's transaction."""
    if integration.state == "needs_review" and not unreviewed(integration):
        Integration.update(state="connected").where(Integration.id == integration.id).execute()
        generation.raise_by_one()


def unreviewed(integration: Integration) -> int:
    """How many of its tools wait for a look."""
    count: int = (
        Tool.select().where(Tool.integration == integration, WAITS, Tool.missing_since.is_null()).count()
    )
    return count
