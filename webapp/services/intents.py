"""Writes on their way: on disk before they are forwarded, gone when their outcome is in the log.

What a dead worker leaves behind becomes *outcome unknown* and is never repeated by itself (design, promise 2).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from peewee import ModelSelect

from webapp.services import approvals, audit
from webapp.services.audit import Row
from webapp.store.fields import now
from webapp.store.models import Intent, Worker
from webapp.store.secrets import KeyProblem, vault

BEAT_SECONDS = 2.0
DEAD_AFTER = timedelta(seconds=15)


def add(call_id: str, worker: str, row: Row) -> None:
    """In the caller's transaction; `row` is what the log will say if nobody comes back.

    Counts as a beat: a worker that was taken for dead is among the living again, or its intent were nobody's.
    """
    beat(worker)
    Intent.insert(id=call_id, worker=worker, entry=row.as_json()).execute()


def remove(call_id: str) -> bool:
    """False when somebody took this worker for dead and has settled the call already."""
    return bool(Intent.delete().where(Intent.id == call_id).execute())


def beat(worker: str) -> None:
    seen: dict[str, Any] = {"seen_at": now(), "key_ids": _key_ids()}
    changed = Worker.update(**seen).where(Worker.id == worker).execute()
    if not changed:
        Worker.insert(id=worker, started_at=seen["seen_at"], **seen).execute()


def living() -> ModelSelect:
    return Worker.select().where(Worker.seen_at > now() - DEAD_AFTER)


def _key_ids() -> str:
    """Read anew: see `keys.rotate`."""
    try:
        return " ".join(vault.key_ids)
    except KeyProblem:
        return ""


def is_oldest(worker: str) -> bool:
    """True for one living worker at most: the one that does what is to be done once in the whole installation."""
    oldest = living().order_by(Worker.started_at, Worker.id).first()
    return oldest is not None and bool(oldest.id == worker)


def leave(worker: str) -> None:
    """This worker stops in good order: what it still had is settled now."""
    _settle(worker)
    Worker.delete().where(Worker.id == worker).execute()


def settle_dead() -> int:
    """Write down, as unknown, what workers that stopped beating had on its way. In the caller's transaction."""
    moment = now()
    # Far in the future: the clock was set back since.
    silent = (Worker.seen_at < moment - DEAD_AFTER) | (Worker.seen_at > moment + DEAD_AFTER)
    dead = [worker.id for worker in Worker.select().where(silent)]
    settled = sum(_settle(worker) for worker in dead)
    Worker.delete().where(Worker.id.in_(dead)).execute()
    return settled


def _settle(worker: str) -> int:
    left = list(Intent.select().where(Intent.worker == worker).order_by(Intent.created_at))
    rows = [Row.from_json(intent.entry) for intent in left]
    audit.append(rows)
    Intent.delete().where(Intent.worker == worker).execute()
    started = [row.approval for row in rows if row.approval]
    approvals.lost(worker, started)
    approvals.put_back(worker)
    return len(left)
