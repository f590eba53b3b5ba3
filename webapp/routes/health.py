"""For machines: is the process up, can it work, and what did a browser refuse to load."""

from __future__ import annotations

import json
import logging

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from peewee import PeeweeException

from webapp.errors import Refused
from webapp.routes.guards import allow, open_database
from webapp.services import condition, daily_backups

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
