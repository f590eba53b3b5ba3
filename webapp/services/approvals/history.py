"""Decided, expired and withdrawn calls, newest first, narrowed by what the address says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta, tzinfo

from peewee import ModelSelect

from webapp.services.times import midnight
from webapp.store.models import Approval, Integration

PAGE = 50
STATES = {
    "done": "Approved and done",
    "failed": "Approved, but failed",
    "unknown": "Outcome unknown",
    "denied": "Denied",
    "expired": "Expired",
    "withdrawn": "Withdrawn",
}
NAMES = ("state", "agent", "integration", "who", "from", "to")


@dataclass(frozen=True)
class Wanted:
    """The filters as typed, as far as they make sense; `page` from 1."""

    filters: Mapping[str, str] = field(default_factory=dict)
    page: int = 1

    @classmethod
    def of(cls, arguments: Mapping[str, str], page: int) -> Wanted:
        given = {name: arguments.get(name, "").strip()[:200] for name in NAMES}
        kept = {name: text for name, text in given.items() if text and _makes_sense(name, text)}
        return cls(kept, min(max(page, 1), 10_000))


@dataclass(frozen=True)
class Found:
    rows: list[Approval]
    total: int
    wanted: Wanted

    @property
    def more(self) -> bool:
        return self.total > self.wanted.page * PAGE


def search(wanted: Wanted, zone: tzinfo) -> Found:
    query = _all(wanted, zone)
    rows = query.offset((wanted.page - 1) * PAGE).limit(PAGE)
    return Found(list(rows), query.count(), wanted)


def batches(wanted: Wanted, zone: tzinfo, size: int) -> Iterator[list[Approval]]:
    """All that match, newest first, each batch read by itself."""
    query = _all(wanted, zone)
    rows = list(query.limit(size))
    while rows:
        yield rows
        last = rows[-1]
        same_moment = (Approval.created_at == last.created_at) & (Approval.id < last.id)
        rows = list(query.where((Approval.created_at < last.created_at) | same_moment).limit(size))


def _all(wanted: Wanted, zone: tzinfo) -> ModelSelect:
    query = Approval.over()
    for name, text in wanted.filters.items():
        query = _narrowed(query, name, text, zone)
    return query


def choices() -> dict[str, list[str]]:
    """What can be chosen in the filters: agents, integrations, deciders."""
    agents = Approval.select(Approval.agent_name).distinct().order_by(Approval.agent_name).tuples()
    deciders = Approval.select(Approval.decided_by).distinct().order_by(Approval.decided_by).tuples()
    return {
        "agent": [name for (name,) in agents],
        "integration": [row.name for row in Integration.listed()],
        "who": [name for (name,) in deciders if name],
    }


def _narrowed(query: ModelSelect, name: str, text: str, zone: tzinfo) -> ModelSelect:
    match name:
        case "state":
            return query.where(Approval.state == text)
        case "agent":
            return query.where(Approval.agent_name == text)
        case "who":
            return query.where(Approval.decided_by == text)
        case "integration":
            prefixes = [f"{kind}:{text}:" for kind in ("mcp", "builtin")]
            name_of = Approval.catalogue_name
            return query.where(name_of.startswith(prefixes[0]) | name_of.startswith(prefixes[1]))
        case "from":
            return query.where(Approval.created_at >= midnight(date.fromisoformat(text), zone))
    return query.where(Approval.created_at < midnight(date.fromisoformat(text) + timedelta(days=1), zone))


def _makes_sense(name: str, text: str) -> bool:
    if name == "state":
        return text in STATES
    if name in ("from", "to"):
        return _is_day(text)
    return "\0" not in text


def _is_day(text: str) -> bool:
    try:
        return date(1970, 1, 1) <= date.fromisoformat(text) < date(9000, 1, 1)
    except ValueError:
        return False
