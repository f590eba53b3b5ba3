"""Tools as lines of a table, for one reader: what they may set, who set it last, how much it is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from flask import g

from webapp.errors import Refused
from webapp.routes.guards import current_user
from webapp.services import figures, policies, tools
from webapp.services.policies import POLICIES
from webapp.store.models import Tool, User

FIRST_LINE = 160


@dataclass(frozen=True)
class Row:
    """One line of the table, for one reader. `hindrances`: why this reader may not set a policy; `ran`: how often
    the tool ran lately; `problem`: why the last wish was refused."""

    tool: Tool
    hindrances: dict[str, str]
    ran: int = 0
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
        return named(self.tool.policy_by)

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


def rows(found: Iterable[Tool], problem: Refused | None = None) -> list[Row]:
    role, listed = current_user().role, list(found)
    ran = figures.runs([tool.catalogue_name for tool in listed])
    return [
        Row(tool, {one: _hindrance(tool, one, role) for one in POLICIES}, ran[tool.catalogue_name], problem)
        for tool in listed
    ]


def _hindrance(tool: Tool, policy: str, role: str) -> str:
    return policies.hindrance(tool.kind, policy, role) or policies.unreviewed(tool.waits, tool.policy, policy)


def row(tool: Tool, problem: Refused | None = None) -> Row:
    return rows([tool], problem)[0]


def people() -> dict[str, str]:
    """Names by e-mail address, asked for once a page."""
    if "people" not in g:
        g.people = dict(User.select(User.email, User.name).where(User.name != "").tuples())
    found: dict[str, str] = g.people
    return found


def named(email: str) -> str:
    return people().get(email) or email
