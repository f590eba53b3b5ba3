"""The integrations that ship with Gatehouse: their rows, their switch, their settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from webapp.builtin import BUILTINS, Builtin
from webapp.errors import InvalidInput, NotFound
from webapp.services import audit, connections, health
from webapp.services.audit import SYSTEM, Actor
from webapp.services.reconciling import reconcile
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Integration
from webapp.upstream.listing import Listing, parse_tools

log = logging.getLogger(__name__)


def ensure_builtins() -> None:
    """Every built-in has its row and today's tools. Safe in every worker at once."""
    for builtin in BUILTINS.values():
        _ensure(builtin)


def set_builtin(integration: Integration, on: bool, actor: Actor) -> Integration:
    needs(actor, "admin")
    with writing():
        current = _builtin(integration)
        if on and current.state == "paused":
            _switch(current, health.settled(current), "integration.switched_on", actor)
        if not on and current.state != "paused":
            _switch(current, "paused", "integration.switched_off", actor)
    return _builtin(integration)


def configure_builtin(
    integration: Integration, settings: Mapping[str, Any], secrets: Mapping[str, str | None], actor: Actor
) -> Integration:
    """A secret that is not named stays; None removes it. Raises InvalidInput for one that can't be used."""
    needs(actor, "admin")
    known = {secret.name: secret for secret in BUILTINS[_builtin(integration).name].secrets}
    for name, value in secrets.items():
        if name not in known:
            raise InvalidInput("There is no such setting.", field=name)
        if value is not None:
            known[name].check(value)
    with writing():
        current = _builtin(integration)
        kept = connections.builtin_secrets(current) | dict(secrets)
        left = {name: value for name, value in kept.items() if value}
        sealed = Integration.settings_sealed.seal(str(current.id), left) if left else None
        Integration.update(settings=current.settings | dict(settings), settings_sealed=sealed).where(
            Integration.id == current.id
        ).execute()
        details = {"settings": sorted(settings), "secrets": sorted(secrets)}
        audit.record("integration.configured", actor, integration=current.name, details=details)
    return _builtin(integration)


def _switch(integration: Integration, state: str, action: str, actor: Actor) -> None:
    Integration.update(state=state).where(Integration.id == integration.id).execute()
    audit.record(action, actor, integration=integration.name)


def _ensure(builtin: Builtin) -> None:
    tools, quarantined = parse_tools([tool.definition for tool in builtin.tools.values()])
    listing = Listing(tools, quarantined, complete=True)
    with writing():
        row = Integration.get_or_none(Integration.name == builtin.name)
        if row is None:
            row = Integration.create(
                kind="builtin",
                name=builtin.name,
                title=builtin.title,
                state="connected",
                connected_at=now(),
                finished_at=now(),
            )
        if row.kind != "builtin":
            log.warning("the built-in %s is left out: a server has its name", builtin.name)
            return
        reconcile(row, listing, SYSTEM)


def _builtin(integration: Integration) -> Integration:
    current: Integration | None = Integration.get_or_none(
        Integration.id == integration.id, Integration.kind == "builtin"
    )
    if current is None:
        raise NotFound("There is no such built-in.")
    return current
