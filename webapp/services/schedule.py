"""When a server is synced by itself, and which worker does it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from config import Config
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Integration

UNSYNCED = ("draft", "paused")
SLACK = timedelta(minutes=1)


@dataclass
class _Settings:
    every: timedelta = timedelta(minutes=60)


_settings = _Settings()


def configure(config: Config) -> None:
    _settings.every = timedelta(minutes=config.sync_minutes)


def next_time() -> datetime:
    return now() + _settings.every


def due() -> list[Integration]:
    """Servers whose time has come, or is further off than it can be: then the clock was set back."""
    return list(
        Integration.select().where(
            Integration.kind == "server",
            Integration.state.not_in(UNSYNCED),
            Integration.sync_due_at.is_null()
            | (Integration.sync_due_at <= now())
            | (Integration.sync_due_at > next_time() + SLACK),
        )
    )


def take(integration: Integration) -> bool:
    """True for the one worker that moves the due date first."""
    unmoved = (
        Integration.sync_due_at.is_null()
        if integration.sync_due_at is None
        else Integration.sync_due_at == integration.sync_due_at
    )
    with writing():
        moved = (
            Integration.update(sync_due_at=next_time())
            .where(Integration.id == integration.id, unmoved)
            .execute()
        )
    return bool(moved)


def hasten(integration_id: int) -> None:
    """Due now, in the caller's transaction; nothing where it is not synced by itself."""
    Integration.update(sync_due_at=now()).where(
        Integration.id == integration_id,
        Integration.kind == "server",
        Integration.state.not_in(UNSYNCED),
    ).execute()
