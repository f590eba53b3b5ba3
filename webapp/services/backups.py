"""Copies of the database, and fresh keys for what is sealed in it."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography.fernet import Fernet
from peewee import DatabaseError
from playhouse.cysqlite_ext import CySqliteDatabase

from webapp.errors import InvalidInput, Refused, Stale
from webapp.services import audit, intents
from webapp.services.audit import Actor
from webapp.store.database import KEY_FILE, writing
from webapp.store.fields import Sealed, now
from webapp.store.models import MODELS, State, Worker, database, state
from webapp.store.secrets import read_keys, vault, write_keys

# Long enough for every worker to have seen the new key file and committed what it sealed with the old one.
SETTLE_SECONDS = 0.5


def backup(path: Path, actor: Actor) -> None:
    """A consistent copy made while Gatehouse runs, checked before it gets its name. Never overwrites."""
    if path.exists():
        raise InvalidInput(f"{path} exists already.", next_step="Choose another name.")
    with writing():
        audit.record(
            "backup.made", actor, details={"path": str(path), "head": audit.head().hex()}, agents_notice=False
        )
    draft = path.with_name(path.name + ".part")
    draft.unlink(missing_ok=True)
    try:
        draft.touch(mode=0o600)
    except OSError as error:
        raise InvalidInput(
            f"{path} can't be written: {error.strerror}.", next_step="Choose another place."
        ) from error
    database.execute_sql("VACUUM INTO ?", (str(draft),))
    _check(draft)
    os.replace(draft, path)


def restore(path: Path) -> None:
    """Put a backup in place. What was there is kept beside it, under the time of day."""
    _check(path)
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


def _check(path: Path) -> None:
    copy = CySqliteDatabase(str(path))
    try:
        with copy.connection_context():
            (verdict,) = copy.execute_sql("PRAGMA integrity_check").fetchone()
            known = copy.get_tables()
    except DatabaseError as error:
        raise Refused(f"{path} is not a database.") from error
    if verdict != "ok" or "schema_migration" not in known:
        raise Refused(f"{path} is damaged or is not a Gatehouse backup.")


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
