"""Looking for tools: words, filters, order, a page at a time; what one tool's log says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import reduce
from operator import and_, or_
from typing import Any

from peewee import SQL, ModelSelect, chunked, fn

from webapp.errors import NotFound
from webapp.services.policies import POLICIES
from webapp.store.fields import now
from webapp.store.models import WAITS, BulkItem, Entry, Integration, Quarantine, Tool, database

PAGE = 100
KINDS = ("read", "write", "unknown")
MARKS = ("review", "new", "changed", "new-policy", "flagged", "never-used", "missing")
MOST_WORDS = 8
NEW_FOR = timedelta(days=7)
ROWS_AT_ONCE = 500
# A list shows none of them, and a page of 100 would carry 200 KB of schemas out of the database.
HEAVY = ("definition", "reviewed_definition")
LEAN = [column for column in Tool._meta.sorted_fields if column.name not in HEAVY]
LEAN += [Integration.id, Integration.kind, Integration.name, Integration.title, Integration.finished_at]
# In these very words, or the partial index doesn't serve and 100,000 calls of a tool are walked past.
CHANGES = SQL("\"kind\" = 'change'")


@dataclass(frozen=True)
class Wanted:
    """What the address of the page says. `order` is used (last call), changed, integration, or empty: by name."""

    words: str = ""
    policy: str = ""
    integration: str = ""
    mark: str = ""
    page: int = 1
    kind: str = ""
    order: str = ""

    @property
    def narrowed(self) -> bool:
        return bool(self.words or self.policy or self.mark or self.kind)

    def filters(self) -> dict[str, str]:
        """Only what is set, as an address and a form name it."""
        values = {"q": self.words, "policy": self.policy, "kind": self.kind, "mark": self.mark}
        return {key: value for key, value in (values | {"integration": self.integration}).items() if value}

    def as_arguments(self, **changes: Any) -> dict[str, Any]:
        """For url_for. A change of the filter begins at page 1."""
        values: dict[str, Any] = self.filters() | {"sort": self.order} | changes
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
        return (self.wanted.page - 1) * PAGE + 1 if self.tools else 0

    @property
    def last(self) -> int:
        return min(self.wanted.page * PAGE, self.total)


def search(wanted: Wanted, integration: Integration | None = None) -> Found:
    """One page of what was asked for. One scan gives the order and every count."""
    query = _matching(wanted, integration, Tool.id, Tool.policy).order_by(*_order(wanted.order))
    rows = database.execute(query).fetchall()  # as they are: converting 5,000 takes Peewee 15 ms
    counts = dict.fromkeys(POLICIES, 0)
    for _, policy in rows:
        counts[policy] += 1
    ids = [id for id, policy in rows if wanted.policy not in POLICIES or policy == wanted.policy]
    start = (wanted.page - 1) * PAGE
    return Found(_lean(ids[start : start + PAGE]), len(ids), wanted, counts)


@dataclass(frozen=True)
class Candidate:
    """As much of a tool as a bulk change needs: thousands of whole rows would take half a second to make."""

    id: int
    catalogue_name: str
    integration: str
    kind: str
    policy: str
    seed_policy: str
    definition_digest: str
    waits: bool  # for a look
    flagged: bool
    policy_bulk: str


def matching(wanted: Wanted) -> list[Candidate]:
    """All that match, on every page."""
    query = _matching(wanted, None, *_CANDIDATE)
    return _candidates(query.where(Tool.policy == wanted.policy) if wanted.policy in POLICIES else query)


def chosen(ids: Iterable[int]) -> list[Candidate]:
    """Those of these ids that still exist."""
    found: list[Candidate] = []
    for batch in chunked(ids, ROWS_AT_ONCE):
        found += _candidates(Tool.select(*_CANDIDATE).join(Integration).where(Tool.id.in_(batch)))
    return sorted(found, key=lambda one: one.catalogue_name)


_CANDIDATE = (
    Tool.id, Tool.catalogue_name, Integration.name, Tool.kind, Tool.policy, Tool.seed_policy,
    Tool.definition_digest, Tool.policy_before, Tool.flagged, Tool.policy_bulk,
)  # fmt: skip


def _candidates(query: ModelSelect) -> list[Candidate]:
    rows = query.order_by(Tool.catalogue_name).tuples()
    return [
        Candidate(id, name, integration, kind, policy, seed, digest, bool(before), flagged, bulk)
        for id, name, integration, kind, policy, seed, digest, before, flagged, bulk in rows
    ]


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


def calls(tool: Tool, limit: int = 10) -> list[Entry]:
    """Its newest calls in the log."""
    return list(_log(tool).where(Entry.kind == "call").limit(limit))


def changes(tool: Tool, limit: int = 50) -> list[Entry]:
    """What was done to it, newest first: the history of its policy and its definition."""
    return list(_log(tool).where(CHANGES).limit(limit))


def _log(tool: Tool) -> ModelSelect:
    return Entry.select().where(Entry.tool == tool.catalogue_name).order_by(Entry.id.desc())


def is_new(tool: Tool) -> bool:
    """First seen lately, after the server's set-up was finished, and nobody has set its policy or looked."""
    integration = tool.integration
    if integration.kind != "server" or tool.policy_at is not None or tool.first_seen_at < now() - NEW_FOR:
        return False
    return integration.finished_at is None or bool(tool.first_seen_at > integration.finished_at)


def flagged(integration: Integration) -> list[Tool]:
    """Those in which screening found something."""
    query = Tool.select().where(Tool.integration == integration, Tool.missing_since.is_null(), Tool.flagged)
    return list(query.order_by(Tool.name))


def set_aside(integration: Integration) -> list[Quarantine]:
    return list(Quarantine.select().where(Quarantine.integration == integration).order_by(Quarantine.id))


def _one(condition: Any) -> Tool:
    found: Tool | None = Tool.select(Tool, Integration, *_extras()).join(Integration).where(condition).first()
    if found is None:
        raise NotFound(
            "There is no such tool.",
            why="Its server may have been disconnected.",
            next_step="Look for it under Tools.",
        )
    return found


def _lean(ids: list[int]) -> list[Tool]:
    """In the order of the ids."""
    query = Tool.select(*LEAN, *_extras()).join(Integration).where(Tool.id.in_(ids))
    found = {tool.id: tool for tool in query}
    return [found[id] for id in ids if id in found]


def _extras() -> list[Any]:
    """`called_at`: of its newest call in the log; `together`: how many tools its bulk change set."""
    items = BulkItem.select(fn.COUNT(BulkItem.id)).where(
        Tool.policy_bulk != "", BulkItem.bulk == Tool.policy_bulk
    )
    called = fn.COALESCE(_newest_call(Entry.at), None).converter(Entry.at.python_value)
    return [called.alias("called_at"), items.alias("together")]


def _newest_call(column: Any) -> ModelSelect:
    """Two steps down the log's index on (tool, id): 12 ms for 5,000 tools in a log of 1,000,000 rows."""
    calls = Entry.select(column).where(Entry.tool == Tool.catalogue_name, Entry.kind == "call")
    return calls.order_by(Entry.id.desc()).limit(1)


def _matching(wanted: Wanted, integration: Integration | None, *columns: Any) -> ModelSelect:
    """Whatever its policy."""
    query = Tool.select(*columns)
    named = any(
        column is Integration.name for column in columns
    )  # `in` would ask Peewee, which says yes to all
    if named or wanted.order == "integration" or wanted.mark == "new":
        query = query.join(Integration)
    conditions = _conditions(wanted, integration)
    return query.where(reduce(and_, conditions)) if conditions else query


def _conditions(wanted: Wanted, integration: Integration | None) -> list[Any]:
    conditions = [_has(word) for word in wanted.words.split()[:MOST_WORDS]]
    if integration is not None:
        conditions.append(Tool.integration == integration)
    elif wanted.integration:
        conditions.append(
            Tool.integration
            == Integration.select(Integration.id).where(Integration.name == wanted.integration)
        )
    if wanted.kind in KINDS:
        conditions.append(Tool.kind == wanted.kind)
    if wanted.mark in MARKS:
        conditions.append(_marked(wanted.mark))
    return conditions


def _marked(mark: str) -> Any:
    match mark:
        case "review":
            return WAITS & Tool.missing_since.is_null()
        case "changed":
            return Tool.changed_at.is_null(False)
        case "missing":
            return Tool.missing_since.is_null(False)
        case "new-policy":
            return Tool.policy != Tool.seed_policy
        case "flagged":
            return Tool.flagged
        case "never-used":
            return ~fn.EXISTS(_newest_call(SQL("1")))
    late = Integration.finished_at.is_null() | (Tool.first_seen_at > Integration.finished_at)
    fresh = (Tool.first_seen_at > now() - NEW_FOR) & Tool.policy_at.is_null()
    return fresh & late & (Integration.kind == "server")


def _order(order: str) -> list[Any]:
    """The name last, so that equals stay where they are from page to page."""
    match order:
        case "integration":
            return [fn.LOWER(Integration.title), Tool.catalogue_name]
        case "used":
            return [fn.COALESCE(_newest_call(Entry.id), 0).desc(), Tool.catalogue_name]
        case "changed":
            moments = (Tool.first_seen_at, Tool.policy_at, Tool.changed_at, Tool.missing_since)
            return [database.latest_of(moments).desc(), Tool.catalogue_name]
    return [Tool.catalogue_name]


def _has(word: str) -> Any:
    places = (Tool.catalogue_name, Tool.title, Tool.description)
    return reduce(or_, (place.contains(word) for place in places))
