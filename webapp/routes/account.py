"""One's own account: name, password, where one is signed in."""

from __future__ import annotations

from flask import Blueprint, flash, make_response, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput
from webapp.routes.confirming import recently
from webapp.routes.guards import (
    allow,
    current_actor,
    current_session,
    current_user,
    login_limit,
    settings,
)
from webapp.routes.looks import browser_zone, keep_theme
from webapp.routes.replies import leave_for, local, page
from webapp.routes.sign_on import begin, send_off
from webapp.services import accounts, authenticator, looks, providers, sessions, times
from webapp.store.models import LinkedAccount

bp = Blueprint("account", __name__, url_prefix="/account")


@bp.get("")
@allow("viewer")
def show() -> ResponseReturnValue:
    return _page()


@bp.post("/name")
@allow("viewer")
def rename() -> ResponseReturnValue:
    accounts.rename(current_user(), request.form.get("name", ""), current_actor())
    flash("Your name is saved.")
    return leave_for(url_for(".show"))


@bp.post("/zone")
@allow("viewer")
def choose_zone() -> ResponseReturnValue:
    looks.set_zone(current_user(), request.form.get("zone", ""))
    flash("Your time zone is saved.")
    return leave_for(url_for(".show"))


@bp.post("/theme")
@allow("viewer")
def choose_theme() -> ResponseReturnValue:
    theme = request.form.get("theme", "")
    looks.set_theme(current_user(), theme)
    response = make_response(leave_for(local(request.form.get("back", "")) or url_for(".show")))
    keep_theme(response, theme)
    return response


@bp.post("/password")
@allow("viewer")
def change_password() -> ResponseReturnValue:
    form = request.form
    try:
        accounts.change_password(
            current_user(), form.get("old", ""), form.get("password", ""), current_actor(), login_limit()
        )
    except InvalidInput as error:
        return _page(status=error.status, error=error)
    flash("Your password is changed. Sign in with the new one.")
    return leave_for(url_for("login.show"))


@bp.post("/link/<key>")
@allow("viewer")
@recently
def link(key: str) -> ResponseReturnValue:
    """A page with a link to the provider: a form may not lead to another site, and only this form begins it."""
    address, browser = begin(key, "link", url_for(".show"))
    response = make_response(page("account/link.html", provider=providers.find(key), address=address))
    send_off(response, browser)
    return response


@bp.post("/sessions/<int:session_id>/end")
@allow("viewer")
def end_session(session_id: int) -> ResponseReturnValue:
    sessions.end(sessions.own(session_id, current_user()), current_actor())
    flash("That session is signed out.")
    return leave_for(url_for(".show"))


def _page(*, status: int = 200, error: InvalidInput | None = None) -> ResponseReturnValue:
    limits, linked = settings(), LinkedAccount.of(current_user())
    alive = sessions.live(current_user(), idle_hours=limits.session_idle_hours, days=limits.session_days)
    return page(
        "account/show.html", status=status, error=error, sessions=alive, this=current_session(),
        link=linked, provider_name=providers.name_of(linked.issuer) if linked else "", providers=providers.offered(),
        zones=times.zones(), browser_zone=browser_zone(),
        second_step_on=authenticator.is_on(current_user()), codes_left=authenticator.codes_left(current_user()),
    )  # fmt: skip
