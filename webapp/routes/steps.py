"""What each step of adding a server shows, and how a form of it is answered: the next step, or the same again."""

from __future__ import annotations

from typing import Any

from flask import make_response, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput, UpstreamError
from webapp.routes.guards import came_by, settings
from webapp.routes.replies import fragment, is_htmx, page
from webapp.routes.rows import rows
from webapp.services import (
    checks,
    connections,
    dialects,
    identity,
    integrations,
    policies,
    registrations,
    tools,
)
from webapp.services.tools import Wanted
from webapp.store.models import Connection, Grant, Integration
from webapp.upstream.discovery import origin_of
from webapp.upstream.probe import Verdict

STEPS = {"address": "Address", "check": "Check", "sign-in": "Sign in", "tools": "Tools", "done": "Done"}
HEADER_ROWS = 3
WAYS = ("oauth", "client", "bearer", "header", "basic")
IN_BROWSER = ("oauth", "oauth_late")


def moved(step: str, integration: Integration, **words: Any) -> ResponseReturnValue:
    address = url_for("wizard.show", name=integration.name, step=step)
    shown = context(step, integration) | words
    response = make_response(fragment(f"wizard/{_file(step)}.html", otherwise=address, **shown))
    if is_htmx():
        response.headers["HX-Push-Url"] = address
    return response


def again(
    step: str, integration: Integration | None, error: InvalidInput | UpstreamError | None, **typed: Any
) -> ResponseReturnValue:
    """The same step with what was typed, secrets left out, and the sentence beside its field."""
    status = error.status if error else 200
    shown = context(step, integration) | typed | {"error": error}
    if is_htmx():
        return fragment(f"wizard/{_file(step)}.html", otherwise="", status=status, **shown)
    return page("wizard/step.html", status=status, **shown)


def show_page(step: str, integration: Integration | None) -> ResponseReturnValue:
    return page("wizard/step.html", **context(step, integration))


def context(step: str, integration: Integration | None) -> dict[str, Any]:
    shared: dict[str, Any] = progress(step) | {
        "integration": integration,
        "notes": (),
        "error": None,
        "fragment": f"wizard/{_file(step)}.html",
    }
    if integration is None:
        return shared | {"url": request.args.get("url", ""), "name": ""}
    details = {"address": _address, "check": _check, "sign-in": _sign_in, "tools": _tools, "done": _done}
    return shared | details[step](integration)


def progress(step: str) -> dict[str, Any]:
    """For the line of steps at the top."""
    return {"step": step, "steps": STEPS, "number": list(STEPS).index(step) + 1}


def _file(step: str) -> str:
    return "_" + step.replace("-", "_")


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
        "standing": identity.standing_of(came_by()),
        "dialect": dialects.of(integration),
        "issuer": issuer_of(integration),
        "client_id": client.client_id if (client := registrations.entered(integration)) else "",
        "typed": (kept if connection and connection.kind == "header" else []) + blank,
        "practice_url": _practiceshow_page(integration),
    }


def _usual_way(connection: Connection | None, verdict: Verdict | None) -> str:
    if connection and connection.kind in ("oauth", "header"):
        return str(connection.kind)
    if verdict and verdict.sign_in in IN_BROWSER and (verdict.oauth or not connection):
        return "oauth"
    return "basic" if verdict and verdict.sign_in == "basic" else "bearer"


def _practiceshow_page(integration: Integration) -> str:
    """Where the practice server shows its token, if this is the practice server."""
    url = settings().practice_url
    return url if url and integration.url.startswith(url + "/") else ""


def _tools(integration: Integration) -> dict[str, Any]:
    found = tools.search(Wanted(page=max(request.args.get("page", 1, int), 1)), integration)
    return {
        "found": found,
        "rows": rows(found.tools),
        "set_aside": tools.set_aside(integration),
        "flagged": tools.flagged(integration),
        "words": policies.WORDS,
    }


def _done(integration: Integration) -> dict[str, Any]:
    return {"counts": tools.counts_by_integration().get(integration.id, {})}


def issuer_of(integration: Integration) -> str:
    """Of the sign-in service that the check found, or that we signed in at before."""
    verdict, grant = checks.progress(integration).verdict, Grant.of(integration)
    found = verdict.oauth.get("issuer", "") if verdict else ""
    return str(found or (grant.issuer if grant else "") or origin_of(integration.url))


def check_issuer(integration: Integration, shown: str) -> None:
    """A secret goes to the service that the admin saw on the page, whatever a check has found since."""
    if shown != (issuer := issuer_of(integration)):
        raise InvalidInput(
            f"The server names another sign-in service than when this page was loaded: {issuer}.",
            field="client_id",
            why="A client id and its secret must never be shown to a service that did not give them out.",
            next_step="Look at the sign-in service below, and enter them again only if they are from there.",
        )
