"""Signing in and out."""

from __future__ import annotations

from flask import Blueprint, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.routes.guards import (
    allow,
    current_actor,
    current_session,
    drop_cookie,
    login_limit,
    set_cookie,
)
from webapp.routes.replies import leave_for, local, page
from webapp.services import accounts

bp = Blueprint("login", __name__)


@bp.get("/login")
@allow("anyone")
def show() -> ResponseReturnValue:
    if not accounts.is_set_up():
        return redirect(url_for("setup.show"), 303)
    if current_session():
        return redirect(url_for("home.index"), 303)
    return page("login/show.html", next=local(request.args.get("next", "")), email="")


@bp.post("/login")
@allow("anyone")
def create() -> ResponseReturnValue:
    form = request.form
    target = local(form.get("next", ""))
    try:
        token = accounts.sign_in(
            form.get("email", ""), form.get("password", ""), request.remote_addr or "",
            request.headers.get("User-Agent", ""), login_limit(),
        )  # fmt: skip
    except accounts.WrongCredentials as error:
        return page(
            "login/show.html", status=error.status, error=error, next=target, email=form.get("email", "")
        )
    response = make_response(redirect(target or url_for("home.index"), 303))
    set_cookie(response, token)
    return response


@bp.post("/logout")
@allow("viewer")
def end() -> ResponseReturnValue:
    if session := current_session():
        accounts.end_session(session, current_actor())
    response = make_response(leave_for(url_for(".show")))
    drop_cookie(response)
    return response
