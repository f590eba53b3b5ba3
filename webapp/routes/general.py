"""Settings → General: where this Gatehouse lives, its limits, its key, its log."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, flash, redirect, request, send_file, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import Forbidden, InvalidInput, Refused
from webapp.routes.confirming import recently
from webapp.routes.guards import allow, current_actor, settings
from webapp.routes.replies import leave_for, page
from webapp.services import audit, daily_backups, keys, retention
from webapp.services.retention import Retention
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


@bp.post("/general/backup")
@allow("admin")
@recently
def back_up() -> ResponseReturnValue:
    try:
        made = daily_backups.make(current_actor())
    except Forbidden:
        raise
    except Refused as refusal:
        return _page(error=refusal)
    flash(f"Backup written: {made.path.name}.")
    return leave_for(f"{url_for('.show')}#backups-head")


@bp.post("/general/backups/<name>")
@allow("admin")
@recently
def download_backup(name: str) -> ResponseReturnValue:
    """A POST, because it is written down."""
    path = daily_backups.take_out(name, current_actor())
    return send_file(path, as_attachment=True, download_name=name, mimetype="application/vnd.sqlite3")


@bp.post("/general/key")
@allow("admin")
@recently
def rotate_key() -> ResponseReturnValue:
    """Takes as long as a running worker may still write with the old key."""
    try:
        done = keys.rotate(settings().data, current_actor())
    except Forbidden:
        raise
    except Refused as refusal:
        return _page(error=refusal)
    flash(f"{done.sealed} {'secret is' if done.sealed == 1 else 'secrets are'} sealed with a new key. "
          "Keep a new copy of the key file.")  # fmt: skip
    if done.lost:
        flash(f"{done.lost} could not be opened before either: sign in to those servers again.")
    return leave_for(f"{url_for('.show')}#key-head")


@bp.post("/general/retention")
@allow("admin")
def keep_log() -> ResponseReturnValue:
    """Where rows would go it asks first, with their number; the answer carries the number of days again."""
    form = request.form
    try:
        wanted = retention.wanted(form.get("days", ""), files=form.get("files") == "yes")
    except InvalidInput as error:
        return _page(error=error)
    going = retention.would_go(wanted)
    if going and form.get("confirmed") != str(wanted.days):
        return _page(asked=wanted, going=going)
    retention.change(wanted, current_actor())
    flash(f"The log is kept {f'for {wanted.days} days' if wanted.days else 'for ever'}.")
    return leave_for(f"{url_for('.show')}#log-head")


@bp.post("/general/log/<int:segment_id>")
@allow("admin")
def download_segment(segment_id: int) -> ResponseReturnValue:
    """A POST, because it is written down."""
    path = retention.file_of(segment_id, current_actor())
    return send_file(path, as_attachment=True, download_name=path.name, mimetype="application/gzip")


def _page(
    verification: audit.Verification | None = None,
    asked: Retention | None = None,
    going: int = 0,
    error: Refused | None = None,
) -> ResponseReturnValue:
    """`asked`: a retention that waits for a yes, and how many rows would be `going`."""
    key = settings().data / KEY_FILE
    made = datetime.fromtimestamp(key.stat().st_mtime, UTC)
    return page(
        "general/show.html", status=error.status if error else 200, config=settings(), key_id=vault.key_id,
        key_made=made, verification=verification, asked=asked, going=going, error=error,
        retention=retention.current(), problem=retention.problem(), segments=retention.newest_segments(),
        fewest_days=retention.FEWEST_DAYS, copies=daily_backups.kept(),
        copies_in=daily_backups.folder(),
        copies_problem=daily_backups.problem(), key_file=key, key_hindrance=keys.hindrance(),
    )  # fmt: skip
