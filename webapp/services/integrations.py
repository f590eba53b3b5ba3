"""Sources of tools: adding a server, finishing its set-up, renaming it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from webapp.builtin import BUILTINS
from webapp.errors import InvalidInput, NotFound, Stale
from webapp.services import addresses, audit, checks, names
from webapp.services.audit import Actor
from webapp.services.builtins import configure_builtin, ensure_builtins, set_builtin
from webapp.services.departures import discard_draft, disconnect, going
from webapp.services.health import mark
from webapp.services.roles import needs
from webapp.services.visible import has_hidden
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Connection, Integration, OAuthClient, SignIn
from webapp.upstream.egress import Allowance

__all__ = [
    "add_server",
    "allow_private",
    "change_draft",
    "configure_builtin",
    "disconnect",
    "discard_draft",
    "ensure_builtins",
    "find",
    "find_server",
    "finish",
    "going",
    "mark",
    "next_step",
    "rename",
    "same_address",
    "set_builtin",
]

LONGEST_TITLE = 80


def find(name: str) -> Integration:
    found: Integration | None = Integration.get_or_none(Integration.name == name)
    if found is None:
        raise NotFound(
            f"There is no integration called “{name[:40]}”.",
            why="It may have been disconnected.",
            next_step="Look for it under Settings → Integrations.",
        )
    return found


def find_server(name: str) -> Integration:
    """The same for what only a server has: an address, a sign-in, a check."""
    found = find(name)
    if found.kind != "server":
        raise NotFound("A built-in has no such page.", next_step="Go back to Settings → Integrations.")
    return found


# --- the wizard


def add_server(url: str, actor: Actor, *, name: str | None = None, title: str | None = None) -> Integration:
    """A draft. Nothing is sent anywhere yet. Raises InvalidInput for what can't be an address."""
    needs(actor, "admin")
    address = addresses.typed(url)
    with writing():
        chosen = _free_name(name, address.host)
        integration: Integration = Integration.create(
            kind="server",
            name=chosen,
            title=_title(title) or address.host,
            url=address.url,
            created_by=actor.id if actor.kind == "user" else None,
        )
        audit.record("integration.added", actor, integration=chosen, details={"url": address.url})
    return integration


def change_draft(integration: Integration, url: str, name: str, actor: Actor) -> Integration:
    """Another address forgets what was found, allowed and entered for the old one."""
    needs(actor, "admin")
    address = addresses.typed(url)
    with writing():
        current = _draft(integration)
        chosen = current.name if name.strip() == current.name else _free_name(name or None, address.host)
        changes: dict[str, Any] = {"name": chosen}
        if address.url != current.url:
            changes |= {"url": address.url, "allowances": [], "protocol": "", "server": {}, "settings": {}}
            if current.title == addresses.host_of(current.url):
                changes["title"] = address.host
            for kept in (Connection, OAuthClient, SignIn):
                kept.delete().where(kept.integration == current).execute()
            checks.forget(current)
        Integration.update(**changes).where(Integration.id == current.id).execute()
        if chosen != current.name or address.url != current.url:
            details = {"url": address.url, "name": chosen}
            audit.record("integration.changed", actor, integration=chosen, details=details)
    return _again(integration)


def same_address(integration: Integration) -> list[Integration]:
    """Others that were added with the same URL: allowed, but worth saying."""
    return list(
        Integration.select().where(Integration.url == integration.url, Integration.id != integration.id)
    )


def allow_private(integration: Integration, allowance: Allowance, actor: Actor) -> Integration:
    """An exception of the guard, for this server only: exactly this host, port and network."""
    needs(actor, "admin")
    with writing():
        current = _again(integration)
        exception = asdict(allowance)
        others = [
            known
            for known in current.allowances
            if (known["host"], known["port"]) != (allowance.host, allowance.port)
        ]
        Integration.update(allowances=[*others, exception]).where(Integration.id == current.id).execute()
        audit.record("integration.private_allowed", actor, integration=current.name, details=exception)
    return _again(integration)


def next_step(integration: Integration) -> str:
    """The step is a fact about the row: Back, refresh and tomorrow all land on the right one."""
    if integration.kind == "builtin" or integration.finished_at is not None:
        return "done"
    if integration.state != "draft":
        return "tools"
    return "sign-in" if checks.progress(integration).usable else "check"


def finish(integration: Integration, actor: Actor) -> Integration:
    """Somebody has seen the tools and their policies."""
    needs(actor, "admin")
    with writing():
        current = _again(integration)
        if current.state == "draft":
            raise Stale("The sign-in is not done yet.", next_step="Continue the set-up.")
        if current.finished_at is None:
            Integration.update(finished_at=now()).where(Integration.id == current.id).execute()
            audit.record("integration.finished", actor, integration=current.name)
    return _again(integration)


# --- in use


def rename(integration: Integration, title: str, actor: Actor) -> Integration:
    """The title only: the names that agents and addresses use stay."""
    needs(actor, "admin")
    wanted = _title(title)
    if not wanted:
        raise InvalidInput("A title is needed.", field="title", next_step="Try something like HaloPSA.")
    with writing():
        current = _again(integration)
        if wanted != current.title:
            Integration.update(title=wanted).where(Integration.id == current.id).execute()
            details = {"from": current.title, "to": wanted}
            audit.record("integration.renamed", actor, integration=current.name, details=details)
    return _again(integration)


# --- small things they share


def _again(integration: Integration) -> Integration:
    current: Integration | None = Integration.get_or_none(Integration.id == integration.id)
    if current is None:
        raise NotFound("This integration was disconnected meanwhile.")
    return current


def _draft(integration: Integration) -> Integration:
    current = _again(integration)
    if current.state != "draft":
        raise Stale(
            "This server has been connected already, so its address stays.",
            next_step="To use another address, add it as another server.",
        )
    return current


def _free_name(wanted: str | None, host: str) -> str:
    taken = {name for (name,) in Integration.select(Integration.name).tuples()} | set(BUILTINS)
    return names.server_name(wanted, taken) if wanted else names.suggest_server_name(host, taken)


def _title(title: str | None) -> str:
    """People decide by it, so it must be what it seems."""
    wanted = " ".join((title or "").split())[:LONGEST_TITLE]
    if has_hidden(wanted):
        raise InvalidInput(
            "This title has characters that can’t be seen.", field="title",
            next_step="Type it instead of pasting it.",
        )  # fmt: skip
    return wanted
