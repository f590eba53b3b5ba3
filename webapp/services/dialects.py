"""How one server's sign-in differs from the standard: switches an admin sets under Advanced."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from webapp.errors import InvalidInput, NotFound
from webapp.services import audit
from webapp.services.accounts import needs
from webapp.services.audit import Actor
from webapp.store.database import writing
from webapp.store.models import Integration
from webapp.upstream import scopes

INTRODUCTIONS = ("auto", "register", "manual")
LONGEST_SCOPE = 1000


@dataclass(frozen=True)
class Dialect:
    """`introduce`: auto, register (leave our metadata document out) or manual (an admin's client id)."""

    send_resource: bool = True
    extra_scope: str = ""
    pkce_unannounced: bool = False
    old_endpoints: bool = False
    introduce: str = "auto"


def of(integration: Integration) -> Dialect:
    return Dialect(**integration.settings.get("oauth", {}))


def change(integration: Integration, actor: Actor, **changes: Any) -> Dialect:
    """Raises InvalidInput for scopes that can't be sent."""
    needs(actor, "admin")
    if "extra_scope" in changes:
        changes["extra_scope"] = _scope(changes["extra_scope"])
    if changes.get("introduce", "auto") not in INTRODUCTIONS:
        raise InvalidInput("There is no such way to introduce Gatehouse.", field="introduce")
    with writing():
        current = Integration.get_or_none(Integration.id == integration.id)
        if current is None:
            raise NotFound("This server was disconnected meanwhile.")
        before = of(current)
        wanted = replace(before, **changes)
        if wanted != before:
            settings = current.settings | {"oauth": asdict(wanted)}
            Integration.update(settings=settings).where(Integration.id == current.id).execute()
            audit.record(
                "connection.dialect", actor, integration=current.name, details=changes, agents_notice=False
            )
    return wanted


def _scope(typed: str) -> str:
    words = typed.split()
    for word in words:
        if not scopes.WORD.fullmatch(word):
            raise InvalidInput(
                f"“{word[:60]}” can't be a scope.",
                field="extra_scope",
                next_step="Scopes are words with a space between them, as the vendor's manual names them.",
            )
    joined = " ".join(dict.fromkeys(words))
    if len(joined) > LONGEST_SCOPE:
        raise InvalidInput("These are too many scopes.", field="extra_scope")
    return joined
