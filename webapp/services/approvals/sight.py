"""What is true now, beside what a waiting call would set: a read that is Auto, run by Gatehouse for the person."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from webapp.errors import Refused
from webapp.services import desk
from webapp.services.approvals import record
from webapp.services.approvals.counterparts import Match, Shape, counterpart
from webapp.services.approvals.wording import words_of
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.models import Approval, Tool

GOOD_FOR = 60.0  # seconds
MOST_KEPT = 200
LONGEST_ID = 200
MOST_FACTS = 8
NOTHING = object()


@dataclass(frozen=True)
class Sight:
    """`now`: what the read says of each argument it says anything of. `problem`: why it says nothing, one line."""

    read: str
    points: frozenset[str] = frozenset()
    now: dict[str, Any] = field(default_factory=dict)
    whole: Any = None
    problem: str = ""
    entry_id: int | None = None

    @property
    def in_short(self) -> list[tuple[str, str]]:
        """The first plain facts of the answer."""
        whole = self.whole if isinstance(self.whole, dict) else {}
        facts = [(name, value) for name, value in whole.items() if isinstance(value, (str, int)) and value]
        return [(name, str(value)[:60]) for name, value in facts[:MOST_FACTS]]


@dataclass(frozen=True)
class View:
    """A read that shows what a call would change, and how it is asked. `points`: the call's arguments that say
    which one; they are no change."""

    read: Tool
    arguments: dict[str, Any]
    points: frozenset[str]


_kept: dict[str, tuple[float, Sight]] = {}
_looking: dict[str, threading.Lock] = {}
_guard = threading.Lock()


def view_of(approval: Approval) -> View | None:
    """None where no read surely shows the same thing."""
    tool = approval.tool
    if approval.state != "waiting" or tool is None or tool.kind == "read":
        return None
    reads = {read.name: read for read in _auto_reads(tool)}
    shapes = [Shape.of(name, read.definition.get("inputSchema")) for name, read in reads.items()]
    match = counterpart(Shape.of(tool.name, tool.definition.get("inputSchema")), shapes)
    if match is None:
        return None
    read, arguments = reads[match.read], _filled_in(match, record.arguments_of(approval))
    required = Shape.of(read.name, read.definition.get("inputSchema")).required
    points = frozenset(match.arguments.values())
    return View(read, arguments, points) if arguments and required <= set(arguments) else None


def _auto_reads(tool: Tool) -> list[Tool]:
    """Of the same server, whose name shares a word with the tool's."""
    words = [word for word in words_of(tool.name) if len(word) > 2]
    if not words:
        return []
    alike = Tool.name.contains(words[0].rstrip("s"))
    for word in words[1:8]:
        alike = alike | Tool.name.contains(word.rstrip("s"))
    query = Tool.select().where(
        Tool.integration == tool.integration_id, Tool.kind == "read", Tool.policy == "auto",
        Tool.missing_since.is_null(), alike,
    )  # fmt: skip
    return list(query)


def _filled_in(match: Match, given: dict[str, Any]) -> dict[str, Any]:
    arguments = {name: given[source] for name, source in match.arguments.items() if source in given}
    fit = all(_is_id(value) for value in arguments.values())
    return arguments if fit else {}


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and 0 < len(str(value)) <= LONGEST_ID


def kept(approval_id: str) -> Sight | None:
    """What was seen within the last minute, if it was seen by this worker."""
    at, sight = _kept.get(approval_id, (0.0, None))
    return sight if sight and time.monotonic() - at < GOOD_FOR else None


def look(approval: Approval, actor: Actor) -> Sight | None:
    """Runs the read, at most once a minute for one approval; it is logged like every call. Not in a transaction.

    None where there is nothing to look with. Trouble of whatever kind is the sight's `problem`.
    """
    needs(actor, "technician")
    with _lock(approval.id):
        if known := kept(approval.id):
            return known
        view = view_of(approval)
        if view is None:
            return None
        sight = _look(view, record.arguments_of(approval), actor)
        _keep(approval.id, sight)
        return sight


def _lock(approval_id: str) -> threading.Lock:
    with _guard:
        if len(_looking) > MOST_KEPT:
            for idle in [name for name, lock in _looking.items() if not lock.locked()]:
                del _looking[idle]
        return _looking.setdefault(approval_id, threading.Lock())


def _keep(approval_id: str, sight: Sight) -> None:
    with _guard:
        old = [name for name, (at, _) in _kept.items() if time.monotonic() - at >= GOOD_FOR]
        for name in old + list(_kept)[: max(0, len(_kept) - MOST_KEPT)]:
            _kept.pop(name, None)
        _kept[approval_id] = (time.monotonic(), sight)


def _look(view: View, wanted: dict[str, Any], actor: Actor) -> Sight:
    name, points = view.read.name, view.points
    try:
        outcome = desk.current().run(view.read, view.arguments, actor, purpose="look")
    except Refused as refusal:
        return Sight(name, points, problem=refusal.what)
    if outcome.outcome != "ok":
        return Sight(name, points, problem=_first_text(outcome.result), entry_id=outcome.entry_id)
    whole = _content(outcome.result)
    found = {argument: _find(whole, argument) for argument in wanted if argument not in points}
    now = {argument: value for argument, value in found.items() if value is not NOTHING}
    return Sight(name, points, now, whole, entry_id=outcome.entry_id)


def _content(result: dict[str, Any]) -> Any:
    structured = result.get("structuredContent")
    if isinstance(structured, dict) and structured:
        return structured
    text = _first_text(result)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _first_text(result: dict[str, Any]) -> str:
    content = result.get("content")
    for part in content if isinstance(content, list) else []:
        if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
            return str(part["text"])
    return ""


def _find(answer: Any, name: str) -> Any:
    """The field of this name, at the top or one level below: servers wrap one thing in another."""
    if not isinstance(answer, dict):
        return NOTHING
    if (found := _field(answer, name)) is not NOTHING:
        return found
    inner = [_field(part, name) for part in answer.values() if isinstance(part, dict)]
    known = [value for value in inner if value is not NOTHING]
    return known[0] if len(known) == 1 else NOTHING


def _field(part: dict[str, Any], name: str) -> Any:
    wanted = words_of(name)
    return next((value for key, value in part.items() if key == name or words_of(key) == wanted), NOTHING)
