"""Settings → Integrations: the list, one integration, its switches, its check, its end."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.builtin import BUILTINS
from webapp.errors import InvalidInput, UpstreamError
from webapp.routes.guards import allow, came_by, current_actor, settings
from webapp.routes.replies import fragment, is_htmx, leave_for, page
from webapp.routes.rows import rows
from webapp.routes.tools import wanted
from webapp.services import (
    checks,
    connections,
    forecast,
    health,
    holding,
    integrations,
    patience,
    pauses,
    policies,
    practice,
    sync,
    tools,
)
from webapp.store.models import Grant, Integration

REVOKED = {
    "nothing": "",
    "revoked": "Its sign-in service was told to forget the sign-in.",
    "not offered": "Its sign-in service takes nothing back: remove Gatehouse there, under connected apps.",
}

bp = Blueprint("integrations", __name__, url_prefix="/settings/integrations")


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    rows = list(Integration.listed())
    counts = tools.counts_by_integration()
    url = settings().practice_url
    return page(
        "integrations/index.html",
        integrations=[(one, health.of(one), counts.get(one.id, {})) for one in rows],
        practice_url=url if practice.offered(url) else "",
        forecast=forecast.upcoming(),
        any_grants=forecast.any_grants(),
    )


@bp.post("/practice")
@allow("admin")
def add_practice() -> ResponseReturnValue:
    draft = practice.add(settings().practice_url, request.form.get("door", "open"), current_actor())
    checks.start(draft, current_actor(), came_by=came_by())
    return leave_for(url_for("wizard.show", name=draft.name, step="check"))


@bp.get("/<name>")
@allow("viewer")
def show(name: str) -> ResponseReturnValue:
    integration = integrations.find(name)
    if integration.state == "draft":
        return leave_for(url_for("wizard.resume", name=name))
    return page("integrations/show.html", **_shown(integration))


@bp.post("/<name>/sync")
@allow("technician")
def sync_now(name: str) -> ResponseReturnValue:
    integration = integrations.find(name)
    try:
        said = f"Synced: {sync.sync(integration, current_actor())}."
    except UpstreamError as error:
        return _answer(integration, status=error.status, error=error)
    return _answer(integration, said=said)


@bp.post("/<name>/title")
@allow("admin")
def rename(name: str) -> ResponseReturnValue:
    integration = integrations.find(name)
    try:
        integrations.rename(integration, request.form.get("title", ""), current_actor())
    except InvalidInput as error:
        return _answer(integration, status=error.status, error=error)
    return _answer(integration, said="Renamed. The names that agents use stay as they are.")


@bp.post("/<name>/state")
@allow("technician")
def set_state(name: str) -> ResponseReturnValue:
    integration = integrations.find(name)
    match request.form.get("wanted", ""):
        case "paused":
            return _pause(integration)
        case "connected":
            pauses.resume(pauses.key_of_server(integration), current_actor())
            return _answer(integration, said="Resumed: agents see its tools again.")
    raise InvalidInput("Choose to pause or to resume.", field="wanted")


def _pause(integration: Integration) -> ResponseReturnValue:
    try:
        pauses.pause_server(integration, current_actor(), request.form.get("reason", ""))
    except InvalidInput as error:
        return _answer(integration, status=error.status, error=error)
    return _answer(integration, said="The pause holds from the next call on.")


@bp.post("/<name>/new-tools")
@allow("admin")
def set_new_tools(name: str) -> ResponseReturnValue:
    integration = integrations.find_server(name)
    holding.set_ceiling(integration, request.form.get("new_tools", ""), current_actor())
    return _answer(integration, said="Saved. It holds from the next sync on.")


@bp.post("/<name>/time-out")
@allow("admin")
def set_time_out(name: str) -> ResponseReturnValue:
    integration = integrations.find_server(name)
    try:
        patience.change(integration, request.form.get("call_seconds", ""), current_actor())
    except InvalidInput as error:
        return _answer(integration, status=error.status, error=error)
    return _answer(integration, said="Saved. It holds from the next call on.")


@bp.post("/<name>/switch")
@allow("admin")
def switch(name: str) -> ResponseReturnValue:
    """A built-in, on or off."""
    integration = integrations.find(name)
    on = request.form.get("wanted", "")
    if on not in ("on", "off"):
        raise InvalidInput("Choose on or off.", field="wanted")
    integrations.set_builtin(integration, on == "on", current_actor())
    return _answer(integration, said=f"Switched {on}.")


@bp.post("/<name>/settings")
@allow("admin")
def configure(name: str) -> ResponseReturnValue:
    """A built-in's secrets: what is left empty stays, what is ticked goes."""
    integration = integrations.find(name)
    changes: dict[str, str | None] = dict.fromkeys(request.form.getlist("remove"))
    for key, value in request.form.items():
        if key.startswith("secret-") and value.strip():
            changes[key.removeprefix("secret-")] = value.strip()
    try:
        integrations.configure_builtin(integration, {}, changes, current_actor())
    except InvalidInput as error:
        return _answer(integration, status=error.status, error=error)
    return _answer(integration, said="Saved." if changes else "Nothing was changed.")


@bp.get("/<name>/disconnect")
@allow("admin")
def ask_disconnect(name: str) -> ResponseReturnValue:
    return page("integrations/disconnect.html", **_ending(name))


@bp.post("/<name>/disconnect")
@allow("admin")
def disconnect(name: str) -> ResponseReturnValue:
    integration = integrations.find(name)
    try:
        revoked = integrations.disconnect(integration, request.form.get("confirm", ""), current_actor())
    except InvalidInput as error:
        return _form_again("_disconnect", error, **_ending(name))
    flash(f"Disconnected. {REVOKED.get(revoked, f'Its sign-in service could not be told: {revoked}')}")
    return leave_for(url_for(".index"))


@bp.post("/<name>/discard")
@allow("admin")
def discard(name: str) -> ResponseReturnValue:
    integrations.discard_draft(integrations.find(name), current_actor())
    return leave_for(url_for(".index"))


@bp.get("/<name>/check")
@allow("viewer")
def check(name: str) -> ResponseReturnValue:
    return page("integrations/check.html", **_checked(name))


@bp.post("/<name>/check")
@allow("technician")
def start_check(name: str) -> ResponseReturnValue:
    checks.start(integrations.find_server(name), current_actor(), came_by=came_by())
    return fragment("integrations/_check.html", otherwise=url_for(".check", name=name), **_checked(name))


@bp.get("/<name>/check/findings")
@allow("viewer", polled=True)
def findings(name: str) -> ResponseReturnValue:
    return render_template("integrations/_check.html", **_checked(name))


def _checked(name: str) -> dict[str, Any]:
    integration = integrations.find_server(name)
    return {"integration": integration, "progress": checks.progress(integration)}


def _ending(name: str) -> dict[str, Any]:
    integration = integrations.find(name)
    return {"integration": integration, "going": integrations.going(integration)}


def _form_again(fragment_name: str, error: InvalidInput, **context: Any) -> ResponseReturnValue:
    """The same form with the sentence under its field: a fragment for htmx, the page for everybody else."""
    if is_htmx():
        return fragment(
            f"integrations/{fragment_name}.html", otherwise="", status=422, error=error, **context
        )
    return page(f"integrations/{fragment_name[1:]}.html", status=422, error=error, **context)


def _answer(integration: Integration, *, status: int = 200, **words: Any) -> ResponseReturnValue:
    """The server's part of the page as it is now, with what was said."""
    if not is_htmx() and status == 200:
        flash(words["said"])
        return leave_for(url_for(".show", name=integration.name))
    context = _shown(integrations.find(integration.name)) | words
    if is_htmx():
        return fragment("integrations/_server.html", otherwise="", status=status, **context)
    return page("integrations/show.html", status=status, **context)


def _shown(integration: Integration) -> dict[str, Any]:
    found = tools.search(wanted(), integration)
    builtin = BUILTINS.get(integration.name) if integration.kind == "builtin" else None
    return {
        "integration": integration,
        "health": health.of(integration),
        "connection": connections.of(integration),
        "grant": Grant.of(integration),
        "counts": tools.counts_by_integration().get(integration.id, {}),
        "unreviewed": health.unreviewed(integration),
        "ceilings": policies.CEILING_WORDS,
        "patience": patience.of(integration),
        "usual_patience": settings().call_seconds,
        "set_aside": tools.set_aside(integration),
        "found": found,
        "rows": rows(found.tools),
        "builtin": builtin,
        "secrets_kept": sorted(connections.builtin_secrets(integration)) if builtin else [],
        "here": "integrations.show",
        "here_arguments": {"name": integration.name},
    }
