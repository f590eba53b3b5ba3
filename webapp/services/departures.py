"""The end of an integration: what goes, what stays, and that somebody meant it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from peewee import ModelSelect

from webapp.errors import InvalidInput, NotFound, Stale
from webapp.services import approvals, audit, connections
from webapp.services.accounts import needs
from webapp.services.audit import Actor
from webapp.store.database import writing
from webapp.store.models import AgentIntegration, Approval, Integration, Tool


@dataclass(frozen=True)
class Going:
    """What a disconnect takes along."""

    tools: int
    chosen: int  # tools whose policy somebody changed
    waiting: int
    secret: bool
    agents: int  # agents limited to certain integrations that have this one


def going(integration: Integration) -> Going:
    return Going(
        tools=Tool.of(integration).count(),
        chosen=Tool.of(integration).where(Tool.policy != Tool.seed_policy).count(),
        waiting=_waiting(integration).count(),
        secret=bool((connection := connections.of(integration)) and connection.secrets),
        agents=_grants(integration),
    )


def disconnect(integration: Integration, confirm_name: str, actor: Actor) -> None:
    """Tools, policies, secret and grants go; waiting approvals are withdrawn; the log stays."""
    needs(actor, "admin")
    if integration.kind == "builtin":
        raise Stale("A built-in can't be disconnected.", next_step="Switch it off instead.")
    if confirm_name.strip() != integration.name:
        raise InvalidInput(
            f"Type the name {integration.name} to confirm.", field="confirm", next_step="Nothing was removed."
        )
    with writing():
        current = _again(integration)
        gone = going(current)
        approvals.withdraw({approval.tool for approval in _waiting(current)})
        _delete(current)
        audit.record("integration.disconnected", actor, integration=current.name, details=asdict(gone))


def discard_draft(integration: Integration, actor: Actor) -> None:
    needs(actor, "admin")
    with writing():
        current = _again(integration)
        if current.finished_at is not None:
            raise Stale("This server is in use.", next_step="Disconnect it instead.")
        _delete(current)
        audit.record("integration.discarded", actor, integration=current.name)


def _waiting(integration: Integration) -> ModelSelect:
    return (
        Approval.select()
        .join(Tool)
        .where(Tool.integration == integration, Approval.state.in_(("waiting", "approved")))
    )


def _grants(integration: Integration) -> int:
    count: int = AgentIntegration.select().where(AgentIntegration.integration == integration).count()
    return count


def _again(integration: Integration) -> Integration:
    current: Integration | None = Integration.get_or_none(Integration.id == integration.id)
    if current is None:
        raise NotFound("This integration was disconnected meanwhile.")
    return current


def _delete(integration: Integration) -> None:
    """Connection, check, tools, quarantine and grants go with the row."""
    Integration.delete().where(Integration.id == integration.id).execute()
