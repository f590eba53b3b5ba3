"""How much an agent may call, and how long its calls wait for a person: in its own numbers, or in those of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from peewee import fn

from config import Config
from webapp.errors import InvalidInput, NotFound
from webapp.services import audit
from webapp.services.audit import Actor
from webapp.services.roles import needs
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, Spent

MINUTE = timedelta(seconds=60)
# The largest that can be typed of each. Nobody's program holds the line for longer than ten minutes.
MOST = {"calls_per_minute": 1_000_000, "calls_at_once": 10_000, "hold_seconds": 600}


@dataclass(frozen=True)
class Quota:
    """None: as for all agents. Of calls, 0 is no limit."""

    calls_per_minute: int | None = None
    calls_at_once: int | None = None
    hold_seconds: float | None = None

    def or_else(self, usual: Quota) -> Quota:
        return Quota(
            usual.calls_per_minute if self.calls_per_minute is None else self.calls_per_minute,
            usual.calls_at_once if self.calls_at_once is None else self.calls_at_once,
            usual.hold_seconds if self.hold_seconds is None else self.hold_seconds,
        )


@dataclass(frozen=True)
class Block:
    """Calls set aside for one worker. None of them: the agent has had its minute's, and waits so many seconds."""

    id: int = 0
    calls: int = 0
    wait: float = 0.0


def usual(config: Config) -> Quota:
    return Quota(config.calls_per_minute, config.calls_at_once, config.hold_seconds)


def of(agent: Agent) -> Quota:
    return Quota(agent.calls_per_minute, agent.calls_at_once, agent.hold_seconds)


def change(agent: Agent, typed: Mapping[str, str], actor: Actor) -> None:
    """From its next call on. Nothing typed: as for all agents. Raises InvalidInput."""
    needs(actor, "admin")
    wanted = {name: _number(name, typed.get(name, "").strip()) for name in MOST}
    with writing():
        current: Agent | None = Agent.get_or_none(Agent.id == agent.id)
        if current is None:
            raise NotFound("There is no such agent.", next_step="Go back to Agents.")
        if any(getattr(current, name) != value for name, value in wanted.items()):
            Agent.update(**wanted).where(Agent.id == current.id).execute()
            audit.record("agent.quota", actor, details={"agent": current.name} | wanted)


def reserve(agent_id: int, limit: int, wanted: int, unused: Block) -> Block:
    """So many of the calls that are left of its minute, or fewer; `unused` were set aside before and go back.

    Runs in the caller's transaction: one at a time, over all workers.
    """
    moment = now()
    # In the future: the clock was set back since.
    Spent.delete().where((Spent.at <= moment - MINUTE) | (Spent.at > moment + MINUTE)).execute()
    if unused.calls:
        Spent.update(calls=Spent.calls - unused.calls).where(Spent.id == unused.id).execute()
    mine = Spent.agent == agent_id, Spent.calls > 0
    spent, oldest = Spent.select(fn.SUM(Spent.calls), fn.MIN(Spent.at)).where(*mine).tuples().get()
    calls = min(wanted, limit - int(spent or 0))
    if calls <= 0:
        return Block(wait=(oldest + MINUTE - moment).total_seconds())
    return Block(Spent.insert(agent=agent_id, at=moment, calls=calls).execute(), calls)


def _number(name: str, typed: str) -> int | None:
    if not typed:
        return None
    if not (typed.isascii() and typed.isdecimal() and len(typed) <= 7 and int(typed) <= MOST[name]):
        raise InvalidInput(
            f"This is a whole number from 0 to {MOST[name]:,}.",
            field=name,
            next_step="Enter such a number, or nothing for what holds for all agents.",
        )
    return int(typed)
