"""Policies that came in a file for a server whose tools are not known yet: its first sync gives them to its tools."""

from __future__ import annotations

from typing import Any

from webapp.store.fields import now
from webapp.store.models import Integration

SETTING = "brought"


def of(integration: Integration) -> dict[str, Any]:
    """{tool: {policy, second_person}}, and who brought them as `by`."""
    found: dict[str, Any] = integration.settings.get(SETTING, {})
    return found


def keep(integration: Integration, tools: dict[str, Any], by: str) -> None:
    """In the caller's transaction."""
    settings = integration.settings | {SETTING: {"by": by, "tools": tools}}
    Integration.update(settings=settings).where(Integration.id == integration.id).execute()


def columns(integration: Integration, tool: str, *, held: bool) -> dict[str, Any]:
    """What a new tool gets. Where Gatehouse holds it until somebody has looked, no file loosens that."""
    brought = of(integration)
    wanted = brought.get("tools", {}).get(tool)
    if not wanted or held:
        return {}
    given = {"policy": wanted["policy"], "policy_by": brought["by"], "policy_at": now()}
    return given | {"second_person": wanted["second_person"]}


def forget(integration: Integration) -> None:
    """In the caller's transaction; tools that come later are new."""
    if of(integration):
        rest = {name: value for name, value in integration.settings.items() if name != SETTING}
        Integration.update(settings=rest).where(Integration.id == integration.id).execute()
