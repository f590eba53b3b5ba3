"""Signing in and out."""

from __future__ import annotations

from flask import Blueprint, Response, flash, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.routes.guards import (
    allow,
    current_actor,
    current_session,
    drop_cookie,
    login_limit,
    passing_cookie,
    set_cookie,
    set_passing_cookie,
)
from webapp.routes.replies import leave_for, local, page
from webapp.services import accounts, half_sessions

bp = Blueprint("login", __name__)
HALF = "half"  # the cookie between the password and the second step


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
        signed_in = accounts.sign_in(
            form.get("email", ""), form.get("password", ""), request.remote_addr or "",
            request.headers.get("User-Agent", ""), login_limit(),
        )  # fmt: skip
    except accounts.WrongCredentials as error:
        return page(
            "login/show.html", status=error.status, error=error, next=target, email=form.get("email", "")
        )
    if signed_in.half:
        response = make_response(redirect(url_for(".ask_code", next=target or None), 303))
        set_passing_cookie(response, HALF, signed_in.token, half_sessions.LIVES)
        return response
    return _inside(target, signed_in.token)


@bp.get("/login/second-step")
@allow("anyone")
def ask_code() -> ResponseReturnValue:
    """For whoever has shown their password a moment ago."""
    try:
        half_sessions.user_of(passing_cookie(HALF))
    except half_sessions.HalfOver:
        return redirect(url_for(".show", next=local(request.args.get("next", "")) or None), 303)
    return page("login/second_step.html", next=local(request.args.get("next", "")))


@bp.post("/login/second-step")
@allow("anyone")
def check_code() -> ResponseReturnValue:
    form = request.form
    target = local(form.get("next", ""))
    try:
        token = accounts.finish_sign_in(
            passing_cookie(HALF), form.get("code", ""), request.remote_addr or "",
            request.headers.get("User-Agent", ""), login_limit(),
        )  # fmt: skip
    except accounts.WrongCredentials as error:
        return page("login/second_step.html", status=error.status, error=error, next=target)
    except half_sessions.HalfOver as error:
        flash(f"{error.what} {error.next_step}")
        return redirect(url_for(".show", next=target or None), 303)
    response = _inside(target, token)
    drop_cookie(response, HALF)
    return response


def _inside(target: str, token: str) -> Response:
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
