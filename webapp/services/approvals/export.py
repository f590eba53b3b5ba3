"""The history of approvals as a file for spreadsheets. Times are UTC, whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import tzinfo
from typing import Any

from webapp.services import audit, export
from webapp.services.approvals import history
from webapp.services.approvals.history import Wanted
from webapp.services.audit import Actor
from webapp.services.export import File
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Approval

COLUMNS = ("id", "asked_at", "agent", "tool", "outcome", "decided_by", "decided_at", "note", "log_entry")


def begin(wanted: Wanted, zone: tzinfo, actor: Actor) -> File:
    """What the history shows with these filters, all pages of it. Written down before the first byte leaves."""
    needs(actor, "technician")
    with writing():
        details = {"filters": dict(wanted.filters), "zone": str(zone)}
        audit.record("approval.exported", actor, details=details, agents_notice=False)
    batches = history.batches(wanted, zone, export.BATCH)
    return File(f"approvals-{now():%Y%m%dT%H%M%SZ}.csv", "text/csv", export.as_csv(COLUMNS, _rows(batches)))


def _rows(batches: Iterator[list[Approval]]) -> Iterator[Iterable[Iterable[Any]]]:
    for batch in batches:
        yield [_row(approval) for approval in batch]


def _row(one: Approval) -> tuple[Any, ...]:
    decided = export.utc(one.decided_at) if one.decided_at else ""
    return (
        one.id, export.utc(one.created_at), one.agent_name, one.catalogue_name, one.state, one.decided_by,
        decided, one.note, one.log_row or "",
    )  # fmt: skip
