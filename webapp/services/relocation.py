"""Moving to PostgreSQL: everything that the SQLite file holds, whole and checked, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from webapp.errors import InvalidInput, Refused, Stale
from webapp.services import audit, backups
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store import transfer
from webapp.store.database import connect, migrate, writing
from webapp.store.models import database
from webapp.store.postgresql import Postgresql
from webapp.store.sqlite import Sqlite


@dataclass(frozen=True)
class Moved:
    tables: int
    rows: int
    head: str  # of the log, the same in both


def move_to(url: str, data: Path, actor: Actor) -> Moved:
    """Into an empty database, in one transaction that is committed only when every row compares equal and the log's
    chain verifies over there. What it moves away from stays as it is, for as long as somebody wants it.

    Raises Stale while Gatehouse runs: its workers would go on writing to what was left behind.
    """
    needs(actor, "admin")
    if not isinstance(database.obj, Sqlite):
        raise InvalidInput(
            "Gatehouse uses PostgreSQL already.", next_step="Unset DATABASE_URL to move a file."
        )
    if not url.startswith(("postgresql://", "postgres://")):
        raise InvalidInput(
            "The new place is a PostgreSQL database.", next_step="Give an address like postgresql://…"
        )
    backups.refuse_while_running()
    target = connect(data, url)
    assert isinstance(target, Postgresql)
    try:
        with target.alone():
            migrate(target)
        with target.connection_context(), writing(), target.turn():
            moved = _carry(target)
    finally:
        target.close_all()
    with writing():
        details = {"to": _shown(url), "rows": moved.rows}
        audit.record("store.moved", actor, details=details, agents_notice=False)
    return moved


def _carry(target: Postgresql) -> Moved:
    if transfer.in_use(target):
        raise Stale("That database is in use by a Gatehouse.", next_step="Make an empty one, and move there.")
    counts = transfer.copy(database.obj, target)
    if found := transfer.differences(database.obj, target):
        raise Refused(
            f"What arrived is not what was sent: {'; '.join(found)}.", next_step="Nothing was moved."
        )
    log = audit.verify_in(target)
    if not log.intact:
        raise Refused(
            f"The log does not fit from row {log.first_bad} on: it was changed outside Gatehouse.",
            next_step="Nothing was moved. Compare the file with a backup.",
        )
    return Moved(len(counts), sum(counts.values()), log.head)


def _shown(url: str) -> str:
    """Without name and password."""
    place = urlsplit(url)
    return f"{place.hostname or ''}{place.path}"
