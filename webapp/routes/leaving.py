"""Somebody leaves: a look at what hangs on their login and who gets it, then exactly that."""

from __future__ import annotations

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import Stale
from webapp.routes.confirming import recently
from webapp.routes.guards import allow, current_actor, current_user
from webapp.routes.replies import leave_for, page
from webapp.services import accounts, leaving
from webapp.store.models import User

bp = Blueprint("leaving", __name__, url_prefix="/settings/people/<int:user_id>/leave")


@bp.get("")
@allow("admin")
@recently
def show(user_id: int) -> ResponseReturnValue:
    person = accounts.get_user(user_id)
    return _page(person, _heir(person))


@bp.post("")
@allow("admin")
@recently
def leave(user_id: int) -> ResponseReturnValue:
    person = accounts.get_user(user_id)
    heir = _heir(person)
    try:
        done = leaving.leave(person, heir, request.form.get("seen", ""), current_actor())
    except Stale as error:
        return _page(person, heir, error)
    flash(f"The account of {person.email} is closed. What hung on it is with {done.heir.email} now.")
    return leave_for(url_for("people.show", user_id=user_id))


def _heir(person: User) -> User:
    """Whoever was chosen; at first whoever asks."""
    able = leaving.heirs(person)
    chosen = request.values.get("heir", "")
    if chosen.isascii() and chosen.isdigit() and len(chosen) < 19:
        return accounts.get_user(int(chosen))
    return current_user() if current_user() in able or not able else able[0]


def _page(person: User, heir: User, error: Stale | None = None) -> ResponseReturnValue:
    return page(
        "leaving/show.html", status=error.status if error else 200, error=error,
        plan=leaving.plan(person, heir), heirs=leaving.heirs(person),
    )  # fmt: skip
