"""The end of an integration: what goes, what stays, and that somebody meant it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from peewee import ModelSelect

from webapp.errors import InvalidInput, NotFound, Stale
from webapp.services import approvals, audit, connections, grants
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.models import AgentIntegration, Approval, Integration, Tool


@dataclass(frozen=True)
class Going:
    """What a disconnect takes along."""

    tools: int
    chosen: int  # tools whose policy somebody changed
    waiting: int
    secret: bool
    revocable: str  # the sign-in service that will be told; empty where there is none to tell
    agents: int  # agents limited to certain integrations that have this one


def going(integration: Integration) -> Going:
    return Going(
        tools=Tool.of(integration).count(),
        chosen=Tool.of(integration).where(Tool.policy != Tool.seed_policy).count(),
        waiting=_waiting(integration).count(),
        secret=grants.exists(integration)
        or bool((connection := connections.of(integration)) and connection.secrets),
        revocable=grants.revocable_at(integration),
        agents=_grants(integration),
    )


def disconnect(integration: Integration, confirm_name: str, actor: Actor) -> str:
    """Tools, policies, secret and grants go; waiting approvals are withdrawn; the log stays.

    The sign-in service is told first, as well as it goes (see `grants.give_back`, whose word comes back).
    """
    needs(actor, "admin")
    if integration.kind == "builtin":
        raise Stale("A built-in can't be disconnected.", next_step="Switch it off instead.")
    if confirm_name.strip() != integration.name:
        raise InvalidInput(
            f"Type the name {integration.name} to confirm.", field="confirm", next_step="Nothing was removed."
        )
    revoked = grants.give_back(grants.held(_again(integration)))
    with writing():
        current = _again(integration)
        gone = going(current)
        approvals.withdraw({approval.tool for approval in _waiting(current)})
        _delete(current)
        details = asdict(gone) | {"revoked": revoked}
        audit.record("integration.disconnected", actor, integration=current.name, details=details)
    return revoked


def discard_draft(integration: Integration, actor: Actor) -> None:
    needs(actor, "admin")
    if _again(integration).finished_at is None:
        grants.give_back(grants.held(integration))
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
