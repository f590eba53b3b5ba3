"""One tool call on its way through, and what its caller gets."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from random import getrandbits
from typing import Any

from webapp.gateway import dialogues, sessions
from webapp.gateway.catalogue import CatalogueTool
from webapp.gateway.lines import Progress
from webapp.gateway.stream import CALLED_OFF
from webapp.gateway.voice import Voice
from webapp.services.audit import Actor, Row
from webapp.services.quotas import Quota
from webapp.services.redaction import keep


@dataclass
class Call:
    """One call of one agent or one person. `outcome` and `entry_id` are what the log came to say of it."""

    caller: Actor
    tool: CatalogueTool
    arguments: dict[str, Any]
    meta: dict[str, Any] | None = None
    another_round: dict[str, Any] | None = None
    capabilities: dict[str, Any] | None = None
    on_progress: Progress | None = None
    voice: Voice | None = None  # of the agent's program, while it is there
    takes_part_in_rounds: bool = False  # 2026-07-28: it repeats the call with what the server wants to know
    reason: str = ""
    quota: Quota = Quota()  # of the agent that asks; people have none, and don't hold the line
    confirmed: bool = False  # a person asks for it, was shown what it is, and said yes
    seconds: float | None = None  # an answer is wanted within; None: as long as any call may take
    about: dict[str, Any] = field(default_factory=dict)  # what the log's details say besides
    approval: str = ""  # id of the claimed approval this run belongs to
    id: str = field(default_factory=lambda: f"{getrandbits(64):016x}")
    began: float = field(default_factory=time.monotonic)
    outcome: str = ""
    entry_id: int | None = None

    @property
    def has_intent(self) -> bool:
        """A read may be lost with its worker; everything else is on disk before it leaves."""
        return bool(self.approval) or self.confirmed or not self.tool.is_read

    @property
    def holds(self) -> float:
        """Seconds that it waits for a person."""
        return self.quota.hold_seconds or 0.0

    @property
    def asks(self) -> str:
        """What its program can be asked in turns, for a server of the handshake era: in letters, see sessions."""
        in_turns = self.takes_part_in_rounds and self.tool.source.handshake
        return sessions.letters(self.capabilities) if in_turns else ""

    @property
    def digest(self) -> str:
        return dialogues.digest(self.caller.id, self.tool.id, self.arguments)

    @property
    def asked_with(self) -> dict[str, Any]:
        """What a later run of it needs besides its arguments."""
        parts = {"meta": self.meta, "capabilities": self.capabilities, "another_round": self.another_round}
        kept: dict[str, Any] = {name: part for name, part in parts.items() if part}
        return kept | ({"takes_part_in_rounds": True} if self.takes_part_in_rounds else {})

    def who_left(self, gone: asyncio.CancelledError) -> str:
        if gone.args == (CALLED_OFF,):
            return "The agent called it off"
        return "The agent hung up" if self.caller.kind == "agent" else "Gatehouse stopped"

    def row(self, outcome: str, log_arguments: str, details: dict[str, Any]) -> Row:
        return Row(
            "call",
            self.caller,
            "call",
            self.tool.source.name,
            self.tool.catalogue_name,
            policy="approval" if self.approval else self.tool.policy,
            outcome=outcome,
            duration_ms=(time.monotonic() - self.began) * 1000,
            approval=self.approval,
            details=keep(self.arguments, log_arguments) | self.about | details,
        )


@dataclass(frozen=True)
class Answer:
    """A tool result for the agent; `approval` is set while it, or its outcome, belongs to an approval."""

    result: dict[str, Any]
    approval: str = ""
    waiting: bool = False
