"""Signing in to a server in the browser (OAuth): begin, the page before the jump, the jump, and the way back."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, Response, flash, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput, NotFound, Refused, UpstreamError
from webapp.routes.guards import ANYONE, allow, came_by, current_actor, current_session
from webapp.routes.replies import leave_for, page
from webapp.routes.steps import progress
from webapp.services import audit, identity, integrations, sign_ins, sync
from webapp.services.sign_ins import ENDINGS, NotThisOne, Route
from webapp.store.models import Session, SignIn

bp = Blueprint("oauth", __name__)

LONGEST_PASTE = 8000
# One of each is all that RFC 6749 §4.1.2 and RFC 9207 know; a second one is somebody's trick.
ANSWERS = ("state", "code", "error", "error_description", "iss")


@bp.get("/oauth/sign-in/<sign_in_id>")
@allow("admin")
def show(sign_in_id: str) -> ResponseReturnValue:
    return page("oauth/show.html", **_shown(_own(sign_in_id)))


@bp.get("/oauth/sign-in/<sign_in_id>/go")
@allow("admin")
def go(sign_in_id: str) -> ResponseReturnValue:
    """Off to the sign-in service. The state is made here, so that no page ever holds one."""
    row = _own(sign_in_id)
    if row.ended:
        return redirect(url_for(".show", sign_in_id=row.id), 303)
    return redirect(sign_ins.jump(row), 303)


@bp.post("/oauth/sign-in/<sign_in_id>/pasted")
@allow("admin")
def pasted(sign_in_id: str) -> ResponseReturnValue:
    """The way back by hand, for a Gatehouse that sign-in services can't send people to."""
    row, typed = _own(sign_in_id), request.form.get("address", "").strip()
    if not typed.startswith(row.redirect_uri + "?") or len(typed) > LONGEST_PASTE:
        error = InvalidInput(
            "This is not the address you were sent to.",
            field="address",
            next_step=f"Copy all of it from the address bar; it begins with {row.redirect_uri}?",
        )
        return page("oauth/show.html", status=error.status, **_shown(row) | {"error": error})
    return _come_back(parse_qsl(urlsplit(typed).query, keep_blank_values=True))


@bp.get(identity.CALLBACK)
@allow(ANYONE)
def callback() -> ResponseReturnValue:
    """Checks the session itself: a detour over the sign-in page would carry the code along. Whatever happens, the
    answer leads to an address without it."""
    return _come_back([(name, value) for name, values in request.args.lists() for value in values])


@bp.after_request
def leave_no_code(response: Response) -> Response:
    """A page about a fault of ours would stand at the address with the code."""
    if request.endpoint == "oauth.callback" and response.status_code >= 500:
        return clean(url_for(".ended", reason="failed"))
    return response


@bp.get("/oauth/ended/<reason>")
@allow(ANYONE)
def ended(reason: str) -> ResponseReturnValue:
    if reason not in ENDINGS:
        raise NotFound("There is no such page.")
    return page("oauth/ended.html", what=ENDINGS[reason])


@bp.get(identity.DOCUMENT)
@allow(ANYONE)
def document() -> ResponseReturnValue:
    """What sign-in services read about us (draft-ietf-oauth-client-id-metadata-document)."""
    if not identity.document_address():
        raise NotFound(
            "Gatehouse has no client document here.",
            why="Sign-in services could not fetch it: PUBLIC_URL is no public https:// address.",
        )
    return jsonify(identity.document())


def begin(name: str, *, wish: sign_ins.Wish = "keep") -> ResponseReturnValue:
    """Raises ClientWanted, InvalidInput or UpstreamError: whoever asked shows them where the button was."""
    integration = integrations.find_server(name)
    row = sign_ins.begin(integration, current_actor(), _session(), Route(came_by()), wish=wish)
    return leave_for(url_for("oauth.show", sign_in_id=row.id))


def _come_back(answer: list[tuple[str, str]]) -> ResponseReturnValue:
    session = current_session()
    actor = current_actor() if session else audit.Actor("user", "somebody", ip=request.remote_addr or "")
    try:
        row = sign_ins.come_back(single(answer), session, actor)
    except NotThisOne as stranger:
        return clean(url_for("oauth.ended", reason=stranger.reason))
    if row.ended != "done":
        return clean(url_for("oauth.show", sign_in_id=row.id))
    return clean(_fetch_tools(row))


def _fetch_tools(row: SignIn) -> str:
    """The sign-in holds whatever comes of this; a failure is on the server's page."""
    integration = integrations.find_server(row.integration.name)
    try:
        sync.sync(integration, current_actor())
    except (UpstreamError, Refused) as error:
        flash(f"Signed in, but the tools could not be fetched: {error.what}")
    if integration.finished_at is not None:
        return url_for("integrations.show", name=integration.name)
    return url_for("wizard.show", name=integration.name, step="tools")


def clean(address: str) -> Response:
    response = redirect(address, 303)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response  # type: ignore[return-value]


def single(answer: list[tuple[str, str]]) -> dict[str, str]:
    """Parameters we know, unless they come twice; those count as not sent."""
    names = [name for name, _ in answer]
    return {name: value for name, value in answer if name in ANSWERS and names.count(name) == 1}


def _own(sign_in_id: str) -> SignIn:
    return sign_ins.find(sign_in_id, _session())


def _session() -> Session:
    session = current_session()
    assert session is not None, "only people who are signed in get here"
    return session


def _shown(row: SignIn) -> dict[str, Any]:
    return {
        "sign_in": row,
        "integration": row.integration,
        "client": row.client,
        "token_host": urlsplit(row.request["metadata"]["token_endpoint"]).hostname,
        "expired": sign_ins.is_over(row),
        "error": None,
        **progress("sign-in"),
    }
