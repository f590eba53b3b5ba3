"""Approvals: the inbox, one card, each decision, the history."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import Stale
from webapp.routes.guards import allow, current_actor
from webapp.routes.replies import fragment, page
from webapp.services import approvals
from webapp.store.models import Approval

bp = Blueprint("approvals", __name__, url_prefix="/approvals")
STILL_SHOWN = timedelta(minutes=5)
PAGE = 50


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    return page("approvals/index.html", **_inbox())


@bp.get("/inbox")
@allow("viewer")
def inbox() -> ResponseReturnValue:
    return render_template("approvals/_inbox.html", **_inbox())


@bp.get("/count")
@allow("viewer")
def count() -> ResponseReturnValue:
    return render_template("approvals/_count.html", waiting=Approval.waiting().count())


@bp.get("/history")
@allow("viewer")
def history() -> ResponseReturnValue:
    state, number = request.args.get("state", ""), max(request.args.get("page", 1, int), 1)
    rows = list(Approval.over().offset((number - 1) * PAGE).limit(PAGE + 1))
    return page(
        "approvals/history.html", approvals=rows[:PAGE], more=len(rows) > PAGE, number=number, state=state
    )


@bp.get("/<approval_id>")
@allow("viewer")
def show(approval_id: str) -> ResponseReturnValue:
    return page("approvals/show.html", card=_card(approvals.get(approval_id)))


@bp.post("/<approval_id>/decision")
@allow("technician")
def decide(approval_id: str) -> ResponseReturnValue:
    decision, note = request.form.get("decision", ""), request.form.get("note", "")
    try:
        decided = approvals.decide(approval_id, decision, current_actor(), note)
    except Stale as too_late:
        return _somebody_was_first(approval_id, too_late)
    return fragment("approvals/_card.html", otherwise=url_for(".index"), card=_card(decided))


def _somebody_was_first(approval_id: str, too_late: Stale) -> ResponseReturnValue:
    """Not a fault: the card as it is now, with who was first."""
    card = _card(approvals.get(approval_id)) | {"notice": too_late.what}
    if request.htmx:  # type: ignore[attr-defined]
        return render_template("approvals/_card.html", card=card)
    return page("approvals/show.html", status=too_late.status, card=card)


def _inbox() -> dict[str, Any]:
    cards = [_card(approval) for approval in Approval.inbox(STILL_SHOWN)]
    return {"cards": cards, "waiting": sum(card["approval"].state == "waiting" for card in cards)}


def _card(approval: Approval) -> dict[str, Any]:
    return {
        "approval": approval,
        "tool": approval.tool,
        "arguments": approvals.arguments_of(approval),
        "result": approvals.result_of(approval) if approval.result else None,
    }
