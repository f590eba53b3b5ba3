"""Finding rows of the log again: by who, what, when and how it ended, a page at a time, also in a million rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from peewee import SQL, Expression, fn

from webapp.services import sentences, times
from webapp.services.figures import id_ranges
from webapp.store.models import Entry

PAGE = 50
LONGEST = 300
# A search that finds little walks through much. It stops here and says how far it came.
SECONDS = 0.3
FIRST_WINDOW, LARGEST_WINDOW = 20_000, 100_000  # ids; doubled with each look
# The conditions of the partial indexes, in the words of store/models/log.py.
ODD, HAS_APPROVAL, IS_CHANGE = (
    SQL("\"outcome\" <> 'ok'"),
    SQL("\"approval\" <> ''"),
    SQL("\"kind\" = 'change'"),
)


@dataclass(frozen=True)
class Wanted:
    """What the address of the page says. `since` and `until` are days (YYYY-MM-DD), both included, in the zone of
    whoever asks; `actor` is an agent or a person, `outcome` one outcome or one of sentences.GROUPS."""

    text: str = ""
    kind: str = ""
    agent: str = ""
    user: str = ""
    actor: str = ""
    integration: str = ""
    tool: str = ""
    outcome: str = ""
    action: str = ""
    approval: str = ""
    since: str = ""
    until: str = ""
    zone: tzinfo = UTC

    @classmethod
    def from_arguments(cls, given: Mapping[str, str], zone: tzinfo = UTC) -> Wanted:
        """What makes no sense is left out, as if nobody had said it."""
        names = [name for name in cls.__dataclass_fields__ if name != "zone"]
        said = {name: given.get(name, "").strip()[:LONGEST] for name in names}
        for name in ("since", "until"):
            if _day(said[name]) is None:
                said[name] = ""
        return cls(**said, zone=zone)

    def as_arguments(self, **changes: Any) -> dict[str, Any]:
        """For url_for: only what is set."""
        said = {name: value for name, value in (asdict(self) | changes).items() if name != "zone"}
        return {name: value for name, value in said.items() if value}

    @property
    def begins(self) -> datetime | None:
        day = _day(self.since)
        return times.midnight(day, self.zone) if day else None

    @property
    def ends(self) -> datetime | None:
        """The first moment after the last day."""
        day = _day(self.until)
        return times.midnight(times.day_after(day), self.zone) if day else None


@dataclass(frozen=True)
class Found:
    """`before` is where to go on, 0 at the end. `looked_back_to` is set where the search stopped early."""

    entries: list[Entry]
    before: int = 0
    looked_back_to: datetime | None = None


def search(wanted: Wanted, before: int = 0) -> Found:
    """Newest first. What happens meanwhile does not shift a page: `before` is an id."""
    conditions = _conditions(wanted)
    ids: list[int] = []
    until = time.monotonic() + SECONDS
    windows = list(_windows(wanted, before))
    for low, high in windows:
        ids += _ids(conditions, low, high, PAGE + 1 - len(ids))
        if len(ids) > PAGE:
            return Found(entries(ids[:PAGE]), ids[PAGE - 1])
        if time.monotonic() > until and (low, high) != windows[-1]:
            return Found(entries(ids), low + 1, _moment_of(low + 1))
    return Found(entries(ids))


def entries(ids: list[int]) -> list[Entry]:
    return list(Entry.select().where(Entry.id.in_(ids)).order_by(Entry.id.desc()))


def oldest_first(wanted: Wanted, batch: int) -> Iterator[list[tuple[Any, ...]]]:
    """All that match up to now, in batches, each read by itself: nobody's snapshot stays open for minutes."""
    conditions, last = _conditions(wanted), _newest_id()
    for first, end in reversed(id_ranges(wanted.begins, wanted.ends)):
        after, end = first - 1, min(end, last)
        while after < end:
            rows = _batch(conditions, after, end, batch)
            if not rows:
                break
            yield rows
            after = rows[-1][0]


def of_approval(entry: Entry) -> list[Entry]:
    """The other rows of its approval, oldest first: asked, decided, run."""
    rows = Entry.select().where(Entry.approval == entry.approval, HAS_APPROVAL, Entry.id != entry.id)
    return list(rows.order_by(Entry.id).limit(PAGE))


def _batch(conditions: list[Expression], after: int, end: int, most: int) -> list[tuple[Any, ...]]:
    query = Entry.select().where(Entry.id > after, Entry.id <= end, *conditions)
    return list(query.order_by(Entry.id).limit(most).tuples())


def _conditions(wanted: Wanted) -> list[Expression]:
    said = [*_who(wanted), *_what(wanted)]
    if wanted.text:
        places = (Entry.tool, Entry.actor, Entry.details)
        said.append(
            places[0].contains(wanted.text)
            | places[1].contains(wanted.text)
            | places[2].contains(wanted.text)
        )
    if wanted.begins:
        said.append(fn.COALESCE(Entry.at, None) >= _stored(wanted.begins))
    if wanted.ends:
        said.append(fn.COALESCE(Entry.at, None) < _stored(wanted.ends))
    return said


def _who(wanted: Wanted) -> Iterator[Expression]:
    for kind, name in (("agent", wanted.agent), ("user", wanted.user)):
        if name:
            yield (Entry.actor == name) & (Entry.actor_kind == kind)
    if wanted.actor:
        yield Entry.actor == wanted.actor


def _what(wanted: Wanted) -> Iterator[Expression]:
    if wanted.kind == "change" or wanted.action not in ("", "call"):
        yield IS_CHANGE
    if wanted.kind not in ("", "change"):
        yield fn.COALESCE(Entry.kind, None) == wanted.kind
    if wanted.outcome:
        members = (
            sentences.GROUPS[wanted.outcome][1] if wanted.outcome in sentences.GROUPS else (wanted.outcome,)
        )
        yield Entry.outcome.in_(members)
        if "ok" not in members:
            yield ODD
    if wanted.approval:
        yield Entry.approval == wanted.approval
        yield HAS_APPROVAL
    for name in ("integration", "tool", "action"):
        if value := getattr(wanted, name):
            yield getattr(Entry, name) == value


def _stored(moment: datetime) -> str:
    return str(Entry.at.db_value(moment))


def _windows(wanted: Wanted, before: int) -> Iterator[tuple[int, int]]:
    """(after this id, before that id), newest first, small ones first."""
    top = min(before, _newest_id() + 1) if before else _newest_id() + 1
    bottom, size = _first_id() - 1, FIRST_WINDOW
    for first, last in id_ranges(wanted.begins, wanted.ends):
        high, end = min(top, last + 1), max(first - 1, bottom)
        while high > end + 1:
            low = max(end, high - size)
            yield low, high
            high, top, size = low + 1, low + 1, min(size * 2, LARGEST_WINDOW)


def _ids(conditions: list[Expression], low: int, high: int, most: int) -> list[int]:
    query = Entry.select(Entry.id).where(Entry.id > low, Entry.id < high, *conditions)
    return [id for (id,) in query.order_by(Entry.id.desc()).limit(most).tuples()]


def _newest_id() -> int:
    return int(Entry.select(fn.MAX(Entry.id)).scalar() or 0)


def _first_id() -> int:
    return int(Entry.select(fn.MIN(Entry.id)).scalar() or 0)


def _moment_of(id: int) -> datetime | None:
    moment: datetime | None = (
        Entry.select(Entry.at).where(Entry.id >= id).order_by(Entry.id).limit(1).scalar()
    )
    return moment


def _day(text: str) -> date | None:
    """None too for days beside the calendar, of which midnight elsewhere could not be told."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        return None
    return day if 1970 <= day.year < 9999 else None
