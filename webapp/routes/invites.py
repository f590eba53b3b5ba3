"""Taking up an invitation: the link, a password, and in."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, flash, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput
from webapp.routes.guards import (
    ANYONE,
    allow,
    came_by,
    current_actor,
    current_session,
    drop_cookie,
    login_limit,
    passing_cookie,
    set_cookie,
    set_passing_cookie,
    settings,
)
from webapp.routes.replies import page
from webapp.services import invites, sessions

bp = Blueprint("invites", __name__, url_prefix="/invite")
COOKIE = "invite"
LONGEST = 64  # a token is shorter; a header that is too long would be refused on the way
THINKING = timedelta(hours=1)  # about a password; the link can be opened again


def only_admins() -> bool:
    """Whether nobody else signs in with a password."""
    return settings().password_sign_in == "admins"


def link(token: str) -> str:
    """For the mail, and to be copied."""
    return (settings().public_url or came_by()) + url_for("invites.open_link", token=token)


@bp.get("/<token>")
@allow(ANYONE)
def open_link(token: str) -> ResponseReturnValue:
    """Into a cookie at once: no page stands at an address with the token, and programs that look at links in mails use
    nothing up."""
    response = make_response(redirect(url_for(".show"), 303))
    set_passing_cookie(response, COOKIE, token[:LONGEST], THINKING)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@bp.get("")
@allow(ANYONE)
def show() -> ResponseReturnValue:
    return _page()


@bp.post("")
@allow(ANYONE)
def accept() -> ResponseReturnValue:
    form = request.form
    try:
        signed_in = invites.accept(
            passing_cookie(COOKIE), form.get("name", ""), form.get("password", ""), request.remote_addr or "",
            request.headers.get("User-Agent", ""), login_limit(),
            only_admins=only_admins(),
        )  # fmt: skip
    except InvalidInput as error:
        return _page(error)
    if session := current_session():
        sessions.end(session, current_actor())
    flash("Welcome. Your account is made, and you are signed in.")
    response = make_response(redirect(url_for("home.index"), 303))
    set_cookie(response, signed_in)
    drop_cookie(response, COOKIE)
    return response


def _page(error: InvalidInput | None = None) -> ResponseReturnValue:
    invited = invites.seek(
        passing_cookie(COOKIE), request.remote_addr or "", login_limit(), only_admins=only_admins()
    )
    return page("invites/show.html", status=error.status if error else 200, error=error, invited=invited,
                typed=request.form)  # fmt: skip
