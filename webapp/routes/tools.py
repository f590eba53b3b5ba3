"""Tools: the table of all integrations, one tool, and the permission of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, g, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape
from werkzeug.datastructures import MultiDict

from webapp.errors import Forbidden, InvalidInput, Refused, Stale
from webapp.routes.guards import allow, current_actor, current_user
from webapp.routes.replies import fragment, is_htmx, page
from webapp.services import policies, reviews, tools
from webapp.services.policies import POLICIES
from webapp.services.tools import Wanted
from webapp.services.visible import reveal
from webapp.store.models import Integration, Tool, User

bp = Blueprint("tools", __name__, url_prefix="/tools")

# What a folded row shows before it points to the tool's own page.
LONGEST_SHOWN = 6000
FIRST_LINE = 160


@dataclass(frozen=True)
class Row:
    """One line of the table, for one reader. `hindrances`: why this reader may not set a policy; `problem`: why
    the last wish was refused."""

    tool: Tool
    hindrances: dict[str, str]
    problem: Refused | None = None

    @property
    def fixed(self) -> bool:
        return all(self.hindrances.values())

    @property
    def first_line(self) -> str:
        text: str = self.tool.description
        line = (text.strip().splitlines() or [""])[0]
        return line if len(line) <= FIRST_LINE else line[:FIRST_LINE].rsplit(" ", 1)[0] + "…"

    @property
    def new(self) -> bool:
        return tools.is_new(self.tool)

    @property
    def by(self) -> str:
        """Who set the policy last, by name."""
        return people().get(self.tool.policy_by) or self.tool.policy_by

    @property
    def called_at(self) -> datetime | None:
        called: datetime | None = self.tool.called_at
        return called

    @property
    def together(self) -> int:
        """How many tools were set in the same go."""
        return int(self.tool.together) if self.tool.policy_by else 0

    @property
    def why_not(self) -> str:
        return next((why for why in self.hindrances.values() if why), "")


def row(tool: Tool, problem: Refused | None = None) -> Row:
    role = current_user().role
    return Row(tool, {policy: _hindrance(tool, policy, role) for policy in POLICIES}, problem)


def _hindrance(tool: Tool, policy: str, role: str) -> str:
    return policies.hindrance(tool.kind, policy, role) or policies.unreviewed(tool.waits, tool.policy, policy)


def pretty(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)


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


@bp.app_template_filter("visible")
def visible_html(text: object) -> Markup:
    """As the macro of this name, for tables: a hundred rows call it 500 times, and a macro takes ten times as long."""
    plain = str(text or "")
    if plain.isascii() and plain.isprintable():
        return escape(plain)
    mark = Markup('<mark class="hidden-char">{}</mark>')
    return Markup("").join(mark.format(piece) if hidden else piece for piece, hidden in reveal(plain))


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    found = tools.search(wanted())
    names = Integration.listed().where(Integration.state != "draft")
    return page(
        "tools/index.html",
        found=found,
        rows=[row(tool) for tool in found.tools],
        integrations=list(names),
        to_review=reviews.waiting().count(),
        here="tools.index",
        here_arguments={},
    )


@bp.get("/<path:catalogue_name>")
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
    wanted_policy, seen = request.form.get("policy", ""), request.form.get("seen", "")
    return _saved(tool_id, lambda tool: policies.set_policy(tool, wanted_policy, current_actor(), seen=seen))


@bp.post("/<int:tool_id>/reset")
@allow("technician")
def reset(tool_id: int) -> ResponseReturnValue:
    seen = request.form.get("seen", "")
    return _saved(tool_id, lambda tool: policies.reset(tool, current_actor(), seen=seen))


@bp.post("/<int:tool_id>/review")
@allow("technician")
def review(tool_id: int) -> ResponseReturnValue:
    """Of a tool that is only marked new; what waits is accepted where it is shown, see reviews."""
    if request.form.get("wanted", "") != "keep":
        raise InvalidInput("Choose to keep the policy.", field="wanted")
    seen = request.form.get("seen", "")
    return _saved(tool_id, lambda tool: reviews.keep(tool, current_actor(), seen=seen))


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
    came_from = urlsplit(request.referrer or "")
    place = f"#tool-{tool.id}"
    if came_from.netloc == request.host and came_from.path.startswith("/"):
        return f"{came_from.path}?{came_from.query}{place}" if came_from.query else came_from.path + place
    return url_for("integrations.show", name=tool.integration.name) + place


def people() -> dict[str, str]:
    """Names by e-mail address, asked for once a page."""
    if "people" not in g:
        g.people = dict(User.select(User.email, User.name).where(User.name != "").tuples())
    found: dict[str, str] = g.people
    return found
