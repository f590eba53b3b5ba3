"""For machines: is the process up, can it work, and what did a browser refuse to load."""

from __future__ import annotations

import hmac
import json
import logging

from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue
from peewee import DatabaseError, PeeweeException

from webapp.errors import Refused
from webapp.routes.guards import allow, open_database, settings
from webapp.services import condition, daily_backups, metrics

bp = Blueprint("health", __name__)
LONGEST_REPORT = 500
log = logging.getLogger(__name__)


@bp.get("/healthz")
@allow("anyone")
def alive() -> ResponseReturnValue:
    return {"status": "ok"}


@bp.get("/readyz")
@allow("anyone")
def ready() -> ResponseReturnValue:
    """What stops calls makes it 503; the rest is a warning. Words for people are on Home and in the log."""
    try:
        open_database()
        found = condition.look()
        warnings = [one.reason for one in found if not one.stops] + ["backup"] * bool(daily_backups.problem())
    except (PeeweeException, Refused) as error:
        log.warning("not ready: %s", error)
        return {"status": "not ready", "reasons": [condition.reason_of(error)]}, 503
    if reasons := [one.reason for one in found if one.stops]:
        return {"status": "not ready", "reasons": reasons}, 503
    return {"status": "ready"} | ({"warnings": warnings} if warnings else {})


@bp.get("/metrics")
@allow("anyone")
def numbers() -> ResponseReturnValue:
    """For Prometheus, with the token of METRICS_TOKEN as a bearer."""
    token = settings().metrics_token
    if not token:
        abort(404)
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, f"Bearer {token}".encode()):
        return "This needs METRICS_TOKEN as a bearer token.\n", 401, {"WWW-Authenticate": "Bearer"}
    try:
        open_database()
        text = metrics.exposition()
    except DatabaseError as error:
        log.warning("metrics without the database: %s", error)
        text = metrics.without_store(error)
    return text, {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}


@bp.post("/csp-report")
@allow("anyone")
def csp_report() -> ResponseReturnValue:
    """What the content security policy stopped: a fault of ours, or somebody's try. One short line in the log."""
    try:
        report = json.loads(request.get_data(cache=False)[:20_000]).get("csp-report", {})
        line = (
            f"{report.get('violated-directive')} {report.get('blocked-uri')} on {report.get('document-uri')}"
        )
    except (ValueError, AttributeError, RecursionError):
        line = "unreadable"
    log.warning("content security policy: %r", line[:LONGEST_REPORT])
    return "", 204
