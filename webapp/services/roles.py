"""What a person's role lets them do."""

from __future__ import annotations

from config import ROLES as ROLES
from webapp.errors import Forbidden
from webapp.services.audit import Actor


def needs(actor: Actor, role: str) -> None:
    """Raises Forbidden unless the actor has at least this role."""
    if actor.kind in ("system", "command"):
        return
    if actor.role not in ROLES or ROLES.index(actor.role) < ROLES.index(role):
        raise Forbidden(
            f"This needs the role {role}.",
            why=f"You are signed in as {actor.role or 'nobody'}.",
            next_step="Ask an admin to do it, or to change your role.",
        )
