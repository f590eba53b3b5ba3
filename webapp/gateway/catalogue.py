"""What each agent sees: a copy of the catalogue in memory, good for one generation of the store."""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from peewee import chunked

from webapp.gateway import shapes
from webapp.services import patience, quotas, standstill
from webapp.services.own_tools import Mode
from webapp.services.quotas import Quota
from webapp.services.standstill import Standstill
from webapp.store import generation
from webapp.store.database import snapshot
from webapp.store.fields import now
from webapp.store.models import Agent, AgentIntegration, Connection, Integration, Tool, database
from webapp.upstream.envelope import HANDSHAKE

ROWS_AT_ONCE = 500
_LEAN = (
    Tool.id, Tool.integration, Tool.name, Tool.wire_name, Tool.catalogue_name, Tool.policy, Tool.kind,
    Tool.definition_digest, Tool.received_digest,
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """An integration, as far as a call needs it. `changed` differs when the connection must be made anew."""

    id: int
    kind: str
    name: str
    changed: str
    title: str = ""
    protocol: str = ""  # the version that its server speaks
    logs: bool = False  # the server says what it does, where asked to
    seconds: float | None = None  # how long a call may take, where it is not what all others may
    state: str = "connected"

    @property
    def handshake(self) -> bool:
        return self.protocol in HANDSHAKE


@dataclass(frozen=True)
class CatalogueTool:
    id: int
    source: Source
    name: str
    wire_name: str
    catalogue_name: str
    policy: str
    kind: str
    definition: dict[str, Any]
    definition_digest: str
    received_digest: str

    @property
    def is_read(self) -> bool:
        return self.kind == "read"

    @cached_property
    def readable(self) -> dict[str, Any]:
        return shapes.tool(self.definition)

    @cached_property
    def on_the_wire(self) -> dict[str, Any]:
        return self.readable | {"name": self.wire_name, "title": self.catalogue_name}


@dataclass(frozen=True)
class KnownAgent:
    id: int
    name: str
    expires_at: datetime | None
    sources: frozenset[int] | None  # None: every integration
    mode: Mode = Mode()
    quota: Quota = Quota()
    key_hash: str = field(default="", repr=False)

    @property
    def usable(self) -> bool:
        return self.expires_at is None or self.expires_at > now()

    def may_use(self, source: Source) -> bool:
        return self.sources is None or source.id in self.sources


@dataclass
class Catalogue:
    generation: int = -1
    agents: dict[str, KnownAgent] = field(default_factory=dict)  # by key hash
    standstill: Standstill = Standstill()
    tools: list[CatalogueTool] = field(default_factory=list)  # in the order of their wire names
    # By wire and catalogue name; those of paused servers too, so that an agent hears why.
    by_name: dict[str, CatalogueTool] = field(default_factory=dict)
    by_source: dict[tuple[str, str], CatalogueTool] = field(
        default_factory=dict
    )  # (server name, own tool name)

    lists: dict[Any, bytes] = field(default_factory=dict)  # answers to tools/list, see listing

    def agent(self, key: str) -> KnownAgent | None:
        """Whose key this is, if it is whole, known and neither revoked nor expired."""
        known = self.agents.get(hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest())
        return known if known and known.usable else None

    def find(self, agent: KnownAgent, name: object, server: str = "") -> CatalogueTool | None:
        """The tool this agent may call by this name. Unknown, disabled and forbidden all look like None; whether it
        stands still is for `standstill` to say."""
        if not isinstance(name, str):
            return None
        tool = self.by_source.get((server, name)) if server else self.by_name.get(name)
        return tool if tool and tool.policy != "disabled" and agent.may_use(tool.source) else None

    def offered(self, agent: KnownAgent, server: str = "") -> list[CatalogueTool]:
        return [
            tool
            for tool in self.tools
            if tool.policy != "disabled"
            and agent.may_use(tool.source)
            and (not server or tool.source.name == server)
        ]


class Catalogues:
    """The current catalogue: looked at on the event loop, loaded in a thread, checked against the store every time."""

    def __init__(self) -> None:
        self._current = Catalogue()
        self._loading = asyncio.Lock()
        self._compared = False

    @property
    def latest(self) -> Catalogue:
        """As it was for the last call."""
        return self._current

    async def current(self) -> Catalogue:
        """As it was at a moment after the caller was woken.

        One look at the store serves all who run in the same turn of the event loop: whatever woke them, their last
        bytes for one, had come before that turn began.
        """
        if self._compared:
            return self._current
        if self._current.generation == generation.known():
            self._compared = True
            asyncio.get_running_loop().call_soon(self._next_turn)
            return self._current
        async with self._loading:
            if self._current.generation != generation.known():
                self._current = await asyncio.to_thread(newest, self._current)
        return self._current

    def _next_turn(self) -> None:
        self._compared = False


def newest(known: Catalogue) -> Catalogue:
    """As little as can be is read anew. It may be `known` itself."""
    with database.connection_context():
        return _amended(known) or load(known)


def _amended(known: Catalogue) -> Catalogue | None:
    """`known` after changes of single tools, of which only these are read. None where more than that has changed."""
    with snapshot():
        number = generation.read()
        touched = set() if number == known.generation else generation.touched(known.generation, number)
        if touched is None:
            return None
        rows = _lean_rows(Tool.id.in_(touched)) if touched else []
        before = [known.by_name[row[4]] for row in rows if row[4] in known.by_name]
        if {tool.id for tool in before} != touched:
            return None  # one of them has come, or is gone
        changed = _made(rows, {tool.source.id: tool.source for tool in before}, before)
    if not changed:
        known.generation = number
        return known
    return _with(known, number, changed)


def _with(known: Catalogue, number: int, changed: list[CatalogueTool]) -> Catalogue:
    """A copy, which costs a moment for thousands of tools: calls under way go on with what they were checked by."""
    new = replace(known, generation=number, tools=known.tools.copy(), by_name=known.by_name.copy(),
                  by_source=known.by_source.copy(), lists={})  # fmt: skip
    for tool in changed:
        new.by_name[tool.catalogue_name] = new.by_name[tool.wire_name] = tool
        new.by_source[tool.source.name, tool.name] = tool
        place = bisect_left(new.tools, tool.wire_name, key=lambda one: one.wire_name)
        if new.tools[place : place + 1] and new.tools[place].id == tool.id:  # not that of a paused server
            new.tools[place] = tool
    return new


def load(before: Catalogue | None = None) -> Catalogue:
    """`before`: the one so far, whose definitions serve on."""
    with database.connection_context(), snapshot():  # generation and rows fit together
        number = generation.read()
        sources = {source.id: source for source in _sources()}
        known = sorted(_tools(sources, before.tools if before else []), key=lambda tool: tool.wire_name)
        standing = standstill.now_standing()
        return Catalogue(
            generation=number,
            agents=_agents(),
            standstill=standing,
            tools=[tool for tool in known if tool.source.id not in standing.servers],
            by_name={name: tool for tool in known for name in (tool.catalogue_name, tool.wire_name)},
            by_source={(tool.source.name, tool.name): tool for tool in known},
        )


def _sources() -> Iterable[Source]:
    rows = (
        Integration.select(Integration, Connection.changed_at.alias("changed"))
        .left_outer_join(Connection)
        .where(Integration.state.in_(Integration.OFFERED) | _paused_servers())
        .objects()
    )
    for row in rows:
        seconds = patience.of(row)
        changed = f"{row.url} {row.protocol} {row.allowances} {row.changed} {seconds}"
        logs = bool(row.server.get("logs"))
        yield Source(row.id, row.kind, row.name, changed, row.title, row.protocol, logs, seconds, row.state)


def _paused_servers() -> Any:
    return (Integration.kind == "server") & (Integration.state == "paused")


def _tools(sources: dict[int, Source], before: list[CatalogueTool]) -> list[CatalogueTool]:
    """Definitions are most of the work, and a policy leaves them as they are: only those that nobody knows are read
    (5,000 tools: 30 ms instead of 400 after each click on a policy)."""
    return _made(_lean_rows(Tool.integration.in_(list(sources))), sources, before)


def _lean_rows(which: Any) -> list[tuple[Any, ...]]:
    """Of tools that their servers have now: the columns of _LEAN."""
    rows: list[tuple[Any, ...]] = database.execute(
        Tool.select(*_LEAN).where(which, Tool.missing_since.is_null())
    ).fetchall()
    return rows


def _made(
    rows: list[tuple[Any, ...]], sources: dict[int, Source], before: list[CatalogueTool]
) -> list[CatalogueTool]:
    known = {(tool.id, tool.definition_digest, tool.received_digest): tool for tool in before}
    definitions = _definitions(
        [id for id, *_, digest, received in rows if (id, digest, received) not in known]
    )
    found: list[CatalogueTool] = []
    for id, source_id, name, wire_name, catalogue_name, policy, kind, digest, received in rows:
        old, source = known.get((id, digest, received)), sources[source_id]
        if old and (old.policy, old.kind) == (policy, kind) and old.source == source:
            found.append(old)
            continue
        definition = old.definition if old else definitions[id]
        found.append(
            CatalogueTool(
                id, source, name, wire_name, catalogue_name, policy, kind, definition, digest, received
            )
        )
    return found


def _definitions(ids: list[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for batch in chunked(ids, ROWS_AT_ONCE):
        found |= dict(Tool.select(Tool.id, Tool.definition).where(Tool.id.in_(batch)).tuples())
    return found


def _agents() -> dict[str, KnownAgent]:
    grants: dict[int, set[int]] = {}
    for agent_id, integration_id in AgentIntegration.select(
        AgentIntegration.agent, AgentIntegration.integration
    ).tuples():
        grants.setdefault(agent_id, set()).add(integration_id)
    return {
        agent.key_hash: KnownAgent(
            agent.id,
            agent.name,
            agent.expires_at,
            None if agent.every_integration else frozenset(grants.get(agent.id, ())),
            Mode(agent.tool_search, agent.tool_search_above),
            quotas.of(agent),
            agent.key_hash,
        )
        for agent in Agent.select().where(Agent.revoked_at.is_null())
    }
