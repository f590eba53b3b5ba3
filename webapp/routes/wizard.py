"""Adding a server, a page per step: Address → Check → Sign in → Tools → Done."""

from __future__ import annotations

from typing import get_args

from flask import Blueprint, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput, NotFound, Stale, UpstreamError
from webapp.routes import oauth, steps
from webapp.routes.confirming import recently
from webapp.routes.guards import allow, came_by, current_actor
from webapp.routes.replies import is_htmx, leave_for
from webapp.services import (
    addresses,
    checks,
    connections,
    dialects,
    headers,
    identity,
    integrations,
    registrations,
    sign_ins,
    sync,
)  # fmt: skip
from webapp.store.models import Integration

bp = Blueprint("wizard", __name__, url_prefix="/settings/integrations")

MOST_HEADER_ROWS = 10


# --- step 1


@bp.get("/new")
@allow("admin")
def new() -> ResponseReturnValue:
    return steps.show_page("address", None)


@bp.post("/new")
@allow("admin")
def create() -> ResponseReturnValue:
    url, name = request.form.get("url", ""), request.form.get("name", "").strip()
    try:
        draft = integrations.add_server(url, current_actor(), name=name or None)
    except InvalidInput as error:
        return steps.again("address", None, error, url=url, name=name)
    return _to_check(draft, addresses.typed(url).notes)


@bp.post("/<name>/setup/address")
@allow("admin")
def change_address(name: str) -> ResponseReturnValue:
    draft = integrations.find_server(name)
    url, wanted_name = request.form.get("url", ""), request.form.get("name", "")
    try:
        draft = integrations.change_draft(draft, url, wanted_name, current_actor())
    except InvalidInput as error:
        return steps.again("address", draft, error, url=url, name=wanted_name)
    return _to_check(draft, addresses.typed(url).notes)


# --- every step


@bp.get("/<name>/setup")
@allow("admin")
def resume(name: str) -> ResponseReturnValue:
    integration = integrations.find_server(name)
    return leave_for(url_for(".show", name=name, step=integrations.next_step(integration)))


@bp.get("/<name>/setup/<step>")
@allow("admin")
def show(name: str, step: str) -> ResponseReturnValue:
    integration = integrations.find_server(name)
    if step not in steps.STEPS:
        raise NotFound("There is no such step.", next_step="Go back to Settings → Integrations.")
    if step in ("tools", "done") and integration.state == "draft":
        return leave_for(url_for(".resume", name=name))
    return steps.show_page(step, integration)


# --- step 2


@bp.post("/<name>/setup/check")
@allow("admin")
def check(name: str) -> ResponseReturnValue:
    return _to_check(integrations.find_server(name))


@bp.get("/<name>/setup/check/findings")
@allow("admin", polled=True)
def findings(name: str) -> ResponseReturnValue:
    integration = integrations.find_server(name)
    return render_template("wizard/_findings.html", **steps.context("check", integration))


@bp.post("/<name>/setup/check/cancel")
@allow("admin")
def cancel(name: str) -> ResponseReturnValue:
    integration = integrations.find_server(name)
    checks.cancel(integration, current_actor())
    return steps.moved("check", integration)


@bp.post("/<name>/setup/check/allow")
@allow("admin")
@recently
def allow_private(name: str) -> ResponseReturnValue:
    """Exactly what the check offered, and only if that is what the admin saw."""
    integration = integrations.find_server(name)
    verdict = checks.progress(integration).verdict
    offer = verdict.offer if verdict else None
    if offer is None or request.form.get("place", "") != f"{offer.host}:{offer.port} {offer.network}":
        raise Stale("The check has another result by now.", next_step="Load the page and look at it again.")
    return _to_check(integrations.allow_private(integration, offer, current_actor()))


@bp.post("/<name>/setup/check/use")
@allow("admin")
def use_suggestion(name: str) -> ResponseReturnValue:
    """The address that a finding suggested, instead of the typed one."""
    draft, url = integrations.find_server(name), request.form.get("url", "")
    suggested = {finding.suggestion for finding in checks.progress(draft).findings if finding.suggestion}
    if url not in suggested:
        raise Stale("The check has another result by now.", next_step="Load the page and look at it again.")
    return _to_check(integrations.change_draft(draft, url, draft.name, current_actor()))


# --- step 3


@bp.post("/<name>/setup/sign-in")
@allow("admin")
def sign_in(name: str) -> ResponseReturnValue:
    integration, kind = integrations.find_server(name), request.form.get("kind", "bearer")
    typed = _typed_headers() if kind == "header" else []
    if "more" in request.form:
        return steps.again("sign-in", integration, None, way=kind, typed=[*typed, ("", "", "")])
    try:
        rows = _rows(kind, typed)
        stored = "header" if kind == "basic" else kind
        fetched = connections.save_headers(integration, stored, rows, current_actor())
    except (InvalidInput, UpstreamError) as error:
        return steps.again("sign-in", integration, error, way=kind, typed=typed)
    was_in_use = integration.finished_at is not None
    integration = integrations.find_server(name)
    sync.adopt(integration, fetched, current_actor())
    if was_in_use:
        return leave_for(url_for("integrations.show", name=name))
    return steps.moved("tools", integrations.find_server(name))


@bp.post("/<name>/setup/sign-in/oauth")
@allow("admin")
def begin_sign_in(name: str) -> ResponseReturnValue:
    """On to the page before the jump; or to the client id that only an admin can fetch."""
    wish = request.form.get("wish", "keep")
    if wish not in get_args(sign_ins.Wish):
        raise InvalidInput("There is no such way to sign in.", field="wish")
    try:
        return oauth.begin(name, wish=wish)  # type: ignore[arg-type]
    except (InvalidInput, UpstreamError) as error:
        way = "client" if getattr(error, "field", "") == "client_id" else "oauth"
        return steps.again("sign-in", integrations.find_server(name), error, way=way)


@bp.post("/<name>/setup/sign-in/client")
@allow("admin")
def enter_client(name: str) -> ResponseReturnValue:
    integration, form = integrations.find_server(name), request.form
    issuer, client_id = form.get("issuer", ""), form.get("client_id", "")
    try:
        steps.check_issuer(integration, issuer)
        way_back = identity.standing_of(came_by()).way_back
        registrations.enter(
            integration, issuer, client_id, form.get("client_secret", ""), way_back, current_actor()
        )
        return oauth.begin(name)
    except (InvalidInput, UpstreamError) as error:
        return steps.again("sign-in", integration, error, way="client", client_id=client_id)


@bp.post("/<name>/setup/sign-in/dialect")
@allow("admin")
def change_dialect(name: str) -> ResponseReturnValue:
    integration, form = integrations.find_server(name), request.form
    try:
        dialects.change(
            integration, current_actor(), extra_scope=form.get("extra_scope", ""),
            send_resource=form.get("resource") != "none",
            other_resource=_other_resource(),
            pkce_unannounced="pkce_unannounced" in form,
            old_endpoints="old_endpoints" in form, introduce=form.get("introduce", "auto"),
        )  # fmt: skip
    except InvalidInput as error:
        return steps.again("sign-in", integration, error, way="oauth")
    return steps.again("sign-in", integrations.find_server(name), None, way="oauth", said="Saved.")


def _other_resource() -> str:
    if request.form.get("resource") != "other":
        return ""
    if not (typed := request.form.get("other_resource", "").strip()):
        raise InvalidInput("The other name of the server is missing.", field="other_resource")
    return typed


def _rows(kind: str, typed: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    form = request.form
    if kind == "none":
        return []
    if kind == "header":
        return [entry for entry in typed if any(entry)]
    if kind == "basic":
        if not form.get("user") or not form.get("password"):
            raise InvalidInput("Both the user name and the password are needed.", field="secret")
        return [headers.basic(form["user"], form["password"])]
    if not form.get("token", "").strip():
        raise InvalidInput(
            "The token is missing.", field="secret", next_step="Paste the token that the vendor gave you."
        )
    return [headers.bearer(form["token"])]


def _typed_headers() -> list[tuple[str, str, str]]:
    form = request.form
    columns = (form.getlist("name"), form.getlist("template"), form.getlist("secret"))
    return list(zip(*columns, strict=False))[:MOST_HEADER_ROWS]


# --- step 4


@bp.post("/<name>/setup/tools")
@allow("admin")
def finish(name: str) -> ResponseReturnValue:
    return steps.moved("done", integrations.finish(integrations.find_server(name), current_actor()))


def _to_check(integration: Integration, notes: tuple[str, ...] = ()) -> ResponseReturnValue:
    checks.start(integration, current_actor(), came_by=came_by())
    if not is_htmx():
        for note in notes:
            flash(note)
    return steps.moved("check", integration, notes=notes)
