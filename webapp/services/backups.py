"""Copies of the database, and fresh keys for what is sealed in it."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography.fernet import Fernet
from peewee import DatabaseError
from playhouse.cysqlite_ext import CySqliteDatabase

from webapp.errors import Refused, Stale
from webapp.services import audit, intents
from webapp.services.audit import Actor
from webapp.store import copies
from webapp.store.database import KEY_FILE, writing
from webapp.store.fields import Sealed, now
from webapp.store.models import MODELS, State, Worker, database, state
from webapp.store.secrets import read_keys, vault, write_keys

# Long enough for every worker to have seen the new key file and committed what it sealed with the old one.
SETTLE_SECONDS = 0.5


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
    copies.make(database.obj, path, lambda copy: doubts.append(_doubt(copy, breath)))
    return doubts[0]


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
    """Put a backup in place. What was there is kept beside it, under the time of day."""
    copies.inspect(path)
    _refuse_while_running()
    target = Path(database.database)
    aside = target.with_name(f"{target.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    database.close()
    fresh = target.with_suffix(".restored")
    fresh.write_bytes(path.read_bytes())
    fresh.chmod(0o600)
    if target.exists():
        for suffix in ("", "-wal", "-shm"):
            if (part := Path(f"{target}{suffix}")).exists():
                part.rename(f"{aside}{suffix}")
    os.replace(fresh, target)


def _refuse_while_running() -> None:
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


def rotate_key(data: Path, actor: Actor) -> int:
    """Seal everything anew. Interrupted anywhere, the key file still opens every row.

    Both keys stand in the file until no row needs the old one; workers notice the file by themselves.
    """
    path = data / KEY_FILE
    old = read_keys(path)
    fresh = Fernet.generate_key()
    write_keys(path, [fresh, *old])
    count = _seal_all()
    time.sleep(SETTLE_SECONDS)
    _seal_all()
    with writing():
        audit.record("key.rotated", actor, details={"secrets": count}, agents_notice=False)
    write_keys(path, [fresh])
    return count


def _seal_all() -> int:
    count = 0
    with writing():
        for model in MODELS:
            for field in model._meta.sorted_fields:
                if isinstance(field, Sealed):
                    count += _seal_column(model, field)
        if key := state("log_key"):
            State.update(value=vault.rotate(key.encode()).decode()).where(State.key == "log_key").execute()
    return count


def _seal_column(model: type, field: Sealed) -> int:
    key = model._meta.primary_key  # type: ignore[attr-defined]
    rows = model.select(key, field).where(field.is_null(False)).tuples()  # type: ignore[attr-defined]
    for record, sealed in list(rows):
        fresh = vault.rotate(bytes(sealed))
        model.update({field: fresh}).where(key == record).execute()  # type: ignore[attr-defined]
    return len(rows)
