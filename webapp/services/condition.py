"""How Gatehouse itself is: what is wrong with its key, its database, its disk or its clock, and what to do."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from peewee import DatabaseError

from config import Config
from webapp.services import times
from webapp.store.database import KEY_FILE, writing
from webapp.store.fields import now
from webapp.store.models import Entry, State, database, remember, state
from webapp.store.problems import StoreProblem, explained
from webapp.store.secrets import KeyProblem, vault

LEAST_FREE = 100 * 1024 * 1024
# A write that was to come every two seconds and did not.
STUCK_SECONDS = 20.0
JUMP, JUMP_SHOWN = timedelta(seconds=60), timedelta(days=1)
AHEAD = timedelta(minutes=2)
CLOCK = "clock_jump"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """`reason` is for programs. `stops`: no call can run meanwhile."""

    reason: str
    what: str
    next_step: str
    stops: bool = True


@dataclass
class _Here:
    """What this process knows. `failed`: how the last write of its writer ended, at `written_at` of its own clock."""

    data: Path = Path("data")
    written_at: float | None = None
    failed: StoreProblem | None = None


_here = _Here()


def configure(config: Config) -> None:
    """Of a program that begins: nothing of it is known yet."""
    _here.data = config.data
    stopped_writing()


def wrote(error: Exception | None = None) -> None:
    """A worker's writer tells how its last beat ended. In the log when that changes."""
    before, _here.failed = _here.failed, explained(error) if error else None
    _here.written_at = time.monotonic()
    if _here.failed and (before is None or before.reason != _here.failed.reason):
        log.error("nothing can be written, so no call runs: %s (%s)", _here.failed.what, error)
    elif before and not _here.failed:
        log.info("the database can be written again")


def can_write() -> bool:
    """As far as this worker knows."""
    return _here.failed is None


def stopped_writing() -> None:
    """The writer of this process is no more."""
    _here.written_at = _here.failed = None


def look() -> list[Trouble]:
    """What stops calls comes first."""
    try:
        found = [_of_key(), _of_writing(), *_of_clock(), _of_disk()]
    except DatabaseError as error:
        found = [_trouble(explained(error)), _of_disk()]
    return sorted(filter(None, found), key=lambda one: not one.stops)


def reason_of(error: Exception) -> str:
    return str(getattr(error, "reason", "") or explained(error).reason)


def _trouble(problem: StoreProblem | KeyProblem) -> Trouble:
    return Trouble(problem.reason, f"{problem.what} {problem.why}".strip(), problem.next_step)


def _of_key() -> Trouble | None:
    path = _here.data / KEY_FILE
    try:
        if sealed := state("log_key"):
            vault.open("state:log_key", sealed.encode())
        vault.derive("ready")
    except KeyProblem as problem:
        return _trouble(problem)
    if not path.exists():
        return Trouble(
            "key_missing", f"The key file {path} is missing. Gatehouse goes on with the key in its memory.",
            "Put your own copy of it back before you restart Gatehouse: after that it can’t open what it has stored.",
            stops=False,
        )  # fmt: skip
    return None


def _of_writing() -> Trouble | None:
    """As the beats of this worker found it; where there are none, by writing."""
    try:
        database.refuse_unwritable()
    except StoreProblem as problem:
        return _trouble(problem)
    if _here.written_at is None:
        try:
            with writing():
                State.update(value=State.value).where(State.key == "generation").execute()
        except DatabaseError as error:
            return _trouble(explained(error))
        return None
    if _here.failed:
        return _trouble(_here.failed)
    if time.monotonic() - _here.written_at > STUCK_SECONDS:
        return Trouble(
            "database_busy", "Writing to the database takes very long.",
            "Look whether another program holds it, and how its disk is.",
        )  # fmt: skip
    return None


def _of_disk() -> Trouble | None:
    try:
        free = shutil.disk_usage(_here.data).free
    except OSError as error:
        return Trouble(
            "data_unusable", f"The data folder can't be used: {error.strerror}.", "Look at its disk."
        )
    if free >= LEAST_FREE:
        return None
    return Trouble(
        "disk_low", f"Only {free // 1024 // 1024} MB are left on the disk of the database.",
        "Make room on it: when it is full no call can run.", stops=False,
    )  # fmt: skip


def _of_clock() -> list[Trouble | None]:
    return [_behind(), _jumped()]


def _behind() -> Trouble | None:
    last = Entry.select(Entry.at).order_by(Entry.id.desc()).first()
    if last is None or last.at <= now() + AHEAD:
        return None
    return Trouble(
        "clock_behind",
        f"The clock of this machine is {times.span(last.at - now())} behind the newest entry of the log.",
        "Set the clock, and let it be kept right (NTP). This goes away with the next entry that fits.", stops=False,
    )  # fmt: skip


def _jumped() -> Trouble | None:
    seen = state(CLOCK)
    if not seen or not timedelta() <= now() - datetime.fromisoformat(seen["at"]) < JUMP_SHOWN:
        return None
    by = timedelta(seconds=seen["seconds"])
    way, why = ("ahead", "it was set, or the machine slept") if by > timedelta() else ("back", "it was set")
    return Trouble(
        "clock_jumped", f"The clock of this machine went {way} by {times.span(by)}: {why}.",
        "Look whether it is right now and kept right (NTP). Approvals and sessions may have ended early.", stops=False,
    )  # fmt: skip


class Clock:
    """Notices when the wall clock goes another way than time does."""

    def __init__(self) -> None:
        self._last = (now(), time.monotonic())

    def look(self) -> None:
        """In the caller's transaction."""
        wall, steady = now(), time.monotonic()
        by = (wall - self._last[0]) - timedelta(seconds=steady - self._last[1])
        self._last = (wall, steady)
        if abs(by) > JUMP:
            remember(CLOCK, {"at": wall.isoformat(), "seconds": round(by.total_seconds())})
