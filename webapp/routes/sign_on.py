"""Signing in at a provider: off to its page, the way back, and why not."""

from __future__ import annotations

from flask import Blueprint, Response, flash, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import Forbidden, NotFound
from webapp.routes.guards import (
    ANYONE,
    allow,
    came_by,
    current_session,
    login_limit,
    passing_cookie,
    set_passing_cookie,
)
from webapp.routes.login import inside
from webapp.routes.oauth import clean, single
from webapp.routes.replies import local, page
from webapp.services import first_admin, sign_on
from webapp.services.sign_on import ENDINGS, Arrival, NotThisOne, Purpose

AWAY = "away"  # the cookie of a browser on its way to a provider
bp = Blueprint("sign_on", __name__, url_prefix="/login")


@bp.get("/<key>")
@allow(ANYONE)
def go(key: str) -> ResponseReturnValue:
    """By a link: browsers let no form lead to another site here. Not as a picture in somebody else's page, which would
    use up the tries of everybody in the network."""
    if request.headers.get("Sec-Fetch-Dest", "document") != "document":
        raise Forbidden(
            "A sign-in begins on a page of its own.", next_step="Open Gatehouse and sign in there."
        )
    if not first_admin.is_set_up():
        return redirect(url_for("setup.show"), 303)
    target = local(request.args.get("next", ""))
    if current_session():
        return redirect(target or url_for("home.index"), 303)
    return go_to(key, "sign_in", target)


@bp.get("/<key>/callback")
@allow(ANYONE)
def callback(key: str) -> ResponseReturnValue:
    """Whatever happens, the answer leads to an address without the code."""
    answer = [(name, value) for name, values in request.args.lists() for value in values]
    try:
        arrival = sign_on.come_back(key, single(answer), _visitor())
    except NotThisOne as stranger:
        return clean(url_for(".refused", key=key, which=stranger.reason))
    if arrival.row.ended == "refused":
        return clean(url_for(".refused", key=key, which=arrival.row.id))
    return _arrived(arrival)


@bp.after_request
def leave_no_code(response: Response) -> Response:
    """A page about a fault of ours would stand at the address with the code."""
    if request.endpoint == "sign_on.callback" and response.status_code >= 500:
        return clean(url_for(".refused", key=(request.view_args or {})["key"], which="failed"))
    return response


@bp.get("/<key>/refused/<which>")
@allow(ANYONE)
def refused(key: str, which: str) -> ResponseReturnValue:
    """`which`: a word, or the id of a sign-on of this browser."""
    if which in ENDINGS:
        return _refused(vars(NotThisOne(which)))
    row = sign_on.find(which, _visitor())
    if row.provider != key:
        raise NotFound("There is no such sign-in in this browser.")
    return _refused(row.problem, row.purpose, row.goes_to)


def _refused(problem: dict[str, str], purpose: str = "sign_in", goes_to: str = "") -> ResponseReturnValue:
    return page("sign_on/refused.html", status=403, problem=problem, purpose=purpose, goes_to=goes_to)


def go_to(key: str, purpose: Purpose, goes_to: str) -> ResponseReturnValue:
    address, browser = begin(key, purpose, goes_to)
    response = make_response(redirect(address, 303))
    send_off(response, browser)
    return response


def send_off(response: Response, browser: str) -> None:
    """It comes back with this cookie."""
    set_passing_cookie(response, AWAY, browser, sign_on.KEPT_FOR)


def begin(key: str, purpose: Purpose, goes_to: str) -> tuple[str, str]:
    """The address of the provider's page, and the cookie that the browser comes back with."""
    visitor = _visitor(passing_cookie(AWAY) or sign_on.new_browser())
    address = sign_on.begin(key, visitor, came_by(), login_limit(), purpose=purpose, goes_to=goes_to)
    return address, visitor.browser


def _visitor(browser: str = "") -> sign_on.Visitor:
    return sign_on.Visitor(
        browser or passing_cookie(AWAY), request.remote_addr or "", request.headers.get("User-Agent", ""),
        current_session(),
    )  # fmt: skip


def _arrived(arrival: Arrival) -> Response:
    if arrival.row.purpose == "link":
        flash("Your account is linked: that is how you sign in from now on.")
    if arrival.signed_in:
        response = inside(arrival.row.goes_to, arrival.signed_in)
    else:
        response = make_response(redirect(arrival.row.goes_to or url_for("home.index"), 303))
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
