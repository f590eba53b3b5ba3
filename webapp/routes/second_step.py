"""One's own second step: an app that makes codes, and recovery codes."""

from __future__ import annotations

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput
from webapp.routes.confirming import recently
from webapp.routes.guards import allow, current_actor, current_session, current_user, login_limit
from webapp.routes.replies import leave_for, page
from webapp.services import authenticator, second_step

bp = Blueprint("second_step", __name__, url_prefix="/account/second-step")


@bp.get("")
@allow("viewer")
def show() -> ResponseReturnValue:
    return _page()


@bp.post("")
@allow("viewer")
@recently
def begin() -> ResponseReturnValue:
    """Each time another secret, so that nobody confirms one that somebody else has seen."""
    return page("second_step/offer.html", offer=second_step.begin(current_user()))


@bp.post("/confirm")
@allow("viewer")
def confirm() -> ResponseReturnValue:
    user = current_user()
    try:
        codes = second_step.confirm(
            user, request.form.get("code", ""), current_actor(), login_limit(), here=current_session()
        )
    except InvalidInput as error:
        return page(
            "second_step/offer.html", status=error.status, error=error, offer=second_step.offered(user)
        )
    return page("second_step/codes.html", codes=codes)


@bp.post("/codes")
@allow("viewer")
def renew_codes() -> ResponseReturnValue:
    try:
        codes = second_step.renew_codes(
            current_user(), request.form.get("code", ""), current_actor(), login_limit()
        )
    except InvalidInput as error:
        return _page(error)
    return page("second_step/codes.html", codes=codes)


@bp.post("/off")
@allow("viewer")
def turn_off() -> ResponseReturnValue:
    try:
        second_step.turn_off(
            current_user(),
            request.form.get("code", ""),
            current_actor(),
            login_limit(),
            here=current_session(),
        )
    except InvalidInput as error:
        return _page(error)
    flash("Your second step is off. Elsewhere you are signed out.")
    return leave_for(url_for("account.show"))


def _page(error: InvalidInput | None = None) -> ResponseReturnValue:
    user = current_user()
    return page(
        "second_step/show.html", status=error.status if error else 200, error=error,
        on=authenticator.is_on(user), required=second_step.is_required(user),
        left=authenticator.codes_left(user),
    )  # fmt: skip
