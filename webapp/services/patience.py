"""How long a call may take at one server, where that is not as long as at all others."""

from __future__ import annotations

from webapp.errors import InvalidInput, NotFound
from webapp.services import audit
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.models import Integration

SETTING = "call_seconds"
SHORTEST, LONGEST = 1, 3600


def of(integration: Integration) -> int | None:
    """In seconds; None: as long as everywhere."""
    found: int | None = integration.settings.get(SETTING)
    return found


def change(integration: Integration, typed: str, actor: Actor) -> int | None:
    """From the next call on. Nothing typed: as long as everywhere. Raises InvalidInput."""
    needs(actor, "admin")
    wanted = _seconds(typed.strip())
    with writing():
        current: Integration | None = Integration.get_or_none(Integration.id == integration.id)
        if current is None:
            raise NotFound("This server was disconnected meanwhile.")
        if (before := of(current)) != wanted:
            rest = {name: value for name, value in current.settings.items() if name != SETTING}
            settings = rest | ({} if wanted is None else {SETTING: wanted})
            Integration.update(settings=settings).where(Integration.id == current.id).execute()
            details = {"from": before, "to": wanted}
            audit.record("integration.patience", actor, integration=current.name, details=details)
    return wanted


def _seconds(typed: str) -> int | None:
    if not typed:
        return None
    if not (typed.isascii() and typed.isdecimal() and len(typed) <= 4 and SHORTEST <= int(typed) <= LONGEST):
        raise InvalidInput(
            f"A call may take from {SHORTEST} to {LONGEST} seconds.",
            field="call_seconds",
            next_step="Enter a whole number of seconds, or nothing for the usual time.",
        )
    return int(typed)
