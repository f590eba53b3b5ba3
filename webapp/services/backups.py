"""Copies of the database."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
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
from webapp.store.models import State, database
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
    copies.make(write_file, path, lambda copy: doubts.append(_doubt(copy, breath)))
    return doubts[0]


def write_file(draft: Path) -> None:
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
    """At every moment there is a whole database: the old one, or from one rename on the new one."""
    with suppress(DatabaseError):  # a damaged one
        database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    fresh = target.with_suffix(".restored")
    fresh.unlink(missing_ok=True)
    with path.open("rb") as source, open(os.open(fresh, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        shutil.copyfileobj(source, file)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        _keep_beside(target)
    os.replace(fresh, target)
    copies.on_disk(target.parent)


def _keep_beside(target: Path) -> None:
    """What a damaged database could not take in goes along with it: the new one must not find it."""
    aside = target.with_name(f"{target.name}.before-{now():%Y%m%dT%H%M%S%fZ}")
    try:
        os.link(target, aside)
    except OSError:  # a disk without links
        shutil.copy2(target, aside)
    for suffix in ("-wal", "-shm"):
        if (part := Path(f"{target}{suffix}")).exists():
            part.rename(f"{aside}{suffix}")


def refuse_while_running() -> None:
    """Workers would go on with the old file, unseen: keys revoked from then on would keep working."""
    try:
        running = intents.living().exists()
    except DatabaseError:  # a damaged database is what a backup is for
        return
    if running:
        raise Stale(
            "Gatehouse is running, or was a few seconds ago.",
            next_step=f"Stop it, wait {intents.DEAD_AFTER.seconds} seconds and try again.",
        )
