"""Numbers for Prometheus. All come from the store, so they are of all workers, whichever is asked; what only one
process knows (memory, open calls) is the machine's monitoring to tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from peewee import SQL, DatabaseError, Model, fn

from config import VERSION
from webapp.services import condition, daily_backups, intents
from webapp.services.tallying import quarters, removed_calls, tallied
from webapp.store.database import snapshot
from webapp.store.models import Agent, Approval, Entry, Integration, Intent, Tally, Tool
from webapp.store.problems import explained

NEWEST = 2**63 - 1
TROUBLE = "What is wrong, as in /readyz."
Labels = Mapping[str, str]


def exposition() -> str:
    """In the text format, version 0.0.4."""
    return _text([*_version(), *_of_condition(), *_of_store()])


def without_store(error: DatabaseError) -> str:
    """What can be said where the database can't be read."""
    trouble = [({"reason": explained(error).reason}, 1)]
    return _text([*_version(), *_ready(False), *_family("trouble", "gauge", TROUBLE, trouble)])


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _version() -> Iterator[str]:
    return _family("info", "gauge", "The version that runs.", [({"version": VERSION}, 1)])


def _ready(ready: bool) -> Iterator[str]:
    return _family("ready", "gauge", "Whether calls can run.", [({}, int(ready))])


def _of_condition() -> list[str]:
    found = condition.look()
    backups = daily_backups.kept()
    said = [({"reason": one.reason}, 1) for one in found]
    if daily_backups.problem():
        said.append(({"reason": "backup"}, 1))
    return [
        *_ready(not any(one.stops for one in found)),
        *_family("trouble", "gauge", TROUBLE, said),
        *_family("backup_time_seconds", "gauge", "When the last backup was made.",
                 [({}, _seconds(one.at)) for one in backups[:1]]),
        *_family("backup_bytes", "gauge", "Size of the last backup.", [({}, one.size) for one in backups[:1]]),
    ]  # fmt: skip


def _of_store() -> list[str]:
    approvals = Counter(dict(_counted(Approval, Approval.state)))
    return [
        *_family("calls_total", "counter", "Calls of agents and people, by outcome.",
                 [({"outcome": outcome}, count) for outcome, count in sorted(_calls().items())]),
        *_family("log_entries_total", "counter", "Rows ever written to the log.",
                 [({}, Entry.select(fn.MAX(Entry.id)).scalar() or 0)]),
        *_family("approvals", "gauge", "Approvals by state.", _labelled("state", approvals)),
        *_family("writes_under_way", "gauge", "Writes that have left and are not answered.",
                 [({}, Intent.select().count())]),
        *_family("integrations", "gauge", "Servers and built-ins by state.",
                 _labelled("state", Counter(dict(_counted(Integration, Integration.state))))),
        *_family("tools", "gauge", "Tools by policy.",
                 _labelled("policy", Counter(dict(_counted(Tool, Tool.policy))))),
        *_family("agents", "gauge", "Agents whose key works.",
                 [({}, sum(agent.usable for agent in Agent.select()))]),
        *_family("worker_start_time_seconds", "gauge", "The workers that live, and since when.",
                 [({"worker": one.id}, _seconds(one.started_at)) for one in intents.living()]),
    ]  # fmt: skip


def _calls() -> Counter[str]:
    """All that ever were: what is counted ahead, what is not yet, and what is no longer in the log. A counter that
    went down would count everything anew."""
    with snapshot():
        counted = Tally.select(Tally.outcome, fn.SUM(Tally.count)).where(Tally.kind == "call")
        found = removed_calls()
        found.update({outcome: int(count) for outcome, count in counted.group_by(Tally.outcome).tuples()})
        for _, kind, outcome, count, *_ in quarters(tallied(), NEWEST):
            if kind == "call":
                found[outcome] += count
    return found


def _counted(model: type[Model], column: object) -> Iterator[tuple[str, int]]:
    yield from model.select(column, fn.COUNT(SQL("*"))).group_by(column).tuples()


def _labelled(name: str, counts: Counter[str]) -> Sequence[tuple[Labels, float]]:
    return [({name: value}, count) for value, count in sorted(counts.items())]


def _seconds(moment: datetime) -> float:
    return round(moment.timestamp(), 3)


def _family(name: str, kind: str, about: str, samples: Sequence[tuple[Labels, float]]) -> Iterator[str]:
    if samples:
        yield f"# HELP gatehouse_{name} {about}"
        yield f"# TYPE gatehouse_{name} {kind}"
    for labels, value in samples:
        said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"gatehouse_{name}{{{said}}} {value}" if said else f"gatehouse_{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
