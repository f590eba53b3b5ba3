"""Tools: the table of all integrations, one tool, and the permission of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import InvalidInput
from webapp.routes.guards import allow, current_actor, current_user
from webapp.routes.replies import fragment, page
from webapp.services import policies, tools
from webapp.services.policies import POLICIES
from webapp.services.tools import Wanted
from webapp.store.models import Entry, Integration, Tool

bp = Blueprint("tools", __name__, url_prefix="/tools")

# What a row shows before it points to the tool's own page.
LONGEST_SHOWN = 1500
FIRST_LINE = 160


@dataclass(frozen=True)
class Row:
    """One line of the table, for one reader. `hindrances`: why this reader may not set a policy."""

    tool: Tool
    hindrances: dict[str, str]
    schema: str = ""

    @property
    def fixed(self) -> bool:
        return all(self.hindrances.values())

    @property
    def first_line(self) -> str:
        text: str = self.tool.description
        line = (text.strip().splitlines() or [""])[0]
        return line if len(line) <= FIRST_LINE else line[:FIRST_LINE].rsplit(" ", 1)[0] + "…"

    @property
    def long(self) -> bool:
        return len(self.tool.description) + len(self.schema) > LONGEST_SHOWN

    @property
    def hides_something(self) -> bool:
        return tools.hides_something(self.tool)

    @property
    def why_not(self) -> str:
        return next((why for why in self.hindrances.values() if why), "")


def row(tool: Tool) -> Row:
    role = current_user().role
    hindrances = {policy: policies.hindrance(tool, policy, role) for policy in POLICIES}
    return Row(tool, hindrances, pretty(tool.definition.get("inputSchema")))


def pretty(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)


def wanted() -> Wanted:
    args = request.args
    return Wanted(
        words=args.get("q", "")[:200].strip(),
        policy=args.get("policy", ""),
        integration=args.get("integration", ""),
        mark=args.get("mark", ""),
        page=min(max(args.get("page", 1, int), 1), 10_000),
    )


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
        change=_details(tools.last_change(tool)) if tool.changed_at else None,
        history=[(entry, _details(entry)) for entry in tools.history(tool)],
    )


@bp.post("/<int:tool_id>/policy")
@allow("technician")
def set_policy(tool_id: int) -> ResponseReturnValue:
    tool = tools.by_id(tool_id)
    wanted_policy, seen = request.form.get("policy", ""), request.form.get("seen", "")
    return _row(policies.set_policy(tool, wanted_policy, current_actor(), seen=seen))


@bp.post("/<int:tool_id>/reset")
@allow("technician")
def reset(tool_id: int) -> ResponseReturnValue:
    tool = tools.by_id(tool_id)
    return _row(policies.reset(tool, current_actor(), seen=request.form.get("seen", "")))


@bp.post("/<int:tool_id>/review")
@allow("technician")
def review(tool_id: int) -> ResponseReturnValue:
    tool, seen = tools.by_id(tool_id), request.form.get("seen", "")
    match request.form.get("wanted", ""):
        case "keep":
            return _row(policies.keep(tool, current_actor(), seen=seen))
        case "auto":
            return _row(policies.set_policy(tool, "auto", current_actor(), seen=seen))
    raise InvalidInput("Choose to keep the policy or to put it back to Auto.", field="wanted")


def _row(tool: Tool) -> ResponseReturnValue:
    return fragment("tools/_row.html", otherwise=_back(tool), row=row(tool))


def _back(tool: Tool) -> str:
    """Without JavaScript: to the page the form was on, at the row."""
    came_from = urlsplit(request.referrer or "")
    place = f"#tool-{tool.id}"
    if came_from.netloc == request.host and came_from.path.startswith("/"):
        return f"{came_from.path}?{came_from.query}{place}" if came_from.query else came_from.path + place
    return url_for("integrations.show", name=tool.integration.name) + place


def _details(entry: Entry | None) -> dict[str, Any]:
    return dict(json.loads(entry.details)) if entry else {}
