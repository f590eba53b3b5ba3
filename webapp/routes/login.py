"""Signing in and out."""

from __future__ import annotations

from flask import Blueprint, Response, flash, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import Forbidden, Refused
from webapp.routes.guards import (
    KNOWN_BROWSER,
    allow,
    current_actor,
    current_session,
    drop_cookie,
    login_limit,
    passing_cookie,
    set_cookie,
    set_passing_cookie,
    settings,
)
from webapp.routes.replies import leave_for, local, page
from webapp.services import first_admin, half_sessions, login, providers, sessions
from webapp.services.login import SignedIn
from webapp.store.models import LinkedAccount, User

bp = Blueprint("login", __name__)
HALF = "half"  # the cookie between the password and the second step


@bp.get("/login")
@allow("anyone")
def show() -> ResponseReturnValue:
    if not first_admin.is_set_up():
        return redirect(url_for("setup.show"), 303)
    if current_session():
        return redirect(url_for("home.index"), 303)
    return _page(local(request.args.get("next", "")))


@bp.post("/login")
@allow("anyone")
def create() -> ResponseReturnValue:
    form = request.form
    target = local(form.get("next", ""))
    try:
        signed_in = login.sign_in(
            form.get("email", ""), form.get("password", ""), request.remote_addr or "",
            request.headers.get("User-Agent", ""), login_limit(), known=passing_cookie(KNOWN_BROWSER),
            only_admins=settings().password_sign_in == "admins",
        )  # fmt: skip
    except (login.WrongCredentials, Forbidden) as error:
        return _page(target, form.get("email", ""), error)
    return inside(target, signed_in)


def inside(target: str, signed_in: SignedIn) -> Response:
    """Where they wanted to go, or to the second step."""
    if signed_in.half:
        response = make_response(redirect(url_for("login.ask_code", next=target or None), 303))
        set_passing_cookie(response, HALF, signed_in.token, half_sessions.LIVES)
        return response
    response = make_response(redirect(target or url_for("home.index"), 303))
    set_cookie(response, signed_in)
    return response


def _page(target: str, email: str = "", error: Refused | None = None) -> ResponseReturnValue:
    return page(
        "login/show.html", status=error.status if error else 200, error=error, next=target, email=email,
        providers=providers.offered(), only_admins=settings().password_sign_in == "admins",
    )  # fmt: skip


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
        signed_in = login.finish_sign_in(
            passing_cookie(HALF), form.get("code", ""), request.remote_addr or "",
            request.headers.get("User-Agent", ""), login_limit(),
        )  # fmt: skip
    except login.WrongCredentials as error:
        return page("login/second_step.html", status=error.status, error=error, next=target)
    except half_sessions.HalfOver as error:
        flash(f"{error.what} {error.next_step}")
        return redirect(url_for(".show", next=target or None), 303)
    response = inside(target, signed_in)
    drop_cookie(response, HALF)
    return response


@bp.post("/logout")
@allow("viewer")
def end() -> ResponseReturnValue:
    if session := current_session():
        sessions.end(session, current_actor())
        _say_what_goes_on(session.user)
    response = make_response(leave_for(url_for(".show")))
    drop_cookie(response)
    return response


def _say_what_goes_on(user: User) -> None:
    """Signing out is ours alone: whoever comes by next could go on at the provider."""
    if link := LinkedAccount.of(user):
        flash(f"You are signed out here. At {providers.name_of(link.issuer)} you may still be signed in.")
