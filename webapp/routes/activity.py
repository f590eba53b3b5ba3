"""Activity: every call and every change, newest first; one of them; and what is shown as a file."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, request, stream_with_context
from flask.typing import ResponseReturnValue

from webapp.errors import NotFound
from webapp.routes import looks
from webapp.routes.guards import allow, current_actor
from webapp.routes.replies import page
from webapp.services import export, log_search, sentences
from webapp.services.log_search import Wanted
from webapp.store.models import Agent, Approval, Entry, Integration, Segment, Tool, User

bp = Blueprint("activity", __name__, url_prefix="/activity")
LARGEST_ID = 2**63 - 1


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    """Pages are reached by `before=<id>`: new rows don't shift what somebody is reading."""
    wanted, before = Wanted.from_arguments(request.args, looks.zone()), _id(request.args.get("before", ""))
    found = log_search.search(wanted, before)
    return page(
        "activity/index.html", found=found, entries=found.entries, wanted=wanted, filters=wanted.as_arguments(),
        before=before, removed=Segment.in_order().exists(), groups=sentences.GROUPS, outcomes=sentences.OUTCOMES,
        actions=sentences.by_noun(), choices=_choices(),
    )  # fmt: skip


@bp.post("/export")
@allow("technician")
def download() -> ResponseReturnValue:
    """A POST, because it is written down."""
    wanted = Wanted.from_arguments(request.form, looks.zone())
    file = export.begin(wanted, request.form.get("format", ""), current_actor())
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
    return Response(stream_with_context(file.pieces), mimetype=file.type, headers=headers)


@bp.get("/<int:entry_id>")
@allow("viewer")
def show(entry_id: int) -> ResponseReturnValue:
    entry = Entry.get_or_none(Entry.id == entry_id)
    if entry is None:
        raise _not_there(entry_id)
    details = json.loads(entry.details)
    return page(
        "activity/show.html", entry=entry, details=details, digest=bytes(entry.digest).hex(),
        approval=Approval.get_or_none(Approval.id == entry.approval) if entry.approval else None,
        others=log_search.of_approval(entry) if entry.approval else [], **_linked(entry),
    )  # fmt: skip


def _linked(entry: Entry) -> dict[str, Any]:
    """What of the entry has a page of its own, as far as it is still there."""
    return {
        "tool": Tool.get_or_none(Tool.catalogue_name == entry.tool),
        "integration": Integration.get_or_none(Integration.name == entry.integration),
        "agent": Agent.get_or_none(Agent.name == entry.actor) if entry.actor_kind == "agent" else None,
        "person": User.get_or_none(User.email == entry.actor) if entry.actor_kind == "user" else None,
    }


def _choices() -> dict[str, list[tuple[str, str]]]:
    """{filter: [(value, word)]}."""
    return {
        "integration": [(one.name, one.title) for one in Integration.listed()],
        "agent": [(name, name) for (name,) in Agent.select(Agent.name).order_by(Agent.name).tuples()],
        "user": [(email, email) for (email,) in User.select(User.email).order_by(User.email).tuples()],
    }


def _not_there(entry_id: int) -> NotFound:
    if Segment.select().where(Segment.last_id >= entry_id, Segment.first_id <= entry_id).exists():
        return NotFound(
            "This entry was removed from the log.", why="It was older than the log is kept.",
            next_step="Look for it in the files of the log, under Settings → General.",
        )  # fmt: skip
    return NotFound("There is no such entry.", next_step="Go back to Activity and search there.")


def _id(text: str) -> int:
    """0 for what can't be the id of an entry."""
    return min(int(text), LARGEST_ID) if text.isascii() and text.isdigit() and len(text) < 30 else 0
