"""Approvals: the inbox, one card, each decision, what is true now, what is approved ahead, the history."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from flask import (
    Blueprint,
    Response,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput, Stale
from webapp.routes import looks
from webapp.routes.guards import allow, current_actor, current_user
from webapp.routes.replies import fragment, is_htmx, page
from webapp.services import approvals, tools
from webapp.services.approvals import cards, decisions, export, history, second_person, sight, standing
from webapp.store.models import Approval, Standing

bp = Blueprint("approvals", __name__, url_prefix="/approvals")
NOTHING_NEW = 204


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    return page("approvals/index.html", inbox=cards.inbox(current_user()), **_ahead(), **_choices())


@bp.get("/inbox")
@allow("viewer", polled=True)
def inbox() -> ResponseReturnValue:
    """Polled. Cards that are on the page stay on it, whatever became of them: nothing moves under the pointer."""
    found = cards.inbox(current_user(), request.args.getlist("shown"), request.args.get("seen", ""))
    if found is None:
        return "", NOTHING_NEW
    return render_template("approvals/_inbox.html", inbox=found, **_choices())


@bp.get("/count")
@allow("viewer", polled=True)
def count() -> ResponseReturnValue:
    return render_template("approvals/_count.html", waiting=Approval.waiting().count())


@bp.get("/ahead")
@allow("viewer", polled=True)
def ahead() -> ResponseReturnValue:
    return render_template("approvals/_ahead.html", **_ahead())


@bp.get("/history", endpoint="history")
@allow("viewer")
def past() -> ResponseReturnValue:
    wanted = history.Wanted.of(request.args, request.args.get("page", 1, int))
    found = history.search(wanted, looks.zone())
    return page("approvals/history.html", found=found, states=history.STATES, choices=history.choices())


@bp.post("/history/export")
@allow("technician")
def download() -> ResponseReturnValue:
    """A POST, because it is written down."""
    file = export.begin(history.Wanted.of(request.form, 1), looks.zone(), current_actor())
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
    return Response(stream_with_context(file.pieces), mimetype=file.type, headers=headers)


@bp.get("/<approval_id>")
@allow("viewer")
def show(approval_id: str) -> ResponseReturnValue:
    return _page_of(approvals.get(approval_id))


@bp.get("/<approval_id>/arguments")
@allow("viewer")
def arguments(approval_id: str) -> ResponseReturnValue:
    """All of them, as a file; what can't be seen is written as its number."""
    approval = approvals.get(approval_id)
    given, along = approvals.arguments_of(approval), approvals.sent_along(approval)
    others = {"answers": along.answers, "requestState": along.server_state, "_meta": along.besides}
    more = {name: part for name, part in others.items() if part}
    text = json.dumps({"arguments": given, **more} if more else given, indent=2)
    headers = {"Content-Disposition": f'attachment; filename="{approval_id}.json"'}
    return Response(text, mimetype="application/json", headers=headers)


@bp.post("/<approval_id>/decision")
@allow("technician")
def decide(approval_id: str) -> ResponseReturnValue:
    form = request.form
    try:
        decided = approvals.decide(
            approval_id, form.get("decision", ""), current_actor(), form.get("note", ""),
            reason=form.get("reason", ""),
        )  # fmt: skip
    except Stale as too_late:
        return _somebody_was_first(approval_id, too_late)
    shown = _shown(decided) | {"focused": True}
    return _changed(fragment("approvals/_card.html", otherwise=url_for(".index"), **shown))


@bp.post("/batch")
@allow("technician")
def decide_all() -> ResponseReturnValue:
    form = request.form
    batch = approvals.decide_all(
        form.getlist("approval"), form.get("decision", ""), current_actor(), form.get("note", ""),
        reason=form.get("reason", ""),
    )  # fmt: skip
    count, verb = len(batch.decided), "denied" if form.get("decision") == "deny" else "approved"
    if count:
        flash(f"{count} {'call' if count == 1 else 'calls'} {verb}.")
    for words in dict.fromkeys(batch.too_late):
        flash(words)
    return redirect(url_for(".index"), 303)


@bp.post("/<approval_id>/time")
@allow("technician")
def extend(approval_id: str) -> ResponseReturnValue:
    try:
        longer = approvals.extend(approval_id, _moment(request.form.get("until", "")), current_actor())
    except Stale as too_late:
        return _somebody_was_first(approval_id, too_late)
    return fragment("approvals/_card.html", otherwise=_place(approval_id), **_shown(longer))


@bp.post("/<approval_id>/now")
@allow("technician")
def look(approval_id: str) -> ResponseReturnValue:
    """A POST, for it calls the server behind the tool and is logged."""
    approval = approvals.get(approval_id)
    sight.look(approval, current_actor())
    if is_htmx():
        return render_template("approvals/_arguments.html", **_shown(approval))
    return _page_of(approval)


@bp.post("/ahead/<int:standing_id>/end")
@allow("technician")
def end_standing(standing_id: int) -> ResponseReturnValue:
    standing.end(standing_id, current_actor())
    return fragment("approvals/_ahead.html", otherwise=url_for(".index"), **_ahead())


@bp.post("/second-person/<int:tool_id>")
@allow("admin")
def set_second_person(tool_id: int) -> ResponseReturnValue:
    tool = tools.by_id(tool_id)
    changed = second_person.set_rule(tool, request.form.get("wanted") == "on", current_actor())
    otherwise = url_for("tools.show", catalogue_name=tool.catalogue_name)
    return fragment("tools/_second_person.html", otherwise=otherwise, tool=changed, saved=True)


def _somebody_was_first(approval_id: str, too_late: Stale) -> ResponseReturnValue:
    """Not a fault: the card as it is now, with who was first."""
    approval = approvals.get(approval_id)
    if is_htmx():
        return render_template("approvals/_card.html", focused=True, **_shown(approval, too_late.what))
    return _page_of(approval, too_late.what, status=too_late.status)


def _changed(reply: ResponseReturnValue) -> Response:
    """The count in the top bar and what is approved ahead look again at once."""
    response = make_response(reply)
    if is_htmx():
        response.headers["HX-Trigger"] = "decided"
    return response


def _page_of(approval: Approval, notice: str = "", *, status: int = 200) -> ResponseReturnValue:
    return page("approvals/show.html", status=status, **_shown(approval, notice, alone=True))


def _shown(approval: Approval, notice: str = "", *, alone: bool = False) -> dict[str, Any]:
    """A card as it is in the inbox, or as it is `alone` on its page, which its forms tell."""
    card, alone = cards.card(approval, current_user()).saying(notice), alone or "alone" in request.form
    return {"card": card.alone() if alone else card, "alone": alone} | _choices()


def _choices() -> dict[str, Any]:
    return {"reasons": decisions.REASONS, "more_time": decisions.MORE_TIME}


def _ahead() -> dict[str, Any]:
    return {"ahead": list(Standing.open_ones())}


def _place(approval_id: str) -> str:
    return url_for(".index") + f"#{approval_id}"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("This is no moment.", field="until", next_step="Reload the page.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
