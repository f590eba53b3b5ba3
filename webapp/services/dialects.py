"""How one server's sign-in differs from the standard: switches an admin sets under Advanced."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from webapp.errors import InvalidInput, NotFound
from webapp.services import audit
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.models import Integration
from webapp.upstream import scopes

INTRODUCTIONS = ("auto", "register", "manual")
LONGEST_SCOPE = 1000
LONGEST_RESOURCE = 500


@dataclass(frozen=True)
class Dialect:
    """`introduce`: auto, register (leave our metadata document out) or manual (an admin's client id).

    `other_resource`: what the service knows the server by, where that is not the server's own name.
    """

    send_resource: bool = True
    other_resource: str = ""
    extra_scope: str = ""
    pkce_unannounced: bool = False
    old_endpoints: bool = False
    introduce: str = "auto"

    def resource(self, own: str) -> str:
        """What is sent as `resource` (RFC 8707); empty: nothing."""
        return (self.other_resource or own) if self.send_resource else ""


def of(integration: Integration) -> Dialect:
    return Dialect(**integration.settings.get("oauth", {}))


def change(integration: Integration, actor: Actor, **changes: Any) -> Dialect:
    """Raises InvalidInput for scopes and resources that can't be sent."""
    needs(actor, "admin")
    if "other_resource" in changes:
        changes["other_resource"] = _resource(changes["other_resource"])
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


def _resource(typed: str) -> str:
    """RFC 8707 §2: an absolute URI without a fragment. Microsoft's begin with api://."""
    resource = typed.strip()
    fine = resource.isascii() and resource.isprintable() and not {" ", '"', "#", "<", ">"} & set(resource)
    if resource and not (fine and len(resource) <= LONGEST_RESOURCE and _is_absolute(resource)):
        raise InvalidInput(
            "This can't be the name of a resource.",
            field="other_resource",
            next_step="It is an address such as https://mcp.example.com or api://…, without a part after #.",
        )
    return resource


def _is_absolute(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path))


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
