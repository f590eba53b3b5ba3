"""For machines: is the process up, can it work, and what did a browser refuse to load."""

from __future__ import annotations

import json
import logging

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from peewee import PeeweeException

from webapp.errors import Refused
from webapp.routes.guards import allow, open_database
from webapp.store.models import State
from webapp.store.secrets import vault

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
    try:
        open_database()
        State.select().first()
        vault.derive("ready")
    except (PeeweeException, Refused) as error:
        log.warning("not ready: %s", error)
        return {"status": "not ready"}, 503
    return {"status": "ready"}


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
