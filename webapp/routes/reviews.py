"""Needs review: what waits for a look, with its difference, and accepting it one by one or server by server."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import Forbidden, InvalidInput, Refused, Stale
from webapp.routes.guards import allow, current_actor, current_user
from webapp.routes.replies import fragment, is_htmx, leave_for, page
from webapp.routes.rows import named
from webapp.routes.tools import pretty
from webapp.services import integrations, policies, reviews, screening, tools
from webapp.services.changes import MORE, OBJECTS, Part
from webapp.services.policies import POLICIES
from webapp.services.reviews import Accepted
from webapp.store.models import Integration, Tool
from webapp.upstream.listing import more_in

PAGE = 25

bp = Blueprint("reviews", __name__, url_prefix="/tools/review")


@dataclass(frozen=True)
class Card:
    """One tool for one reader. `difference` is None where it is looked at as a whole."""

    tool: Tool
    difference: list[Part] | None
    problem: Refused | None = None

    @property
    def new(self) -> bool:
        return tools.is_new(self.tool)

    @property
    def had(self) -> bool:
        """It had a policy before Gatehouse tightened it; else there is only the seed."""
        return self.tool.changed_at is not None or self.tool.policy_at is not None

    @property
    def by(self) -> str:
        return named(self.tool.policy_by)

    @property
    def objects(self) -> list[tuple[str, str]]:
        definition = self.tool.definition
        parts = {title: definition.get(key) for key, title in OBJECTS.items()} | {
            MORE: more_in(definition) or None
        }
        return [(title, text) for title, part in parts.items() if (text := pretty(part))]

    @property
    def choices(self) -> list[tuple[str, str]]:
        """(policy, what its button says). The strictest comes first: who presses without reading gives nothing away."""
        role = current_user().role
        loosest, strictest = sorted((self.tool.policy_before, self.tool.policy), key=POLICIES.index)
        ordered = reversed(POLICIES[POLICIES.index(loosest) : POLICIES.index(strictest) + 1])
        return [(one, self._words(one)) for one in ordered if role != "viewer" and not self._hindrance(one)]

    @property
    def why_not(self) -> str:
        return self._hindrance(self.tool.policy_before)

    def _hindrance(self, policy: str) -> str:
        if policy == self.tool.policy:
            return ""
        return policies.hindrance(self.tool.kind, policy, current_user().role)

    def _words(self, policy: str) -> str:
        word = policies.WORDS[policy]
        if policy == self.tool.policy:
            return f"Keep {word}"
        if policy == self.tool.policy_before:
            return f"Put back to {word}, as it was" if self.had else f"Set to {word}, its seed"
        return f"Set to {word}"


@bp.app_template_global("review_of")
def card(tool: Tool, problem: Refused | None = None) -> Card:
    return Card(tool, reviews.difference(tool), problem)


@bp.app_template_filter("flag_title")
def flag_title(kind: str) -> str:
    return screening.TITLES.get(kind, kind)


@bp.app_template_filter("flag_reason")
def flag_reason(kind: str) -> str:
    return screening.REASONS.get(kind, "")


@bp.app_template_filter("flag_titles")
def flag_titles(flags: list[dict[str, str]]) -> str:
    titles = dict.fromkeys(flag_title(flag["kind"]) for flag in flags)
    return ", ".join(titles)


@bp.get("")
@allow("viewer")
def index() -> ResponseReturnValue:
    return _index()


@bp.post("/<int:tool_id>")
@allow("technician")
def accept(tool_id: int) -> ResponseReturnValue:
    tool, problem = tools.by_id(tool_id), None
    try:
        reviews.accept(
            tool, request.form.get("policy", ""), current_actor(), seen=request.form.get("seen", "")
        )
    except (Forbidden, InvalidInput, Stale) as error:
        problem = error
    if problem and not is_htmx():
        return _index(tool.integration, {tool.id: problem}, status=problem.status)
    stored = tools.by_id(tool_id)
    if not problem and not is_htmx():
        flash(f"{tool.catalogue_name} is {policies.WORDS[stored.policy]} now.")
    return fragment(
        "reviews/_card.html",
        otherwise=_back(stored),
        status=problem.status if problem else 200,
        card=card(stored, problem),
    )


@bp.post("/server/<name>")
@allow("technician")
def accept_many(name: str) -> ResponseReturnValue:
    integration = integrations.find(name)
    try:
        seen = _seen(request.form.getlist("tool"))
        done = reviews.accept_all(integration, seen, request.form.get("way", ""), current_actor())
    except (InvalidInput, Stale) as error:
        return _index(integration, {}, status=error.status, error=error)
    flash(_said(done))
    return leave_for(url_for(".index"))


def _index(
    chosen: Integration | None = None,
    problems: dict[int, Refused] | None = None,
    *,
    status: int = 200,
    error: Refused | None = None,
) -> ResponseReturnValue:
    if chosen is None and (name := request.args.get("integration", "")):
        chosen = integrations.find(name)
    waiting = reviews.waiting(chosen)
    total, number = waiting.count(), min(max(request.args.get("page", 1, int), 1), 10_000)
    shown = list(waiting.paginate(number, PAGE))
    groups = [
        (integration, [card(tool, (problems or {}).get(tool.id)) for tool in group])
        for integration, group in groupby(shown, key=lambda tool: tool.integration)
    ]
    return page(
        "reviews/index.html", status=status, chosen=chosen, groups=groups, total=total, number=number,
        pages=max(1, -(-total // PAGE)), problems=problems, error=error,
        everywhere=reviews.waiting().count() if chosen else total,
    )  # fmt: skip


def _seen(pairs: list[str]) -> dict[int, str]:
    seen = {}
    for pair in pairs:
        id, _, digest = pair.partition(":")
        if not (id.isascii() and id.isdigit() and len(id) < 19 and digest):
            raise InvalidInput("This form can't be read.", field="tool", next_step="Load the page again.")
        seen[int(id)] = digest
    return seen


def _said(accepted: Accepted) -> str:
    done = len(accepted.done)
    words = f"{done} {'tool' if done == 1 else 'tools'} accepted."
    if accepted.left:
        words += f" {len(accepted.left)} went on waiting: {accepted.left[0][1]}"
    return words


def _back(tool: Tool) -> str:
    if "alone" in request.form:
        return url_for("tools.show", catalogue_name=tool.catalogue_name)
    return url_for(".index")
