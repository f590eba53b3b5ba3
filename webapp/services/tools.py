"""Looking for tools: words, policy, integration, a page at a time; what one tool's log says."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_
from typing import Any

from peewee import ModelSelect, fn

from webapp.errors import NotFound
from webapp.services.policies import POLICIES
from webapp.services.visible import has_hidden
from webapp.store.models import Entry, Integration, Quarantine, Tool

PAGE = 100
MARKS = ("changed", "missing", "new-policy")
MOST_WORDS = 8


@dataclass(frozen=True)
class Wanted:
    """What the address of the page says. `mark`: changed, missing or new-policy (not the seed any more)."""

    words: str = ""
    policy: str = ""
    integration: str = ""
    mark: str = ""
    page: int = 1

    @property
    def narrowed(self) -> bool:
        return bool(self.words or self.policy or self.mark)

    def as_arguments(self, **changes: Any) -> dict[str, Any]:
        """For url_for: only what is set. A change of the filter begins at page 1."""
        values: dict[str, Any] = {"q": self.words, "policy": self.policy, "mark": self.mark}
        values |= {"integration": self.integration} | changes
        return {key: value for key, value in values.items() if value}


@dataclass(frozen=True)
class Found:
    tools: list[Tool]
    total: int
    wanted: Wanted
    counts: dict[str, int] = field(default_factory=dict)  # by policy, before the policy filter

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE))

    @property
    def first(self) -> int:
        return (self.wanted.page - 1) * PAGE + 1 if self.total else 0

    @property
    def last(self) -> int:
        return min(self.wanted.page * PAGE, self.total)


def search(wanted: Wanted, integration: Integration | None = None) -> Found:
    """One page of what was asked for. Tools of drafts and of no integration at all don't exist."""
    conditions = _conditions(wanted, integration)
    everything = Tool.select(Tool, Integration).join(Integration)
    counts = _counts(conditions)
    if wanted.policy in POLICIES:
        conditions = [*conditions, Tool.policy == wanted.policy]
    chosen = _where(everything, conditions)
    total = _where(Tool.select().join(Integration), conditions).count()
    rows = chosen.order_by(Tool.catalogue_name).offset((wanted.page - 1) * PAGE).limit(PAGE)
    return Found(list(rows), total, wanted, counts)


def counts_by_integration() -> dict[int, dict[str, int]]:
    """{integration id: {policy: how many}}, tools that are gone left out."""
    query = (
        Tool.select(Tool.integration, Tool.policy, fn.COUNT(Tool.id))
        .where(Tool.missing_since.is_null())
        .group_by(Tool.integration, Tool.policy)
        .tuples()
    )
    counts: dict[int, dict[str, int]] = {}
    for integration_id, policy, count in query:
        counts.setdefault(integration_id, dict.fromkeys(POLICIES, 0))[policy] = count
    return counts


def by_id(tool_id: int) -> Tool:
    return _one(Tool.id == tool_id)


def by_catalogue_name(name: str) -> Tool:
    return _one(Tool.catalogue_name == name)


def history(tool: Tool, limit: int = 50) -> list[Entry]:
    return list(
        Entry.select().where(Entry.tool == tool.catalogue_name).order_by(Entry.id.desc()).limit(limit)
    )


def last_change(tool: Tool) -> Entry | None:
    """The log row of the last change of its definition, with what changed."""
    found: Entry | None = (
        Entry.select()
        .where(Entry.tool == tool.catalogue_name, Entry.action == "tool.changed")
        .order_by(Entry.id.desc())
        .first()
    )
    return found


def with_hidden_characters(integration: Integration) -> list[str]:
    """Catalogue names of tools whose texts have characters that a person would not see."""
    query = Tool.select(Tool.catalogue_name, Tool.title, Tool.description).where(
        Tool.integration == integration, Tool.missing_since.is_null()
    )
    return [name for name, *texts in query.order_by(Tool.name).tuples() if any(map(_hides, (name, *texts)))]


def hides_something(tool: Tool) -> bool:
    return any(map(_hides, (tool.name, tool.title, tool.description)))


def set_aside(integration: Integration) -> list[Quarantine]:
    return list(Quarantine.select().where(Quarantine.integration == integration).order_by(Quarantine.id))


def _hides(text: str) -> bool:
    plain = text.replace("\n", "").replace("\t", "")
    return not (plain.isascii() and plain.isprintable()) and has_hidden(text)


def _one(condition: Any) -> Tool:
    found: Tool | None = Tool.select(Tool, Integration).join(Integration).where(condition).first()
    if found is None:
        raise NotFound(
            "There is no such tool.",
            why="Its server may have been disconnected.",
            next_step="Look for it under Tools.",
        )
    return found


def _conditions(wanted: Wanted, integration: Integration | None) -> list[Any]:
    conditions = [_has(word) for word in wanted.words.split()[:MOST_WORDS]]
    if integration is not None:
        conditions.append(Tool.integration == integration)
    elif wanted.integration:
        conditions.append(Integration.name == wanted.integration)
    marks = {
        "changed": Tool.changed_at.is_null(False),
        "missing": Tool.missing_since.is_null(False),
        "new-policy": Tool.policy != Tool.seed_policy,
    }
    if wanted.mark in marks:
        conditions.append(marks[wanted.mark])
    return conditions


def _has(word: str) -> Any:
    places = (Tool.catalogue_name, Tool.title, Tool.description)
    return reduce(or_, (place.contains(word) for place in places))


def _counts(conditions: list[Any]) -> dict[str, int]:
    query = _where(Tool.select(Tool.policy, fn.COUNT(Tool.id)).join(Integration), conditions)
    counts = dict.fromkeys(POLICIES, 0)
    counts.update(dict(query.group_by(Tool.policy).tuples()))
    return counts


def _where(query: ModelSelect, conditions: list[Any]) -> ModelSelect:
    return query.where(reduce(and_, conditions)) if conditions else query
