"""The log as a file: CSV for spreadsheets, JSON lines for programs. Times are UTC, whoever asks."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.errors import InvalidInput
from webapp.services import audit, log_search
from webapp.services.audit import Actor
from webapp.services.log_search import Wanted
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Entry

BATCH = 500  # rows; each batch is a piece of the stream
COLUMNS = ("id", "at", "kind", "actor_kind", "actor", "action", "integration", "tool", "policy", "outcome",
           "duration_ms", "approval", "ip", "details", "digest")  # fmt: skip
# Where a spreadsheet would begin a formula, and run it (ASVS 1.2.10): in front of these, at the start of a cell. In
# half of Europe a semicolon parts cells, so that what stands behind one may be a cell of its own.
FORMULA = re.compile(r"(^|[;\t\r\n])(?=[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class File:
    name: str
    type: str
    pieces: Iterator[bytes]


def begin(wanted: Wanted, form: str, actor: Actor) -> File:
    """Written down before the first byte leaves. The export's own row is not in it."""
    needs(actor, "technician")
    if form not in FORMS:
        raise InvalidInput("An export is CSV or JSONL.", next_step="Use one of the two buttons on Activity.")
    type, write = FORMS[form]
    batches = log_search.oldest_first(wanted, BATCH)
    first = next(batches, [])
    with writing():
        audit.record("log.exported", actor, details={"as": form.upper(), "filters": wanted.as_arguments(),
                     "zone": str(wanted.zone)}, agents_notice=False)  # fmt: skip
    return File(f"activity-{now():%Y%m%dT%H%M%SZ}.{form}", type, write(_as_rows(first, batches)))


def as_row(values: tuple[Any, ...]) -> dict[str, Any]:
    """Of the columns of Entry in their order."""
    row = dict(zip(Entry._meta.sorted_field_names, values, strict=True))
    row["at"] = utc(row["at"])
    row["digest"] = bytes(row["digest"]).hex()
    return {name: row[name] for name in COLUMNS}


def utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(row: dict[str, Any]) -> str:
    """One line; the details are part of it and no string of their own."""
    return json.dumps(
        row | {"details": json.loads(row["details"])}, ensure_ascii=False, separators=(",", ":")
    )


def safe(cell: Any) -> Any:
    """As text, where a spreadsheet would take it for a formula."""
    return FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell


def _as_rows(first: list[tuple[Any, ...]], rest: Iterator[list[tuple[Any, ...]]]) -> Iterator[Rows]:
    yield [as_row(values) for values in first]
    for batch in rest:
        yield [as_row(values) for values in batch]


def as_csv(columns: Iterable[str], batches: Iterator[Iterable[Iterable[Any]]]) -> Iterator[bytes]:
    yield "\ufeff".encode()  # without it Excel takes UTF-8 for something else
    yield _lines([columns])
    for rows in batches:
        yield _lines(map(safe, row) for row in rows)


def _csv(batches: Iterator[Rows]) -> Iterator[bytes]:
    return as_csv(COLUMNS, ([row.values() for row in rows] for rows in batches))


def _lines(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _jsonl(batches: Iterator[Rows]) -> Iterator[bytes]:
    for rows in batches:
        yield "".join(f"{as_json(row)}\n" for row in rows).encode()


FORMS: dict[str, tuple[str, Callable[[Iterator[Rows]], Iterator[bytes]]]] = {
    "csv": ("text/csv", _csv),
    "jsonl": ("application/jsonl", _jsonl),
}
