"""Pause: what stands still and since when, stopping everything, and letting it go on."""

from __future__ import annotations

from flask import Blueprint, flash, g, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput
from webapp.routes.guards import allow, current_actor, current_user
from webapp.routes.replies import leave_for, local, page
from webapp.routes.rows import named
from webapp.services import pauses
from webapp.services.standstill import EVERYTHING
from webapp.store.models import Pause

bp = Blueprint("pauses", __name__, url_prefix="/pause")
bp.add_app_template_global(named)


@bp.app_template_global("pauses")
def standing() -> dict[str, Pause]:
    """By key, asked for once a page."""
    if "pauses" not in g:
        g.pauses = {one.key: one for one in pauses.standing()}
    found: dict[str, Pause] = g.pauses
    return found


@bp.app_template_global()
def resume_hindrance(pause: Pause) -> str:
    return pauses.hindrance(pause, current_user().role)


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    return _index()


@bp.post("")
@allow("technician")
def stop() -> ResponseReturnValue:
    try:
        made = pauses.stop(request.form.get("level", ""), current_actor(), request.form.get("reason", ""))
    except InvalidInput as error:
        return _index(error)
    flash(f"Stopped: {pauses.LEVELS[made.scope]}, on every worker, from the next call on.")
    return leave_for(url_for(".index"))


@bp.post("/resume")
@allow("technician")
def resume() -> ResponseReturnValue:
    pauses.resume(request.form.get("key", ""), current_actor())
    flash("Resumed. It holds from the next call on.")
    return leave_for(local(request.form.get("back", "")) or url_for(".index"))


def _index(error: InvalidInput | None = None) -> ResponseReturnValue:
    status = error.status if error else 200
    typed = request.form if error else {}
    return page(
        "pauses/index.html", status=status, error=error, typed=typed, everything=standing().get(EVERYTHING)
    )
