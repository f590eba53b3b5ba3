"""Tools: the table of all integrations, one tool, and the permission of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp.errors import Forbidden, InvalidInput, Refused, Stale
from webapp.routes.guards import allow, current_actor
from webapp.routes.replies import came_from, fragment, is_htmx, page
from webapp.routes.rows import row, rows
from webapp.services import policies, reviews, tools
from webapp.services.tools import Wanted
from webapp.store.models import Integration, Tool
from webapp.upstream import strict
from webapp.upstream.listing import more_in

bp = Blueprint("tools", __name__, url_prefix="/tools")

# What a folded row shows before it points to the tool's own page.
LONGEST_SHOWN = 6000


def pretty(value: Any) -> str:
    return "" if value is None else strict.pretty(value)


def wanted(args: MultiDict[str, str] | None = None) -> Wanted:
    """What the address asks for, or a form that repeats it."""
    given = request.args if args is None else args
    return Wanted(
        words=given.get("q", "")[:200].strip(),
        policy=given.get("policy", ""),
        integration=given.get("integration", ""),
        mark=given.get("mark", ""),
        page=min(max(given.get("page", 1, int), 1), 10_000),
        kind=given.get("kind", ""),
        order=given.get("sort", ""),
    )


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    found = tools.search(wanted())
    names = Integration.listed().where(Integration.state != "draft")
    return page(
        "tools/index.html",
        found=found,
        rows=rows(found.tools),
        integrations=list(names),
        to_review=reviews.waiting().count(),
        here="tools.index",
        here_arguments={},
    )


@bp.get("/<tool:catalogue_name>")
@allow("viewer")
def show(catalogue_name: str) -> ResponseReturnValue:
    tool = tools.by_catalogue_name(catalogue_name)
    return page(
        "tools/show.html",
        row=row(tool),
        tool=tool,
        input_schema=pretty(tool.definition.get("inputSchema")),
        output_schema=pretty(tool.definition.get("outputSchema")),
        annotations=pretty(tool.definition.get("annotations")),
        more=pretty(more_in(tool.definition) or None),
        changes=tools.changes(tool),
        calls=tools.calls(tool),
    )


@bp.get("/<int:tool_id>/definition")
@allow("viewer")
def definition(tool_id: int) -> ResponseReturnValue:
    """What a folded row shows when it is opened."""
    tool = tools.by_id(tool_id)
    schema = pretty(tool.definition.get("inputSchema"))
    whole = url_for(".show", catalogue_name=tool.catalogue_name)
    long = len(tool.description) + len(schema) > LONGEST_SHOWN
    return fragment("tools/_definition.html", otherwise=whole, tool=tool, schema=schema, long=long)


@bp.post("/<int:tool_id>/policy")
@allow("technician")
def set_policy(tool_id: int) -> ResponseReturnValue:
    wanted_policy = request.form.get("policy", "")
    return _saved(tool_id, lambda tool: policies.set_policy(tool, wanted_policy, current_actor(), **_seen()))


@bp.post("/<int:tool_id>/reset")
@allow("technician")
def reset(tool_id: int) -> ResponseReturnValue:
    return _saved(tool_id, lambda tool: policies.reset(tool, current_actor(), **_seen()))


@bp.post("/<int:tool_id>/review")
@allow("technician")
def review(tool_id: int) -> ResponseReturnValue:
    """Of a tool that is only marked new; what waits is accepted where it is shown, see reviews."""
    if request.form.get("wanted", "") != "keep":
        raise InvalidInput("Choose to keep the policy.", field="wanted")
    seen = request.form.get("seen", "")
    return _saved(tool_id, lambda tool: reviews.keep(tool, current_actor(), seen=seen))


def _seen() -> dict[str, str]:
    """What the page showed when the person chose."""
    return {"seen": request.form.get("seen", ""), "was": request.form.get("was", "")}


def _saved(tool_id: int, act: Callable[[Tool], Tool]) -> ResponseReturnValue:
    """The row as it is stored now; where the wish was refused, with the reason in it."""
    tool = tools.by_id(tool_id)
    problem: Refused | None = None
    try:
        act(tool)
    except (Forbidden, InvalidInput, Stale) as error:
        if not is_htmx():
            raise
        problem = error
    return fragment(
        "tools/_row.html",
        otherwise=_back(tool),
        status=problem.status if problem else 200,
        row=row(tools.by_id(tool_id), problem),
        selectable="selectable" in request.form,
    )


def _back(tool: Tool) -> str:
    """Without JavaScript: to the page the form was on, at the row."""
    return (came_from() or url_for("integrations.show", name=tool.integration.name)) + f"#tool-{tool.id}"
