"""How a person wants their pages: the zone of the times, and light or dark. Of no interest to the log."""

from __future__ import annotations

from webapp.errors import InvalidInput
from webapp.services import times
from webapp.store.database import writing
from webapp.store.models import User

THEMES = {"": "System", "light": "Light", "dark": "Dark"}


def set_zone(user: User, name: str) -> None:
    """Empty: the zone of the browser."""
    if name and times.zone(name) is None:
        raise InvalidInput("There is no such time zone.", field="zone", next_step="Choose one from the list.")
    with writing():
        User.update(zone=name).where(User.id == user.id).execute()


def set_theme(user: User, theme: str) -> None:
    """Empty: whatever the browser's system says."""
    if theme not in THEMES:
        raise InvalidInput("A theme is System, Light or Dark.", field="theme")
    with writing():
        User.update(theme=theme).where(User.id == user.id).execute()
