"""Comparing a listing with our tools: new, changed, back, gone. Only a complete listing says gone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from peewee import chunked

from webapp.errors import Stale
from webapp.services import audit, brought, health, schedule, screening
from webapp.services.addresses import host_of
from webapp.services.admitting import Admission
from webapp.services.audit import Actor
from webapp.services.visible import told
from webapp.store import generation
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Integration, Quarantine, Tool
from webapp.upstream.client import ServerInfo
from webapp.upstream.listing import Listing, ToolDefinition

ROWS_AT_ONCE = 500
LONGEST_TITLE = 80


@dataclass(frozen=True)
class SyncResult:
    """Counts; `problem` says why the listing was not complete."""

    added: int = 0
    changed: int = 0
    missing: int = 0
    back: int = 0
    quarantined: int = 0
    unchanged: int = 0
    flagged: int = 0
    problem: str = ""

    @property
    def differs(self) -> bool:
        return any((self.added, self.changed, self.missing, self.back, self.flagged))

    def __str__(self) -> str:
        counts = [
            (self.added, "new"),
            (self.changed, "changed"),
            (self.flagged, "flagged"),
            (self.missing, "gone"),
            (self.back, "back"),
            (self.unchanged, "unchanged"),
            (self.quarantined, "set aside"),
        ]
        words = ", ".join(f"{count} {word}" for count, word in counts if count) or "no tools"
        return f"{words}. {self.problem}".strip() if self.problem else words


def reconcile(
    integration: Integration, listing: Listing, actor: Actor, *, server: ServerInfo | None = None
) -> SyncResult:
    """One transaction. New tools are seeded, changed ones lose Auto, suspicious ones wait for a look, missing ones
    are marked."""
    with writing():
        current = Integration.get_or_none(Integration.id == integration.id)
        if current is None or current.url != integration.url:
            raise Stale("This server was changed or disconnected meanwhile.", next_step="Begin again.")
        comparison = _compare(current, listing)
        first, listed = comparison.first and current.synced_at is None, {tool.name for tool in listing.tools}
        admission = Admission(current, actor, first=first, listed=frozenset(listed))
        admission.add(comparison.added)
        brought.forget(current)
        admission.update(comparison.changed)
        if current.screened_by != screening.VERSION and not comparison.first:
            admission.screen_again()
        if comparison.added:
            _look_around_again(current)
        _mark_back(comparison.back)
        _mark_missing(comparison.missing)
        _set_aside(current, listing)
        _note_success(current, listing, server)
        result = _recounted(comparison.result, admission)
        if result.differs:
            audit.append(admission.rows)
            counts = {key: value for key, value in asdict(result).items() if value}
            audit.record("integration.synced", actor, integration=current.name, details=counts)
        elif _speaks_otherwise(current, server):
            generation.raise_by_one()
        health.mark(current, "connected")
    return result


# --- comparing


@dataclass
class _Known:
    id: int
    digests: tuple[str, str]
    missing: bool


@dataclass
class _Comparison:
    result: SyncResult
    first: bool
    added: list[ToolDefinition]
    changed: list[tuple[int, ToolDefinition]]  # in whatever way; the admission tells those apart that matter
    back: list[int]
    missing: list[int]


def _compare(integration: Integration, listing: Listing) -> _Comparison:
    query = Tool.select(
        Tool.name, Tool.id, Tool.definition_digest, Tool.received_digest, Tool.missing_since
    ).where(Tool.integration == integration)
    known = {name: _Known(id, (digest, got), bool(gone)) for name, id, digest, got, gone in query.tuples()}
    listed = {tool.name: tool for tool in listing.tools}
    added = [tool for name, tool in listed.items() if name not in known]
    met = [(known[name], tool) for name, tool in listed.items() if name in known]
    changed = [(was.id, tool) for was, tool in met if was.digests != (tool.digest, tool.received)]
    back = [was.id for was, _ in met if was.missing]
    gone = [was.id for name, was in known.items() if name not in listed and not was.missing]
    missing = gone if listing.complete else []
    result = SyncResult(
        added=len(added),
        changed=len(changed),
        missing=len(missing),
        back=len(back),
        quarantined=len(listing.quarantined),
        unchanged=len(met) - len(changed),
        problem=listing.problem,
    )
    return _Comparison(result, not known, added, changed, back, missing)


def _recounted(result: SyncResult, admission: Admission) -> SyncResult:
    same = admission.same_after_all
    return replace(
        result,
        changed=result.changed - same,
        unchanged=result.unchanged + same,
        flagged=admission.flagged,
    )


# --- writing, all in the caller's transaction


def _look_around_again(newcomer: Integration) -> None:
    """Whoever was here first may have waited for these tools: the next sync of each looks at it beside them."""
    Integration.update(screened_by=0).where(
        Integration.id != newcomer.id, Integration.kind == "server"
    ).execute()


def _mark_back(ids: list[int]) -> None:
    for batch in chunked(ids, ROWS_AT_ONCE):
        Tool.update(missing_since=None).where(Tool.id.in_(batch)).execute()


def _mark_missing(ids: list[int]) -> None:
    for batch in chunked(ids, ROWS_AT_ONCE):
        Tool.update(missing_since=now()).where(Tool.id.in_(batch)).execute()


def _set_aside(integration: Integration, listing: Listing) -> None:
    """The list is replaced; what an incomplete listing did not show stays on it."""
    query = Quarantine.select(Quarantine.name, Quarantine.reason).where(Quarantine.integration == integration)
    before = list(query.tuples())
    now_aside = [(item.name, item.reason) for item in listing.quarantined]
    if not listing.complete:
        now_aside = list(dict.fromkeys(before + now_aside))
    if before == now_aside:
        return
    Quarantine.delete().where(Quarantine.integration == integration).execute()
    Quarantine.add_all(
        {"integration": integration.id, "name": name, "reason": reason} for name, reason in now_aside
    )


def _speaks_otherwise(known: Integration, server: ServerInfo | None) -> bool:
    """Than it did at the last sync, as far as a call needs to know."""
    return server is not None and (known.protocol, known.server.get("logs")) != (server.version, server.logs)


def _note_success(integration: Integration, listing: Listing, server: ServerInfo | None) -> None:
    moment = now()
    changes: dict[str, Any] = {
        "sync_due_at": schedule.next_time(),
        "sync_error": listing.problem,
        "screened_by": screening.VERSION,
    }
    if listing.complete:
        changes["synced_at"] = moment
    if server:
        changes["protocol"] = server.version
        changes["server"] = {
            "name": server.name,
            "title": server.title,
            "server_version": server.server_version,
            "instructions": server.instructions,
            "tells_changes": server.tells_changes,
            "logs": server.logs,
        }
        if integration.synced_at is None and integration.title == host_of(integration.url):
            title = told(" ".join((server.title or server.name).split()))[:LONGEST_TITLE]
            changes["title"] = title or integration.title
    Integration.update(**changes).where(Integration.id == integration.id).execute()
