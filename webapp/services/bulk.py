"""Many policies in one go: what a change would do, doing it in one transaction, and taking it back at any time."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from peewee import Value, chunked

from webapp.errors import InvalidInput, NotFound, Stale
from webapp.services import audit, plans, tools
from webapp.services.audit import Actor, Row
from webapp.services.plans import Plan, Step
from webapp.services.policies import looser
from webapp.services.roles import needs
from webapp.services.tools import Candidate, Wanted
from webapp.services.wishes import Wish
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import BulkChange, BulkItem, Tool

MOST_CHOSEN = 5000
ROWS_AT_ONCE = 500
NAMES_IN_LOG = 100


@dataclass(frozen=True)
class Selection:
    """Single tools, or all that a filter matches."""

    wanted: Wanted = Wanted()
    ids: tuple[int, ...] | None = None

    def tools(self) -> list[Candidate]:
        return tools.matching(self.wanted) if self.ids is None else tools.chosen(self.ids[:MOST_CHOSEN])


def plan(selection: Selection, wish: Wish, role: str) -> Plan:
    return plans.draw(((tool, wish.policy_for(tool)) for tool in selection.tools()), role)


def change(selection: Selection, wish: Wish, actor: Actor, *, seen: str = "") -> BulkChange:
    """Raises Stale where the plan is not the one with the digest `seen`, or was not seen and ought to be."""
    needs(actor, "technician")
    with writing():
        doing = plan(selection, wish, actor.role)
        if (seen or doing.needs_preview) and seen != doing.digest:
            raise Stale(
                "Some of these tools have changed since the preview was made.",
                next_step="Look at what would be done now.",
            )
        if not doing.steps:
            raise InvalidInput("Nothing was changed.", why=plans.nothing(doing), field="tool")
        return _do(doing, _new(actor, wish.what, selection.wanted.integration), actor)


# --- looking back


def find(bulk_id: str) -> BulkChange:
    found: BulkChange | None = BulkChange.get_or_none(BulkChange.id == bulk_id)
    if found is None:
        raise NotFound("There is no such bulk change.", next_step="Look for it under Activity.")
    return found


def latest(limit: int = 50) -> list[BulkChange]:
    return list(BulkChange.select().order_by(BulkChange.at.desc()).limit(limit))


@dataclass(frozen=True)
class Skipped:
    """What Undo leaves alone, and why. `policy` is what it has now; empty: there is no such tool any more."""

    catalogue_name: str
    why: str
    policy: str = ""


@dataclass(frozen=True)
class Undoing:
    plan: Plan
    skipped: list[Skipped]


def undoing(bulk: BulkChange, role: str) -> Undoing:
    """What Undo would do now: whatever somebody has changed since stays as it is."""
    query = BulkItem.select().where(BulkItem.bulk == bulk).order_by(BulkItem.catalogue_name)
    items = list(query.namedtuples())
    known = {tool.id: tool for tool in tools.chosen([item.tool for item in items if item.tool])}
    undone_by = {one.id for one in BulkChange.select(BulkChange.id).where(BulkChange.undoes == bulk)}
    back: list[tuple[Candidate, str]] = []
    skipped: list[Skipped] = []
    for item in items:
        tool = known.get(item.tool)
        if tool is not None and not (why := _why_not_back(item, tool, bulk, undone_by)):
            back.append((tool, item.before))
        else:
            why = why if tool else "It is gone: its server was disconnected."
            skipped.append(Skipped(item.catalogue_name, why, tool.policy if tool else ""))
    planned = plans.draw(back, role)
    skipped += [Skipped(s.tool.catalogue_name, s.why_not, s.tool.policy) for s in planned.left_out]
    return Undoing(planned, skipped)


def undo(bulk: BulkChange, actor: Actor) -> BulkChange:
    """A bulk change of its own, which can be taken back too. Raises Stale when nothing is left to put back."""
    needs(actor, "technician")
    with writing():
        doing = undoing(bulk, actor.role)
        if not doing.plan.steps:
            raise Stale(
                "Nothing is left to put back.",
                why=doing.skipped[0].why if doing.skipped else "",
                next_step="Change the tools one by one.",
            )
        what = "back to what it was" if len(doing.plan.steps) == 1 else "back to what they were"
        new = _new(actor, what, str(bulk.integration), undoes=bulk)
        return _do(doing.plan, new, actor, skipped=doing.skipped)


def _why_not_back(item: Any, tool: Candidate, bulk: BulkChange, undone_by: set[str]) -> str:
    if tool.policy_bulk in undone_by:
        return "It was put back already."
    if tool.policy_bulk != bulk.id or tool.policy != item.after:
        return "Its policy was changed since."
    if tool.definition_digest != item.definition_digest and looser(item.before, tool.policy):
        return "Its definition changed since."
    return ""


# --- doing it


def _new(actor: Actor, what: str, integration: str, undoes: BulkChange | None = None) -> BulkChange:
    id = f"blk_{secrets.token_hex(8)}"
    return BulkChange(id=id, at=now(), by=actor.name, what=what, integration=integration, undoes=undoes)


def _do(planned: Plan, bulk: BulkChange, actor: Actor, skipped: Iterable[Skipped] = ()) -> BulkChange:
    """In the caller's transaction: the tools, a log row for each, and one for all."""
    bulk.save(force_insert=True)
    for before, after, _ in planned.counts:
        ids = [s.tool.id for s in planned.steps if (s.tool.policy, s.after) == (before, after)]
        for batch in chunked(ids, ROWS_AT_ONCE):
            _note(batch, after, bulk)
            marks = {"policy": after, "policy_by": actor.name, "policy_at": bulk.at, "policy_bulk": bulk.id}
            Tool.update(**marks).where(Tool.id.in_(batch)).execute()
    audit.append(_log_row(step, bulk, actor) for step in planned.steps)
    _log_summary(planned, bulk, actor, [one.catalogue_name for one in skipped])
    return bulk


def _note(ids: list[int], after: str, bulk: BulkChange) -> None:
    """What Undo needs to know, before it changes. The database copies it: Peewee would take a second for 5,000."""
    columns = {
        BulkItem.bulk: Value(bulk.id), BulkItem.tool: Tool.id, BulkItem.catalogue_name: Tool.catalogue_name,
        BulkItem.kind: Tool.kind, BulkItem.before: Tool.policy, BulkItem.after: Value(after),
        BulkItem.definition_digest: Tool.definition_digest,
    }  # fmt: skip
    rows = Tool.select(*columns.values()).where(Tool.id.in_(ids))
    BulkItem.insert_from(rows, list(columns)).execute()


def _log_row(step: Step, bulk: BulkChange, actor: Actor) -> Row:
    tool = step.tool
    details = {"from": tool.policy, "to": step.after, "seed": tool.seed_policy, "bulk": bulk.id}
    return Row("change", actor, "policy.set", tool.integration, tool.catalogue_name, details=details)


def _log_summary(planned: Plan, bulk: BulkChange, actor: Actor, skipped: list[str]) -> None:
    details: dict[str, Any] = {
        "bulk": bulk.id,
        "tools": len(planned.steps),
        "what": bulk.what,
        "counts": {f"{before} → {after}": count for before, after, count in planned.counts},
    }
    if bulk.undoes_id:
        details |= {
            "undoes": bulk.undoes_id,
            "skipped": len(skipped),
            "skipped_tools": skipped[:NAMES_IN_LOG],
        }
    elif planned.left_out:
        details["left_out"] = len(planned.left_out)
    action = "policies.bulk_undone" if bulk.undoes_id else "policies.bulk"
    changed = [step.tool.id for step in planned.steps]
    audit.record(action, actor, integration=bulk.integration, details=details, tools=changed)
