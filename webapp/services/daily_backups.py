"""The backups that Gatehouse makes by itself: one a day, of which 7 daily and 4 weekly ones are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from peewee import DatabaseError

from config import Config
from webapp.errors import NotFound, Refused
from webapp.services import audit, backups, times, turns
from webapp.services.audit import SYSTEM, Actor
from webapp.services.roles import needs
from webapp.store import copies
from webapp.store.copies import Copy
from webapp.store.database import BACKUPS, writing
from webapp.store.fields import now
from webapp.store.models import State, remember, state
from webapp.store.problems import explained

DAILY, WEEKLY = 7, 4
EVERY, TRY_AGAIN, FIRST = timedelta(days=1), timedelta(hours=1), timedelta(hours=1)
LATE = EVERY + timedelta(hours=6)
BREATH_SECONDS = 0.02
DUE, PROBLEM = "backup_due", "backup_problem"
DOUBTFUL = "gatehouse-doubtful.db"


@dataclass
class _Settings:
    folder: Path = Path(BACKUPS)


_settings = _Settings()


def configure(config: Config) -> None:
    _settings.folder = config.backup_dir or config.data / BACKUPS


def folder() -> Path:
    return _settings.folder


def take() -> bool:
    """True for the one worker that makes today's. A new Gatehouse begins an hour after its first start."""
    if state(DUE) is None:
        with writing():
            turns.put_off(DUE, now() + FIRST)
        return False
    return turns.take(DUE, EVERY)


def make(actor: Actor = SYSTEM) -> Copy:
    """One more, and those that are no longer needed go. What goes wrong is kept as `problem`, and raised.

    Nothing is removed unless the new one is sound.
    """
    if actor is not SYSTEM:
        needs(actor, "admin")
    path = _settings.folder / copies.name_of(now())
    try:
        _settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if doubt := backups.backup(path, actor, breath=BREATH_SECONDS):
            path.replace(path.with_name(DOUBTFUL))
            raise Refused(doubt, next_step=f"Compare {DOUBTFUL} with the backup before it.")
        for old in superfluous(kept()):
            old.path.unlink(missing_ok=True)
    except (Refused, OSError, DatabaseError) as error:
        refusal = _refusal(error)
        _failed(refusal)
        raise refusal from error
    with writing():
        State.delete().where(State.key == PROBLEM).execute()
        turns.put_off(DUE, now() + EVERY)
    return next(one for one in kept() if one.path == path)


def _refusal(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, DatabaseError):
        return explained(error)
    return Refused(f"{_settings.folder} can't be used: {getattr(error, 'strerror', error)}.")


def _failed(refusal: Refused) -> None:
    """Tried again soon. Logged once, until one succeeds."""
    try:
        with writing():
            if state(PROBLEM) is None:
                audit.record(
                    "backup.failed",
                    SYSTEM,
                    outcome="failed",
                    details={"why": refusal.what},
                    agents_notice=False,
                )
            remember(PROBLEM, refusal.what)
            turns.put_off(DUE, now() + TRY_AGAIN)
    except DatabaseError:
        # Nor can this be kept: the database's own trouble is on Home and in /readyz. The turn comes again tomorrow.
        return


def problem() -> str:
    """What is wrong with the backups just now, in a sentence; empty when all is well."""
    if said := str(state(PROBLEM, "")):
        return f"The last backup failed. {said}"
    last, due = next(iter(kept()), None), state(DUE)
    if due is None or (last and now() - last.at < LATE):
        return ""
    if last:
        return f"The last backup is {times.span(now() - last.at)} old; one is due every day."
    if now() - datetime.fromisoformat(due) > LATE - EVERY:
        return "No backup was made yet, though one is due every day."
    return ""


def kept() -> list[Copy]:
    """Newest first."""
    return copies.found_in(_settings.folder)


def take_out(name: str, actor: Actor) -> Path:
    """The file of a backup that is kept, for somebody to carry away. Logged."""
    needs(actor, "admin")
    found = next((one for one in kept() if one.path.name == name), None)
    if found is None:
        raise NotFound(
            "There is no such backup.", why="Older ones are removed when newer ones are made.",
            next_step="Choose one of the list under Settings → General.",
        )  # fmt: skip
    with writing():
        audit.record("backup.downloaded", actor, details={"file": name}, agents_notice=False)
    return found.path


def superfluous(found: Iterable[Copy]) -> list[Copy]:
    """All but the newest of each of the last days and weeks that have one, and the last ones before upgrades.

    Copies of the future are from before the clock was set back; nobody knows their day, so they stay.
    """
    known = sorted((one for one in found if one.at <= now()), key=lambda one: one.at, reverse=True)
    daily = [one for one in known if not one.occasion]
    wanted = set(_newest_of_each(daily, lambda one: one.at.date(), DAILY))
    wanted |= set(_newest_of_each(daily, lambda one: one.at.isocalendar()[:2], WEEKLY))
    wanted |= set([one for one in known if one.occasion][:2])
    return [one for one in known if one not in wanted]


def _newest_of_each(found: list[Copy], span: Callable[[Copy], object], most: int) -> Iterator[Copy]:
    seen: set[object] = set()
    for one in found:
        part = span(one)
        if part not in seen and len(seen) < most:
            seen.add(part)
            yield one
