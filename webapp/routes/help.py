"""Help: what the words mean, who may do what, how to decide, where to look. Linked at the same place of every page."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from webapp.routes.guards import allow
from webapp.routes.replies import page

bp = Blueprint("help", __name__)


@bp.get("/help")
@allow("viewer")
def show() -> ResponseReturnValue:
    return page("help/show.html")
