"""Old stretches of the log: checked, copied to a file if wanted, sealed, and then removed row by row."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from peewee import fn

from webapp.errors import Refused
from webapp.services import audit, export, tallying
from webapp.services.audit import Actor, Sealed
from webapp.store.database import fetch, writing
from webapp.store.fields import now
from webapp.store.models import Entry, Segment

MOST_ROWS = 20_000  # of one segment: some seconds of work, which a worker that stops waits for
# In small bites, with a breath between them: calls go on meanwhile.
BITE = 500
BREATH = 0.01  # seconds


class LogDoesNotFit(Refused):
    """A row that somebody changed is not sealed over."""


def seal_before(moment: datetime, actor: Actor, folder: Path | None) -> Segment | None:
    """The next segment of rows older than this, sealed; None where there are none. Raises LogDoesNotFit.

    `folder`: where a copy of its rows is kept. The rows themselves are removed by `remove_sealed`.
    """
    end = audit.sealed()
    if end.forged is not None:
        raise _changed(end.forged)
    last = _last_before(end, moment)
    if last is None:
        return None
    found = audit.follow(_bites(end.last_id, last), end.digest, end.next_id)
    if found.first_bad is not None:
        raise _changed(found.first_bad)
    if folder is not None:
        if not end.rows and Entry.select().where(Entry.id <= end.last_id).exists():
            _copy(0, end.last_id, folder)
        _copy(end.last_id, last, folder)
    return _seal(end, last, found, actor, kept=folder is not None)


def remove_sealed() -> int:
    """Deletes the next rows that are sealed; how many. 0: all are gone."""
    end = audit.sealed()
    if end.forged is not None:
        raise _changed(end.forged)
    if not end.rows:  # what can't be checked any more goes with the first segment after it
        return 0
    with writing():
        first = Entry.select(Entry.id).where(Entry.id <= end.last_id).order_by(Entry.id).limit(BITE)
        count: int = Entry.delete().where(Entry.id.in_(first)).execute()
        if not count:
            tallying.forget_removed(end.last_id)
    return count


def file_name(first_id: int, last_id: int) -> str:
    return f"log-{first_id:09}-{last_id:09}.jsonl.gz"


def _last_before(end: Sealed, moment: datetime) -> int | None:
    """Up to the first row that is young enough to stay: none is skipped, though some lie out of order. What claims
    to be of the future was written under a wrong clock, and holds nothing back."""
    sql = 'SELECT "id" FROM "entry" WHERE "id" > ? AND COALESCE("at", NULL) BETWEEN ? AND ? ORDER BY "id" LIMIT 1'
    span = [str(Entry.at.db_value(one)) for one in (moment, now() + timedelta(hours=1))]
    young = fetch(sql, (end.last_id, *span))
    if not young:
        return None  # nothing is young: the last row of the log never goes
    oldest = Entry.select(fn.MIN(Entry.id)).where(Entry.id > end.last_id).scalar()
    last = min(young[0][0] - 1, oldest + MOST_ROWS - 1)
    return last if last >= oldest else None


def _bites(after: int, last: int) -> Iterator[Entry]:
    while rows := list(
        Entry.select().where(Entry.id > after, Entry.id <= last).order_by(Entry.id).limit(BITE)
    ):
        yield from rows
        after = rows[-1].id
        time.sleep(BREATH)


def _seal(end: Sealed, last: int, found: audit.Verification, actor: Actor, *, kept: bool) -> Segment | None:
    first_row = Entry.select().where(Entry.id > end.last_id).order_by(Entry.id).get()
    last_row = Entry.get_by_id(last)
    segment = Segment(
        first_id=first_row.id, last_id=last, count=found.rows, first_at=first_row.at, last_at=last_row.at,
        digest=bytes.fromhex(found.head),
    )  # fmt: skip
    segment.mac = audit.seal(segment, end.mac)
    with writing():
        if audit.sealed().last_id != end.last_id:
            return None  # another worker was quicker
        segment.save(force_insert=True)
        details = {"first": first_row.id, "last": last, "count": found.rows, "head": found.head,
                   "until": last_row.at, "file": file_name(first_row.id, last) if kept else ""}  # fmt: skip
        audit.record("log.sealed", actor, details=details, agents_notice=False)
    return segment


def _copy(after: int, last: int, folder: Path) -> None:
    """Whole and on the disk before it has its name."""
    folder.mkdir(mode=0o700, exist_ok=True)
    first = Entry.select(fn.MIN(Entry.id)).where(Entry.id > after).scalar()
    path = folder / file_name(first, last)
    draft = path.with_suffix(".part")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
        with gzip.open(raw, "wt", encoding="utf-8") as file:
            for entry in _bites(after, last):
                row = export.as_row(tuple(getattr(entry, name) for name in Entry._meta.sorted_field_names))
                file.write(f"{export.as_json(row)}\n")
        raw.flush()
        os.fsync(raw.fileno())
    os.replace(draft, path)


def _changed(row: int) -> LogDoesNotFit:
    return LogDoesNotFit(
        f"The log does not fit from row {row} on: nothing is removed from it.",
        why="It was changed outside Gatehouse.", next_step="Compare it with your last backup.",
    )  # fmt: skip
