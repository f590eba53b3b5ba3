"""First run: the set-up code makes the first admin, then this page is gone for ever."""

from __future__ import annotations

from flask import Blueprint, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput, NotFound
from webapp.routes.guards import allow, login_limit, set_cookie, settings
from webapp.routes.replies import page
from webapp.services import first_admin, login

bp = Blueprint("setup", __name__, url_prefix="/setup")


@bp.get("")
@allow("anyone")
def show() -> ResponseReturnValue:
    if first_admin.is_set_up():
        raise NotFound("Set-up is done already.", next_step="Sign in.")
    return page("setup/show.html", typed={})


@bp.post("")
@allow("anyone")
def create() -> ResponseReturnValue:
    form, ip = request.form, request.remote_addr or ""
    try:
        user = first_admin.make(
            settings().data, form.get("code", ""), form.get("email", ""), form.get("name", ""),
            form.get("password", ""), ip, login_limit(),
        )  # fmt: skip
    except InvalidInput as error:
        return page("setup/show.html", status=error.status, error=error, typed=form)
    response = make_response(redirect(url_for("home.index"), 303))
    set_cookie(response, login.inside(user, ip, request.headers.get("User-Agent", "")))
    return response
