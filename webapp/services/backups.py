"""Copies of the database."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from peewee import DatabaseError
from playhouse.cysqlite_ext import CySqliteDatabase

from webapp.errors import Refused, Stale
from webapp.services import audit, intents
from webapp.services.audit import Actor
from webapp.store import copies, transfer
from webapp.store.database import migrate, writing
from webapp.store.fields import now
from webapp.store.models import State, Worker, database
from webapp.store.secrets import vault
from webapp.store.sqlite import Sqlite


def backup(path: Path, actor: Actor, *, breath: float = 0) -> str:
    """A consistent copy made while Gatehouse runs, checked before it gets its name. Never overwrites.

    A copy that is whole but whose log or key does not fit is kept all the same, and the answer says what is wrong
    with it. `breath`: see audit.verify_in.
    """
    with writing():
        audit.record(
            "backup.made", actor, details={"path": str(path), "head": audit.head().hex()}, agents_notice=False
        )
    doubts: list[str] = []
    copies.make(_write, path, lambda copy: doubts.append(_doubt(copy, breath)))
    return doubts[0]


def _write(draft: Path) -> None:
    """Always an SQLite file: what was saved on one store comes back on either."""
    if isinstance(database.obj, Sqlite):
        database.obj.vacuum_into(draft)
    else:
        transfer.as_file(database.obj, draft)


def _doubt(copy: CySqliteDatabase, breath: float) -> str:
    key = State.select().where(State.key == "log_key").bind(copy).get()
    try:
        vault.open("state:log_key", key.value.encode())
    except Refused as refusal:
        return str(refusal)
    found = audit.verify_in(copy, breath=breath)
    if found.intact:
        return ""
    return f"The log does not fit from row {found.first_bad} on: it was changed outside Gatehouse."


def restore(path: Path) -> None:
    """Put a backup in place. An SQLite file that was there is kept beside it, under the time of day; a database of
    PostgreSQL must be one that nobody works with yet."""
    copies.inspect(path)
    refuse_while_running()
    if isinstance(database.obj, Sqlite):
        _put_in_place(path, Path(database.database))
    else:
        _pour_in(path)


def _pour_in(path: Path) -> None:
    with TemporaryDirectory(dir=path.parent) as folder:
        file = Sqlite(Path(shutil.copy(path, folder)))
        try:
            migrate(file)
            with file.connection_context(), file.snapshot(), writing():
                if transfer.in_use(database.obj):
                    raise Stale(
                        "People or agents work with this database.",
                        next_step="Point DATABASE_URL at an empty one, and restore there.",
                    )
                transfer.copy(file, database.obj)
                database.announce()
        finally:
            file.close()


def _put_in_place(path: Path, target: Path) -> None:
    aside = target.with_name(f"{target.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    database.close()
    fresh = target.with_suffix(".restored")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_bytes(path.read_bytes())
    if target.exists():
        for suffix in ("", "-wal", "-shm"):
            if (part := Path(f"{target}{suffix}")).exists():
                part.rename(f"{aside}{suffix}")
    os.replace(fresh, target)


def refuse_while_running() -> None:
    """Workers would go on with the old file, unseen: keys revoked from then on would keep working."""
    try:
        running = Worker.select().where(Worker.seen_at > now() - intents.DEAD_AFTER).exists()
    except DatabaseError:  # a damaged database is what a backup is for
        return
    if running:
        raise Stale(
            "Gatehouse is running, or was a few seconds ago.",
            next_step=f"Stop it, wait {intents.DEAD_AFTER.seconds} seconds and try again.",
        )
