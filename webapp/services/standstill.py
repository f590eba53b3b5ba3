"""What stands still just now: everything, all writes, single servers and agents. Read often, changed by `pauses`."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.store.models import Pause

EVERYTHING = "everything"


@dataclass(frozen=True)
class Standstill:
    """`everything`: empty, writes or calls."""

    everything: str = ""
    servers: frozenset[int] = frozenset()
    agents: frozenset[int] = frozenset()

    def scope(self, agent_id: int | None, integration_id: int, kind: str) -> str:
        """What keeps a call from running: calls, writes, server or agent; empty where nothing does. A tool that
        may write counts as one that writes."""
        if self.everything == "calls" or (self.everything == "writes" and kind != "read"):
            return self.everything
        if integration_id in self.servers:
            return "server"
        return "agent" if agent_id in self.agents else ""


def now_standing() -> Standstill:
    rows = list(Pause.select(Pause.scope, Pause.integration, Pause.agent).tuples())
    return Standstill(
        next((scope for scope, _, _ in rows if scope in ("writes", "calls")), ""),
        frozenset(integration for scope, integration, _ in rows if scope == "server"),
        frozenset(agent for scope, _, agent in rows if scope == "agent"),
    )
