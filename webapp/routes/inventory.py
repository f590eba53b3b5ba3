"""Servers and policies as a file: taking it out, and bringing one in after a look at what it would do."""

from __future__ import annotations

from flask import Blueprint, Response, flash, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput, Stale
from webapp.routes.confirming import recently
from webapp.routes.guards import allow, current_actor
from webapp.routes.replies import leave_for, page
from webapp.services import inventory, moving

bp = Blueprint("inventory", __name__, url_prefix="/settings/general/inventory")


@bp.get("")
@allow("admin")
def show() -> ResponseReturnValue:
    return page("inventory/show.html")


@bp.post("/file")
@allow("admin")
def download() -> ResponseReturnValue:
    """A POST, because it is written down."""
    headers = {"Content-Disposition": 'attachment; filename="gatehouse.yaml"'}
    return Response(inventory.write_down(current_actor()), mimetype="application/yaml", headers=headers)


@bp.post("/preview")
@allow("admin")
def preview() -> ResponseReturnValue:
    """The answer carries the file: nothing is kept until it is brought in."""
    try:
        text = _uploaded()
        plan = moving.draw(inventory.read(text))
    except InvalidInput as error:
        return page("inventory/show.html", status=error.status, error=error)
    return page("inventory/preview.html", plan=plan, text=text)


@bp.post("")
@allow("admin")
@recently
def bring_in() -> ResponseReturnValue:
    text, seen = request.form.get("text", ""), request.form.get("seen") or "nothing"
    try:
        plan = moving.move_in(inventory.read(text), current_actor(), seen=seen)
    except Stale as error:
        now = moving.draw(inventory.read(text))
        return page("inventory/preview.html", status=error.status, error=error, plan=now, text=text)
    except InvalidInput as error:
        return page("inventory/show.html", status=error.status, error=error)
    flash(f"{plan.size} {'change was' if plan.size == 1 else 'changes were'} made.")
    return leave_for(url_for("integrations.index"))


def _uploaded() -> str:
    file = request.files.get("file")
    content = file.read() if file else b""
    if not content:
        raise InvalidInput("No file was chosen.", field="file", next_step="Choose a file of an export.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("This file is not text.", field="file") from error
