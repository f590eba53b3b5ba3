"""“Is it still you?”: before what would give much away, somebody who signed in long ago shows who they are again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta

from flask import Blueprint, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.routes.guards import (
    SAFE_METHODS,
    allow,
    current_actor,
    current_session,
    current_user,
    login_limit,
    settings,
)
from webapp.routes.replies import came_from, is_htmx, leave_for, local, page
from webapp.routes.sign_on import go_to
from webapp.services import authenticator, login, providers
from webapp.store.fields import now
from webapp.store.models import LinkedAccount

bp = Blueprint("confirming", __name__, url_prefix="/confirm")
PROOF = "confirm-proof"
NOT_CARRIED = {PROOF, "csrf_token"}
# Fields that no hidden field of a page may repeat; a webhook's address is one.
SECRET = {"password", "old", "url"}


def recently(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """A form that comes too late is answered by a page that asks and posts the same form again, to the same view.

    Under `allow`, so that it runs behind the check of the role and of the form's token.
    """

    @functools.wraps(view)
    def asked_first(*args: object, **kwargs: object) -> ResponseReturnValue:
        return view(*args, **kwargs) if _is_recent() else _ask(lambda: view(*args, **kwargs))

    return asked_first


@bp.get("")
@allow("viewer")
def show() -> ResponseReturnValue:
    return _page(url_for("confirming.confirm"), [("next", _next())])


@bp.post("")
@allow("viewer")
def confirm() -> ResponseReturnValue:
    return _checked(url_for("confirming.confirm"), [("next", _next())], lambda: redirect(_next() or "/", 303))


@bp.get("/<key>")
@allow("viewer")
def again(key: str) -> ResponseReturnValue:
    """To the provider, which is to ask them anew. Nothing comes of it for anybody but the one who is signed in."""
    return go_to(key, "confirm", _next())


def _is_recent() -> bool:
    session = current_session()
    return session is not None and session.shown_at > now() - timedelta(minutes=settings().recent_minutes)


def _ask(go_on: Callable[[], ResponseReturnValue]) -> ResponseReturnValue:
    """Passwords are typed again rather than written into a page: those forms lead to a page of its own and back. So
    does every form of somebody who shows at a provider who they are."""
    if request.method in SAFE_METHODS:
        return redirect(url_for("confirming.show", next=request.full_path.rstrip("?")), 303)
    if request.files or SECRET & set(request.form) or not _proof():
        return leave_for(url_for("confirming.show", next=came_from() or None))
    carried = [pair for pair in request.form.items(multi=True) if pair[0] not in NOT_CARRIED]
    if PROOF in request.form:
        return _checked(request.full_path.rstrip("?"), carried, go_on)
    return _page(request.full_path.rstrip("?"), carried)


def _checked(
    action: str, carried: list[tuple[str, str]], go_on: Callable[[], ResponseReturnValue]
) -> ResponseReturnValue:
    session = current_session()
    assert session is not None  # `allow` has seen to it
    try:
        login.confirm(session, request.form.get(PROOF, ""), current_actor(), login_limit())
    except login.WrongCredentials as error:
        return _page(action, carried, error)
    return go_on()


def _proof() -> str:
    """What they could type here, in words; empty for nothing."""
    user = current_user()
    ways = [] if LinkedAccount.of(user) else ["your password"]
    if authenticator.is_on(user):
        ways.append("a code from your app")
    return ", or ".join(ways).capitalize()


def _next() -> str:
    return local(request.values.get("next", ""))


def _page(
    action: str, carried: list[tuple[str, str]], error: login.WrongCredentials | None = None
) -> ResponseReturnValue:
    link, goes_on = LinkedAccount.of(current_user()), action != url_for("confirming.confirm")
    response = make_response(
        page("confirming/show.html", status=422 if error else 200, error=error, action=action, carried=carried,
             minutes=settings().recent_minutes, goes_on=goes_on, proof=_proof(), link=link, next=_next(),
             provider=providers.of_issuer(link.issuer) if link and not goes_on else None)
    )  # fmt: skip
    if is_htmx():  # the page's own form posts as a whole page again
        response.headers.update({"HX-Retarget": "#main", "HX-Reselect": "#main", "HX-Reswap": "outerHTML"})
    return response
