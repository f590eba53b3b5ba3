"""Settings → People: who may sign in, and as what."""

from __future__ import annotations

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput, Refused
from webapp.routes.confirming import recently
from webapp.routes.guards import allow, came_by, current_actor
from webapp.routes.invites import link, only_admins
from webapp.routes.replies import leave_for, page
from webapp.services import (
    accounts,
    authenticator,
    invites,
    leaving,
    linked_accounts,
    providers,
    second_step,
    sessions,
    sign_on,
)
from webapp.services.roles import ROLES
from webapp.store.models import LinkedAccount, User

bp = Blueprint("people", __name__, url_prefix="/settings/people")


@bp.get("")
@allow("admin")
@recently
def index() -> ResponseReturnValue:
    return _page()


@bp.get("/new")
@allow("admin")
@recently
def new() -> ResponseReturnValue:
    return _form()


@bp.post("")
@allow("admin")
@recently
def create() -> ResponseReturnValue:
    form = request.form
    try:
        user = accounts.create_user(
            form.get("email", ""),
            form.get("name", ""),
            form.get("password", ""),
            form.get("role", ""),
            current_actor(),
        )
    except InvalidInput as error:
        return _form(error)
    flash(f"{user.email} can sign in now. Tell them the password in person.")
    return leave_for(url_for(".index"))


@bp.post("/invites")
@allow("admin")
@recently
def invite() -> ResponseReturnValue:
    """Answers with the one page that ever shows the link."""
    form, actor = request.form, current_actor()
    try:
        invited, token = invites.invite(
            form.get("email", ""), form.get("role", ""), actor, only_admins=only_admins()
        )
    except InvalidInput as error:
        return _page(status=error.status, error=error)
    address, problem, mailed = link(token), "", False
    try:
        mailed = invites.mail(invited, address)
    except Refused as refusal:
        problem = refusal.what
    return page("people/invited.html", invited=invited, link=address, mailed=mailed, problem=problem)


@bp.post("/invites/<int:invite_id>/withdraw")
@allow("admin")
@recently
def withdraw(invite_id: int) -> ResponseReturnValue:
    gone = invites.withdraw(invite_id, current_actor())
    flash(f"The link of {gone.email} no longer works.")
    return leave_for(url_for(".index"))


@bp.get("/<int:user_id>")
@allow("admin")
@recently
def show(user_id: int) -> ResponseReturnValue:
    return _show(accounts.get_user(user_id))


@bp.post("/<int:user_id>/role")
@allow("admin")
@recently
def set_role(user_id: int) -> ResponseReturnValue:
    accounts.set_role(accounts.get_user(user_id), request.form.get("role", ""), current_actor())
    flash("The role is changed. They are signed out and can sign in again.")
    return leave_for(url_for(".show", user_id=user_id))


@bp.post("/<int:user_id>/state")
@allow("admin")
@recently
def set_state(user_id: int) -> ResponseReturnValue:
    state = request.form.get("state", "")
    if state not in ("active", "disabled"):
        raise InvalidInput("Choose to enable or to disable.", field="state")
    disabled = state == "disabled"
    accounts.set_disabled(accounts.get_user(user_id), disabled, current_actor())
    flash("Disabled and signed out." if disabled else "Enabled: they can sign in again.")
    return leave_for(url_for(".show", user_id=user_id))


@bp.post("/<int:user_id>/password")
@allow("admin")
@recently
def reset_password(user_id: int) -> ResponseReturnValue:
    person = accounts.get_user(user_id)
    try:
        accounts.reset_password(person, request.form.get("password", ""), current_actor())
    except InvalidInput as error:
        return _show(person, error)
    flash("The password is set. They are signed out everywhere.")
    return leave_for(url_for(".show", user_id=user_id))


@bp.post("/<int:user_id>/link")
@allow("admin")
@recently
def link_to_provider(user_id: int) -> ResponseReturnValue:
    person, form = accounts.get_user(user_id), request.form
    provider = providers.find(form.get("provider", ""))
    try:
        linked_accounts.link_by_admin(person, provider, form.get("subject", ""), current_actor())
    except InvalidInput as error:
        return _show(person, error)
    flash(f"They sign in with {provider.name} from now on, and were signed out.")
    return leave_for(url_for(".show", user_id=user_id))


@bp.post("/<int:user_id>/sessions/end")
@allow("admin")
@recently
def end_sessions(user_id: int) -> ResponseReturnValue:
    sessions.end_all(accounts.get_user(user_id), current_actor())
    flash("They are signed out everywhere.")
    return leave_for(url_for(".show", user_id=user_id))


@bp.post("/second-step")
@allow("admin")
@recently
def require_second_step() -> ResponseReturnValue:
    second_step.require(request.form.getlist("role"), current_actor())
    flash("Saved. Who needs a second step and has none sets it up before anything else.")
    return leave_for(url_for(".index"))


@bp.post("/<int:user_id>/second-step/reset")
@allow("admin")
@recently
def reset_second_step(user_id: int) -> ResponseReturnValue:
    second_step.reset(accounts.get_user(user_id), current_actor())
    flash("Their second step is gone and they are signed out. They sign in with the password alone.")
    return leave_for(url_for(".show", user_id=user_id))


def _show(person: User, error: InvalidInput | None = None) -> ResponseReturnValue:
    linked = LinkedAccount.of(person)
    return page(
        "people/show.html", status=error.status if error else 200, error=error, person=person,
        roles=ROLES, second_step_on=authenticator.is_on(person),
        uses=leaving.uses_of(person), link=linked,
        provider_name=providers.name_of(linked.issuer) if linked else "", providers=providers.offered(),
    )  # fmt: skip


def _form(error: InvalidInput | None = None) -> ResponseReturnValue:
    return page(
        "people/new.html", status=error.status if error else 200, error=error, roles=ROLES,
        typed=request.form,
    )  # fmt: skip


def _page(*, status: int = 200, error: InvalidInput | None = None) -> ResponseReturnValue:
    people = User.select().order_by(User.disabled_at.is_null(False), User.email)
    return page(
        "people/index.html",
        status=status,
        error=error,
        people=people,
        roles=ROLES,
        owners=second_step.owners(),
        required=second_step.required_roles(),
        signs_in=linked_accounts.where_from(),
        providers=providers.offered(),
        ways_back={one.key: sign_on.way_back(one.key, came_by()) for one in providers.offered()},
        typed=request.form,
        invites=invites.listed(),
    )
