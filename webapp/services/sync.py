"""Keeping our tools like the server's: fetch its list, compare, write down what went wrong."""

from __future__ import annotations

from webapp.errors import NeedsAuthorization, RpcError, Stale, UpstreamError
from webapp.services import connections, grants, health, schedule
from webapp.services.audit import Actor
from webapp.services.connections import Fetched
from webapp.services.reconciling import SyncResult, reconcile
from webapp.services.schedule import configure, due, hasten, take
from webapp.store.database import writing
from webapp.store.models import Integration, Tool

__all__ = ["SyncResult", "adopt", "configure", "due", "hasten", "note_failure", "reconcile", "sync", "take"]


def sync(integration: Integration, actor: Actor) -> SyncResult:
    """Fetch and compare. Raises UpstreamError, after writing it down; nothing else changes then."""
    if integration.kind == "builtin":
        return SyncResult(unchanged=Tool.of(integration).count())
    if integration.state == "draft":
        raise Stale(
            "This server is not set up yet.", next_step="Continue its set-up; that fetches the tools."
        )
    try:
        fetched = connections.fetch(integration)
    except UpstreamError as error:
        note_failure(integration, error)
        raise
    return adopt(integration, fetched, actor)


def adopt(integration: Integration, fetched: Fetched, actor: Actor) -> SyncResult:
    """Compare with what was fetched already, e.g. when a sign-in was tried."""
    return reconcile(integration, fetched.listing, actor, server=fetched.server)


def note_failure(integration: Integration, error: UpstreamError) -> None:
    with writing():
        changes = {"sync_error": error.what, "sync_due_at": schedule.next_time()}
        Integration.update(**changes).where(Integration.id == integration.id).execute()
        if isinstance(error, NeedsAuthorization):
            _note_wall(integration, error)
        elif not isinstance(error, RpcError):
            health.mark(integration, "unreachable", error.what)


def _note_wall(integration: Integration, error: NeedsAuthorization) -> None:
    """A wish for more scopes is no lost sign-in: what was granted goes on working."""
    scope = grants.demanded_scope(error)
    if scope is None or not grants.demand(integration.id, scope):
        health.mark(integration, "needs_sign_in", error.what)
