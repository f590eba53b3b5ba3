"""Work that is done once in the whole installation when its time has come: whoever moves the date first does it."""

from __future__ import annotations

from datetime import datetime, timedelta

from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import State, remember, state


def take(key: str, every: timedelta) -> bool:
    """True for one worker, whose turn it is; the next one comes after `every`.

    A date further off than that is one from before the clock was set back.
    """
    due, moment = state(key), now()
    if due is not None and moment < datetime.fromisoformat(due) <= moment + every:
        return False
    later = (moment + every).isoformat()
    with writing():
        if due is None:
            return bool(State.insert(key=key, value=later).on_conflict_ignore().as_rowcount().execute())
        return bool(State.update(value=later).where(State.key == key, State.value == due).execute())


def put_off(key: str, until: datetime) -> None:
    """In the caller's transaction."""
    remember(key, until.isoformat())
