"""The inbox, a card for each call: what is asked, by whom, what is other than last time, what else waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from webapp.services.approvals import decisions, excerpts, freezing, record, runs, second_person, sight
from webapp.services.approvals.differences import Argument, Difference, difference, last_approved
from webapp.services.approvals.excerpts import Room
from webapp.services.approvals.sight import Sight
from webapp.services.approvals.wording import in_words
from webapp.services.redaction import digest_of
from webapp.services.roles import ROLES
from webapp.store.fields import now
from webapp.store.models import Approval, Entry, Tool, User

STILL_SHOWN = timedelta(minutes=5)
# More would bury the person and the browser; what is behind them moves up as they are decided.
MOST_WAITING = 30
MOST_SHOWN = 60
# Of what is over and not on the page yet: an agent that is let do much, or stopped, ends hundreds within minutes.
MOST_OVER = 10
EARLIER_CALLS = 3


@dataclass(frozen=True)
class Card:
    """`hindrance`: why this reader may not approve. `looks_with`: name of the read that shows what is true now."""

    approval: Approval
    words: str
    difference: Difference
    hindrance: str = ""
    looks_with: str = ""
    points: frozenset[str] = frozenset()  # arguments that say which one
    sight: Sight | None = None
    others: tuple[Approval, ...] = ()  # further calls of the same agent that wait
    earlier: tuple[Entry, ...] = ()  # the last calls of the same tool
    result: dict[str, Any] | None = None
    replies: dict[str, Any] = field(default_factory=dict)  # of the agent, to what the server asked back
    server_state: str = ""  # goes back to the server with them
    besides: dict[str, Any] = field(default_factory=dict)  # what the agent sends along in `_meta`
    declared: tuple[str, ...] = ()  # the tool's own arguments, in its order; empty: it does not say
    notice: str = ""
    room: Room = excerpts.IN_THE_INBOX

    @property
    def tool(self) -> Tool | None:
        tool: Tool | None = self.approval.tool
        return tool

    @property
    def state(self) -> str:
        """What waits too long is over, also before anybody has written that down."""
        return "expired" if self.approval.late else str(self.approval.state)

    @property
    def open(self) -> bool:
        return self.state == "waiting"

    @property
    def arguments(self) -> list[Argument]:
        """As far as there is room for them."""
        return excerpts.fitted(self.difference.arguments, self.room)

    def is_strange(self, argument: str) -> bool:
        """The tool says which arguments it has, and this is none of them."""
        return bool(self.declared) and argument not in self.declared

    @property
    def cut(self) -> bool:
        """Whether any value is longer than there is room for."""
        return any(len(excerpts.as_text(one.value)) > self.room.each for one in self.arguments)

    @property
    def answer(self) -> str:
        return excerpts.text_of(self.result) if self.result else ""

    def saying(self, notice: str) -> Card:
        return replace(self, notice=notice)

    def alone(self) -> Card:
        """On a page of its own."""
        return replace(self, room=excerpts.ALONE)


@dataclass(frozen=True)
class Inbox:
    """`behind`: how many more wait than are shown. `mark`: differs when there is anything new to see."""

    cards: list[Card] = field(default_factory=list)
    waiting: int = 0
    behind: int = 0
    mark: str = ""


def inbox(reader: User, shown: Iterable[str] = (), seen: str = "") -> Inbox | None:
    """None when nothing has changed since `seen`. `shown` are the cards on the reader's page: they stay where they
    are, and new ones follow; at first what waits comes before what was decided a moment ago."""
    places = {one: place for place, one in enumerate(list(shown)[:MOST_SHOWN])}
    rows = list(Approval.inbox(STILL_SHOWN, MOST_OVER, list(places)))
    rows.sort(key=lambda row: (places.get(row.id, len(places)), row.state != "waiting" or row.late))
    waiting = [row for row in rows if row.state == "waiting" and not row.late]
    left_out = {row.id for row in waiting[MOST_WAITING:]}
    rows = [row for row in rows if row.id not in left_out]
    mark = _mark(rows, len(waiting))
    if seen and seen == mark:
        return None
    return Inbox([card(row, reader, waiting) for row in rows], len(waiting), len(left_out), mark)


def _mark(rows: list[Approval], waiting: int) -> str:
    """Each minute it is another, for the sake of "3 minutes ago"."""
    facts = [
        (
            row.id,
            row.state,
            row.late,
            str(row.frozen_at),
            row.expires_at.isoformat(),
            row.reason,
            row.agent_is_waiting,
        )
        for row in rows
    ]
    return digest_of([facts, waiting, f"{now():%d %H:%M}"])[:16]


def card(approval: Approval, reader: User, waiting: Iterable[Approval] | None = None) -> Card:
    arguments = record.arguments_of(approval)
    name = approval.tool.name if approval.tool else approval.catalogue_name.rpartition(":")[2]
    declared, along = _declared(approval.tool), record.sent_along(approval)
    made = Card(
        approval,
        in_words(name, arguments, declared),
        difference(arguments, last_approved(approval)),
        result=record.result_of(approval) if approval.result else None,
        sight=sight.kept(approval.id),
        replies=along.answers,
        server_state=along.server_state,
        besides=along.besides,
        declared=declared,
    )
    if not made.open:
        return made
    return _open(made, reader, Approval.waiting() if waiting is None else waiting)


def _declared(tool: Tool | None) -> tuple[str, ...]:
    schema = tool.definition.get("inputSchema") if tool else None
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return tuple(properties) if isinstance(properties, dict) else ()


def _open(made: Card, reader: User, waiting: Iterable[Approval]) -> Card:
    """What only matters while somebody has to decide."""
    approval, decides = made.approval, ROLES.index(reader.role) >= ROLES.index("technician")
    view = sight.view_of(approval) if decides and made.sight is None else None
    return replace(
        made,
        hindrance=_hindrance(approval, reader),
        looks_with=view.read.name if view else "",
        points=view.points if view else frozenset(),
        others=tuple(one for one in waiting if _same_agent(one, approval)),
        earlier=tuple(_earlier(approval)),
    )


def _hindrance(approval: Approval, reader: User) -> str:
    if scope := freezing.scope_of(approval):
        return f"It can’t run now: {decisions.PAUSED[scope]}. You can still deny it."
    if why := runs.hindrance(approval):
        return f"It can’t run: {why}"
    return second_person.hindrance(approval, reader.id)


def _same_agent(one: Approval, other: Approval) -> bool:
    return bool(one.id != other.id and one.agent_name == other.agent_name and one.agent_id == other.agent_id)


def _earlier(approval: Approval) -> list[Entry]:
    query = Entry.select().where(
        Entry.tool == approval.catalogue_name, Entry.kind == "call", Entry.outcome != "waiting",
        Entry.approval != approval.id,
    )  # fmt: skip
    return list(query.order_by(Entry.id.desc()).limit(EARLIER_CALLS))
