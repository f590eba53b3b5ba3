"""What a list of tools costs a model: bytes of the tools/list answer divided by four, which is about a token each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from peewee import Case, fn

from webapp.services import own_tools
from webapp.services.own_tools import Mode
from webapp.store.models import Agent, AgentIntegration, Integration, Tool
from webapp.upstream import strict

BYTES_A_TOKEN = 4
TITLE_KEY = len(',"title":""')


@dataclass(frozen=True)
class Budget:
    """`full` and `search` in tokens, about."""

    tools: int
    full: int
    search: int
    mode: Mode

    @property
    def full_about(self) -> str:
        return _about(self.full)

    @property
    def search_about(self) -> str:
        return _about(self.search)

    @property
    def searching(self) -> bool:
        return self.mode.searches(self.tools)

    @property
    def is_much(self) -> bool:
        """So much that the admin should know."""
        return not self.searching and self.tools > own_tools.SEARCH_ABOVE


def budget_of(agent: Agent) -> Budget:
    """Of the agent's catalogue at /mcp as it is now."""
    servers: dict[str, int] = {}
    size = waiting = 0
    for name, count, bytes_, approvals in _by_server(agent):
        servers[name] = count
        size, waiting = size + bytes_, waiting + approvals
    beside = [*own_tools.FOR_APPROVALS] if waiting else []
    search = [own_tools.search_tools(servers), own_tools.CALL_TOOL, *beside]
    return Budget(
        sum(servers.values()),
        _tokens(size + _size(beside)),
        _tokens(_size(search)),
        Mode(agent.tool_search, agent.tool_search_above),
    )


def _by_server(agent: Agent) -> Iterator[tuple[str, int, int, int]]:
    """Name, tools, bytes of their definitions on the wire, tools that need approval. Added up in the database: to
    load thousands of definitions would take half a second."""
    replaced = Case(None, ((Tool.title == "", -TITLE_KEY),), _bytes(Tool.title))
    on_the_wire = _bytes(Tool.definition) + _bytes(Tool.wire_name) - _bytes(Tool.name)
    on_the_wire += _bytes(Tool.catalogue_name) - replaced + 1
    needs_approval = Case(None, ((Tool.policy == "approval", 1),), 0)
    query = (
        Tool.select(Integration.name, fn.COUNT(Tool.id), fn.SUM(on_the_wire), fn.SUM(needs_approval))
        .join(Integration)
        .where(
            Integration.state.in_(Integration.OFFERED),
            Tool.missing_since.is_null(),
            Tool.policy != "disabled",
        )
        .group_by(Integration.name)
    )
    if not agent.every_integration:
        granted = AgentIntegration.select(AgentIntegration.integration).where(AgentIntegration.agent == agent)
        query = query.where(Integration.id.in_(granted))
    yield from query.tuples()


def _bytes(column: Any) -> Any:
    return fn.OCTET_LENGTH(column)


def _size(tools: list[dict[str, Any]]) -> int:
    return sum(len(strict.encoded(tool)) + 1 for tool in tools)


def _about(tokens: int) -> str:
    """Two digits of it: a finer figure would promise what the rule can't hold."""
    return f"{round(tokens, 2 - len(str(tokens))):,}"


def _tokens(size: int) -> int:
    return round(size / BYTES_A_TOKEN)
