"""Adding a server, a page per step: Address → Check → Sign in → Tools → Done."""

from __future__ import annotations

from typing import Any, get_args

from flask import Blueprint, flash, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput, NotFound, Stale, UpstreamError
from webapp.routes import oauth
from webapp.routes.guards import allow, current_actor, settings
from webapp.routes.replies import fragment, is_htmx, leave_for, page
from webapp.routes.tools import row
from webapp.services import (
    addresses,
    checks,
    connections,
    dialects,
    headers,
    identity,
    integrations,
    policies,
    registrations,
    sign_ins,
    sync,
    tools,
)  # fmt: skip
from webapp.services.tools import Wanted
from webapp.store.models import Connection, Grant, Integration
from webapp.upstream.discovery import origin_of
from webapp.upstream.probe import Verdict

bp = Blueprint("wizard", __name__, url_prefix="/settings/integrations")

STEPS = {"address": "Address", "check": "Check", "sign-in": "Sign in", "tools": "Tools", "done": "Done"}
HEADER_ROWS = 3
MOST_HEADER_ROWS = 10
WAYS = ("oauth", "client", "bearer", "header", "basic")
IN_BROWSER = ("oauth", "oauth_late")


# --- step 1


@bp.get("/new")
@allow("admin")
def new() -> ResponseReturnValue:
    return _page("address", None)


@bp.post("/new")
@allow("admin")
def create() -> ResponseReturnValue:
    url, name = request.form.get("url", ""), request.form.get("name", "").strip()
    try:
        draft = integrations.add_server(url, current_actor(), name=name or None)
    except InvalidInput as error:
        return _again("address", None, error, url=url, name=name)
    return _to_check(draft, addresses.typed(url).notes)


@bp.post("/<name>/setup/address")
@allow("admin")
def change_address(name: str) -> ResponseReturnValue:
    draft = integrations.find_server(name)
    url, wanted_name = request.form.get("url", ""), request.form.get("name", "")
    try:
        draft = integrations.change_draft(draft, url, wanted_name, current_actor())
    except InvalidInput as error:
        return _again("address", draft, error, url=url, name=wanted_name)
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
    if step not in STEPS:
        raise NotFound("There is no such step.", next_step="Go back to Settings → Integrations.")
    if step in ("tools", "done") and integration.state == "draft":
        return leave_for(url_for(".resume", name=name))
    return _page(step, integration)


# --- step 2


@bp.post("/<name>/setup/check")
@allow("admin")
def check(name: str) -> ResponseReturnValue:
    return _to_check(integrations.find_server(name))


@bp.get("/<name>/setup/check/findings")
@allow("admin")
def findings(name: str) -> ResponseReturnValue:
    integration = integrations.find_server(name)
    return render_template("wizard/_findings.html", **_context("check", integration))


@bp.post("/<name>/setup/check/cancel")
@allow("admin")
def cancel(name: str) -> ResponseReturnValue:
    integration = integrations.find_server(name)
    checks.cancel(integration, current_actor())
    return _moved("check", integration)


@bp.post("/<name>/setup/check/allow")
@allow("admin")
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
        return _again("sign-in", integration, None, way=kind, typed=[*typed, ("", "", "")])
    try:
        rows = _rows(kind, typed)
        stored = "header" if kind == "basic" else kind
        fetched = connections.save_headers(integration, stored, rows, current_actor())
    except (InvalidInput, UpstreamError) as error:
        return _again("sign-in", integration, error, way=kind, typed=typed)
    was_in_use = integration.finished_at is not None
    integration = integrations.find_server(name)
    sync.adopt(integration, fetched, current_actor())
    if was_in_use:
        return leave_for(url_for("integrations.show", name=name))
    return _moved("tools", integrations.find_server(name))


@bp.post("/<name>/setup/sign-in/oauth")
@allow("admin")
def begin_sign_in(name: str) -> ResponseReturnValue:
    """On to the page before the jump; or to the client id that only an admin can fetch."""
    wish = request.form.get("wish", "keep")
    if wish not in get_args(sign_ins.Wish):
        raise InvalidInput("There is no such way to sign in.", field="wish")
    try:
        return oauth.begin(name, pasted="pasted" in request.form, wish=wish)  # type: ignore[arg-type]
    except (InvalidInput, UpstreamError) as error:
        way = "client" if getattr(error, "field", "") == "client_id" else "oauth"
        return _again("sign-in", integrations.find_server(name), error, way=way)


@bp.post("/<name>/setup/sign-in/client")
@allow("admin")
def enter_client(name: str) -> ResponseReturnValue:
    integration, form = integrations.find_server(name), request.form
    issuer, client_id = _issuer(integration), form.get("client_id", "")
    try:
        address = identity.return_address(oauth.came_by())
        registrations.enter(
            integration, issuer, client_id, form.get("client_secret", ""), address, current_actor()
        )
        return oauth.begin(name, pasted=bool(identity.standing_of(oauth.came_by()).problem))
    except (InvalidInput, UpstreamError) as error:
        return _again("sign-in", integration, error, way="client", client_id=client_id)


@bp.post("/<name>/setup/sign-in/dialect")
@allow("admin")
def change_dialect(name: str) -> ResponseReturnValue:
    integration, form = integrations.find_server(name), request.form
    try:
        dialects.change(
            integration, current_actor(), extra_scope=form.get("extra_scope", ""),
            send_resource="omit_resource" not in form, pkce_unannounced="pkce_unannounced" in form,
            old_endpoints="old_endpoints" in form, introduce=form.get("introduce", "auto"),
        )  # fmt: skip
    except InvalidInput as error:
        return _again("sign-in", integration, error, way="oauth")
    return _again("sign-in", integrations.find_server(name), None, way="oauth", said="Saved.")


def _issuer(integration: Integration) -> str:
    """Of the sign-in service that the check found, or that we signed in at before."""
    verdict, grant = checks.progress(integration).verdict, Grant.of(integration)
    found = verdict.oauth.get("issuer", "") if verdict else ""
    return str(found or (grant.issuer if grant else "") or origin_of(integration.url))


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
    return _moved("done", integrations.finish(integrations.find_server(name), current_actor()))


# --- answers


def _to_check(integration: Integration, notes: tuple[str, ...] = ()) -> ResponseReturnValue:
    checks.start(integration, current_actor(), came_by=oauth.came_by())
    if not is_htmx():
        for note in notes:
            flash(note)
    return _moved("check", integration, notes=notes)


def _moved(step: str, integration: Integration, **words: Any) -> ResponseReturnValue:
    address = url_for(".show", name=integration.name, step=step)
    context = _context(step, integration) | words
    response = make_response(fragment(f"wizard/{_file(step)}.html", otherwise=address, **context))
    if is_htmx():
        response.headers["HX-Push-Url"] = address
    return response


def _again(
    step: str, integration: Integration | None, error: InvalidInput | UpstreamError | None, **typed: Any
) -> ResponseReturnValue:
    """The same step with what was typed, secrets left out, and the sentence beside its field."""
    status = error.status if error else 200
    context = _context(step, integration) | typed | {"error": error}
    if is_htmx():
        return fragment(f"wizard/{_file(step)}.html", otherwise="", status=status, **context)
    return page("wizard/step.html", status=status, **context)


def _page(step: str, integration: Integration | None) -> ResponseReturnValue:
    return page("wizard/step.html", **_context(step, integration))


def _file(step: str) -> str:
    return "_" + step.replace("-", "_")


def _context(step: str, integration: Integration | None) -> dict[str, Any]:
    context: dict[str, Any] = {
        "step": step,
        "steps": STEPS,
        "number": list(STEPS).index(step) + 1,
        "integration": integration,
        "notes": (),
        "error": None,
        "fragment": f"wizard/{_file(step)}.html",
    }
    if integration is None:
        return context | {"url": request.args.get("url", ""), "name": ""}
    details = {"address": _address, "check": _check, "sign-in": _sign_in, "tools": _tools, "done": _done}
    return context | details[step](integration)


def _address(integration: Integration) -> dict[str, Any]:
    return {"url": integration.url, "name": integration.name}


def _check(integration: Integration) -> dict[str, Any]:
    return {"progress": checks.progress(integration), "twins": integrations.same_address(integration)}


def _sign_in(integration: Integration) -> dict[str, Any]:
    verdict = checks.progress(integration).verdict
    connection = connections.of(integration)
    asked = request.args.get("way", "")
    kept = [(entry["name"], entry["template"], "") for entry in connection.headers] if connection else []
    blank = [("", "", "")] * max(1, HEADER_ROWS - len(kept))
    return {
        "verdict": verdict,
        "connection": connection,
        "way": asked if asked in WAYS else _usual_way(connection, verdict),
        "standing": identity.standing_of(oauth.came_by()),
        "dialect": dialects.of(integration),
        "issuer": _issuer(integration),
        "client_id": client.client_id if (client := registrations.entered(integration)) else "",
        "typed": (kept if connection and connection.kind == "header" else []) + blank,
        "practice_url": _practice_page(integration),
    }


def _usual_way(connection: Connection | None, verdict: Verdict | None) -> str:
    if connection and connection.kind in ("oauth", "header"):
        return str(connection.kind)
    if verdict and verdict.sign_in in IN_BROWSER and (verdict.oauth or not connection):
        return "oauth"
    return "basic" if verdict and verdict.sign_in == "basic" else "bearer"


def _practice_page(integration: Integration) -> str:
    """Where the practice server shows its token, if this is the practice server."""
    url = settings().practice_url
    return url if url and integration.url.startswith(url + "/") else ""


def _tools(integration: Integration) -> dict[str, Any]:
    found = tools.search(Wanted(page=max(request.args.get("page", 1, int), 1)), integration)
    return {
        "found": found,
        "rows": [row(tool) for tool in found.tools],
        "set_aside": tools.set_aside(integration),
        "hidden": tools.with_hidden_characters(integration),
        "words": policies.WORDS,
    }


def _done(integration: Integration) -> dict[str, Any]:
    return {"counts": tools.counts_by_integration().get(integration.id, {})}
