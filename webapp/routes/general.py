"""Settings → General: where this Gatehouse lives, its limits, its key, its log."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from webapp.routes.guards import allow, settings
from webapp.routes.replies import page
from webapp.services import audit
from webapp.store.database import KEY_FILE
from webapp.store.secrets import vault

bp = Blueprint("general", __name__, url_prefix="/settings")


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    return redirect(url_for("integrations.index"), 303)


@bp.get("/general")
@allow("viewer")
def show() -> ResponseReturnValue:
    return _page()


@bp.post("/general/log-check")
@allow("technician")
def check_log() -> ResponseReturnValue:
    return _page(verification=audit.verify())


def _page(verification: audit.Verification | None = None) -> ResponseReturnValue:
    key = settings().data / KEY_FILE
    made = datetime.fromtimestamp(key.stat().st_mtime, UTC)
    return page(
        "general/show.html", config=settings(), key_id=vault.key_id, key_made=made, verification=verification
    )
