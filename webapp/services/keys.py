"""A fresh key for everything that is sealed, while Gatehouse runs."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from webapp.errors import Refused, Stale
from webapp.services import audit, intents
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.database import KEY_FILE, writing
from webapp.store.fields import Sealed
from webapp.store.models import MODELS, State, database, state
from webapp.store.secrets import id_of, read_keys, vault, write_keys
from webapp.store.sqlite import Sqlite

BITE = 200  # rows: a write of some milliseconds, and calls go on between two
# A worker that sealed something a moment before the new key came waits this long for its turn to write, at most.
SETTLE_SECONDS = 11.0
# The first that is seen of a worker was before the new key came, the next may have been on its way then.
BEATS = 3
LOOK_SECONDS = 0.2


@dataclass
class Rotation:
    """`lost`: what no key in the file opens, and did not open before either."""

    sealed: int = 0
    lost: int = 0


def rotate(data: Path, actor: Actor) -> Rotation:
    """Interrupted anywhere, the key file still opens every row, and the next rotation finishes it.

    The new key and the old ones stand in the file until no row needs the old ones; workers read it by themselves.
    Nobody seals with the new one before all can open with it: raises Stale, and changes nothing, while a worker runs
    that has another key file, on another machine say.
    """
    needs(actor, "admin")
    if actor.kind == "user" and (why := hindrance()):
        raise Stale(why, next_step="See docs/postgresql.md, Several instances.")
    path = data / KEY_FILE
    with _alone(path):
        for left in path.parent.glob(f"{path.name}.*.new"):  # of a rotation that was killed
            left.unlink()
        old, fresh = read_keys(path), Fernet.generate_key()
        _begin(path, [*old, fresh])
        _let_all_read(path, fresh)
        write_keys(path, [fresh, *(key for key in read_keys(path) if key != fresh)])
        first = _seal_all()
        if intents.living().exists():
            time.sleep(SETTLE_SECONDS)
        done = _seal_all()
        done.sealed += first.sealed
        with writing():
            audit.record("key.rotated", actor, details={"secrets": done.sealed}, agents_notice=False)
        write_keys(path, [key for key in read_keys(path) if key not in old])
    return done


def _begin(path: Path, keys: list[bytes]) -> None:
    try:
        write_keys(path, keys)
    except OSError as error:
        raise Refused(
            f"The key file {path} can’t be written.", why=f"{error.strerror}. Nothing was changed.",
            next_step="Give Gatehouse’s user the right to write in its folder, and make room there.",
        ) from error  # fmt: skip


def _let_all_read(path: Path, fresh: bytes) -> None:
    """Until every living worker says that it has this key too."""
    seen: dict[str, set[datetime]] = {}
    while without := [one for one in intents.living() if id_of(fresh) not in one.key_ids.split()]:
        for one in without:
            seen.setdefault(one.id, set()).add(one.seen_at)
        if max(map(len, seen.values())) >= BEATS:
            write_keys(path, [key for key in read_keys(path) if key != fresh])
            raise Stale(
                "Another Gatehouse runs on this database, with a key file of its own.",
                why="It would go on sealing with the old key, and nobody could open that later. Nothing was changed.",
                next_step=f"Stop it, wait {intents.DEAD_AFTER.seconds} seconds, rotate the key, copy the key file to "
                "it and start it.",
            )  # fmt: skip
        time.sleep(LOOK_SECONDS)


def hindrance() -> str:
    """Why no page may do it; empty where one may."""
    if isinstance(database.obj, Sqlite):
        return ""
    return "On PostgreSQL other machines may have key files of their own, so the key is rotated by the command only."


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Of two at once, one would take the other's new key out of the file."""
    with path.with_name("rotate.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Stale(
                "The key is being rotated already.", next_step="Wait until that has ended."
            ) from error
        yield


def _seal_all() -> Rotation:
    done = Rotation()
    for model in MODELS:
        for field in model._meta.sorted_fields:
            if isinstance(field, Sealed):
                _seal_column(model, field, done)
    for name in (audit.KEY, audit.BEGINS):
        with writing():
            if (kept := state(name)) and (fresh := _resealed(kept.encode(), done)):
                State.update(value=fresh.decode()).where(State.key == name).execute()
    return done


def _seal_column(model: Any, field: Sealed, done: Rotation) -> None:
    key, last = model._meta.primary_key, None
    query = model.select(key, field).where(field.is_null(False)).order_by(key).limit(BITE)
    while True:
        with writing():
            rows = list((query if last is None else query.where(key > last)).tuples())
            for record, sealed in rows:
                if fresh := _resealed(bytes(sealed), done):
                    model.update({field: fresh}).where(key == record).execute()
        if not rows:
            return
        last = rows[-1][0]


def _resealed(sealed: bytes, done: Rotation) -> bytes | None:
    """None where it is sealed with the newest key already, or can't be opened."""
    if vault.is_newest(sealed):
        return None
    try:
        fresh = vault.rotate(sealed)
    except InvalidToken:
        done.lost += 1
        return None
    done.sealed += 1
    return fresh
