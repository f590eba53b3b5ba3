"""Tools as a listing shows them become rows: seeded, screened, held where a person has to look first.

All of it in the caller's transaction. What is to be logged is handed back: it belongs at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from peewee import chunked

from webapp.services import approvals, brought, changes, holding, names, screening, seeding
from webapp.services.audit import Actor, Row
from webapp.services.screening import Flag, Neighbours
from webapp.services.seeding import Seed
from webapp.store import generation
from webapp.store.fields import now
from webapp.store.models import Integration, Tool
from webapp.upstream.listing import ToolDefinition, digest_of

ROWS_AT_ONCE = 500
MOST_COMPARED = 400_000  # characters


@dataclass
class Admission:
    """The tools of one sync on their way in. `first`: the server has had no tools before. `listed`: all its names."""

    integration: Integration
    actor: Actor
    first: bool
    listed: frozenset[str] = frozenset()
    rows: list[Row] = field(default_factory=list)
    flagged: int = 0
    same_after_all: int = 0
    _neighbours: Neighbours | None = None
    _compared: int = 0

    def add(self, tools: Sequence[ToolDefinition]) -> None:
        if not tools:
            return
        taken = {name for (name,) in Tool.select(Tool.wire_name).tuples()}
        Tool.add_all(self._new_rows(tools, taken, now()))

    def update(self, changed: Iterable[tuple[int, ToolDefinition]]) -> None:
        """Calls that wait for what is no longer there never run."""
        for batch in chunked(changed, ROWS_AT_ONCE):
            before = {tool.id: tool for tool in Tool.select().where(Tool.id.in_([id for id, _ in batch]))}
            for id, tool in batch:
                self._update(before[id], tool)
            approvals.withdraw_changed(
                [id for id, tool in batch if before[id].definition_digest != tool.digest]
            )
        if self.same_after_all:
            generation.raise_by_one()  # no row of the log does it

    def screen_again(self) -> None:
        """Known tools by sharper rules. What somebody has looked at with these very findings stays as it is."""
        for known in list(Tool.of(self.integration)):
            if marks := self._marked_anew(known, known.definition):
                Tool.update(**marks).where(Tool.id == known.id).execute()

    def _new_rows(
        self, tools: Iterable[ToolDefinition], taken: set[str], moment: datetime
    ) -> Iterator[dict[str, Any]]:
        for tool in tools:
            wire_name = names.wire_name(self.integration.name, tool.name, taken)
            taken.add(wire_name)
            catalogue_name = names.catalogue_name(self.integration.catalogue_prefix, tool.name)
            seed, flags = _seed(tool), self._screen(tool.raw)
            self._note_flags(catalogue_name, "", flags)
            held = holding.of_new(self.integration, seed, flags, first=self.first)
            yield {
                "integration": self.integration.id,
                "name": tool.name,
                "catalogue_name": catalogue_name,
                "wire_name": wire_name,
                "first_seen_at": moment,
                **_definition(tool),
                **_seeded(seed),
                **holding.marks(flags),
                "second_person": False,
                "policy_at": None,
                **held,
                **(brought.columns(self.integration, tool.name, held=bool(flags)) if self.first else {}),
            }

    def _update(self, before: Tool, after: ToolDefinition) -> None:
        if after.digest in (before.definition_digest, digest_of(before.definition)):
            return self._receive(before, after)
        seed, flags = _seed(after), self._screen(after.raw)
        held = holding.of_changed(before, seed, flags)
        Tool.update(
            **_definition(after), **_seeded(seed), **holding.marks(flags), **held
        ).where(Tool.id == before.id).execute()  # fmt: skip
        details = {
            "from": before.policy,
            "to": held["policy"],
            "changes": self._difference(before.definition, after.raw),
        }
        self._note("tool.changed", before.catalogue_name, details)
        self._note_flags(before.catalogue_name, before.policy, flags)

    def _receive(self, before: Tool, after: ToolDefinition) -> None:
        """What a person knows of it is as it was: its looks are other, or Gatehouse has come to count another way."""
        marks = self._marked_anew(before, after.raw)
        Tool.update(**_definition(after), **marks).where(Tool.id == before.id).execute()
        self.same_after_all += 1

    def _marked_anew(self, known: Tool, definition: dict[str, Any]) -> dict[str, Any]:
        """Empty where screening finds what it found before."""
        flags = self._screen(definition)
        marks = holding.marks(flags)
        if marks["flags"] == known.flags:
            return {}
        self._note_flags(known.catalogue_name, known.policy, flags)
        return marks | (holding.of_flagged(known) if flags else {})

    def _difference(self, before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, str]]:
        """Everybody else's writes wait meanwhile, so there is an end to what is compared."""
        self._compared += len(str(before)) + len(str(after))
        compare = changes.in_short if self._compared < MOST_COMPARED else changes.names_of_parts
        return compare(before, after)

    def _screen(self, definition: dict[str, Any]) -> list[Flag]:
        if self._neighbours is None:
            self._neighbours = _neighbours(self.integration, self.listed)
        return screening.screen(definition, self._neighbours)

    def _note_flags(self, name: str, before: str, flags: Sequence[Flag]) -> None:
        if flags:
            self.flagged += 1
            found = [screening.in_words(flag) for flag in flags]
            self._note("tool.flagged", name, {"from": before, "to": "disabled", "found": found})

    def _note(self, action: str, name: str, details: dict[str, Any]) -> None:
        self.rows.append(Row("change", self.actor, action, self.integration.name, name, details=details))


def _seed(tool: ToolDefinition) -> Seed:
    return seeding.seed(tool.name, tool.description, tool.annotations, tool.input_schema)


def _definition(tool: ToolDefinition) -> dict[str, Any]:
    return {
        "title": tool.title,
        "description": tool.description,
        "definition": tool.raw,
        "definition_digest": tool.digest,
        "received_digest": tool.received,
    }


def _seeded(seed: Seed) -> dict[str, Any]:
    return {"kind": seed.kind, "seed_policy": seed.policy, "seed_reason": seed.reason}


def _neighbours(integration: Integration, listed: frozenset[str]) -> Neighbours:
    """The tools of all other integrations."""
    others, own = [], set(listed)
    for name, of in Tool.select(Tool.name, Integration.name).join(Integration).tuples():
        if of == integration.name:
            own.add(name)
        else:
            others.append((name, of))
    return Neighbours(integration.name, others, own)
