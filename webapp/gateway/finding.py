"""The tools that stand for all others: one finds them, the other's call is taken for the call of what was found."""

from __future__ import annotations

import asyncio
from typing import Any

from webapp.gateway.answers import told
from webapp.gateway.catalogue import Catalogue, CatalogueTool, KnownAgent
from webapp.gateway.listing import shown
from webapp.services import own_tools
from webapp.services.agent_errors import failure
from webapp.services.tool_search import Index, described

SAID = ("description", "inputSchema")
HOW = "Call one with gatehouse__call_tool and its name, with arguments that fit its inputSchema."


class Finder:
    """One per worker. The index is made at the first search and serves until a tool comes, goes or changes."""

    def __init__(self) -> None:
        self._generation = -1
        self._tools: list[tuple[str, str, str]] = []
        self._index = Index([])
        self._making = asyncio.Lock()

    async def find(
        self, catalogue: Catalogue, agent: KnownAgent, arguments: dict[str, Any], server: str = ""
    ) -> dict[str, Any]:
        """A tool result. Disabled and forbidden tools are as unknown here as in a list."""
        query, wanted = arguments.get("query"), arguments.get("server") or ""
        if not isinstance(query, str) or not query.strip():
            return failure("Say in a few plain words, as query, what is to be done.", "invalid", "no")
        everything = catalogue.offered(agent, server)
        offered = [tool for tool in everything if not wanted or tool.source.name == wanted]
        if wanted and not offered:
            names = ", ".join(sorted({tool.source.name for tool in everything})) or "none"
            text = f"There is no server “{str(wanted)[:60]}” for you. There is: {names}."
            return failure(text, "invalid", "no")
        index = await self._current(catalogue)
        ids = {tool.id for tool in offered}
        among = {number for number, tool in enumerate(catalogue.tools) if tool.id in ids}
        best = index.search(query[: own_tools.LONGEST_QUERY], own_tools.how_many(arguments), among)
        return _answer([catalogue.tools[number] for number in best], server)

    async def _current(self, catalogue: Catalogue) -> Index:
        async with self._making:
            if catalogue.generation != self._generation:
                tools = [
                    (tool.wire_name, tool.source.title, tool.definition_digest) for tool in catalogue.tools
                ]
                if tools != self._tools:
                    self._index = await asyncio.to_thread(_index, catalogue)
                    self._tools = tools
                self._generation = catalogue.generation
            return self._index


def _index(catalogue: Catalogue) -> Index:
    return Index([
        described(tool.name, f"{tool.source.name} {tool.source.title}", tool.definition, tool.wire_name)
        for tool in catalogue.tools
    ])  # fmt: skip


def _answer(found: list[CatalogueTool], server: str) -> dict[str, Any]:
    if not found:
        return told({"tools": [], "next": "Nothing fits. Try other words: the deed, the thing, the product."})
    return told({"tools": [_described(tool, server) for tool in found], "next": HOW})


def _described(tool: CatalogueTool, server: str) -> dict[str, Any]:
    definition = shown(tool, server)
    titled = {"name": definition["name"], "title": definition.get("title") or tool.catalogue_name}
    said = {key: definition[key] for key in SAID if key in definition}
    return titled | said | {"needsApproval": tool.policy == "approval"}


def called_through(params: dict[str, Any]) -> dict[str, Any]:
    """The params of the call that a gatehouse__call_tool stands for; others as they are."""
    inner = params.get("arguments")
    if params.get("name") != own_tools.CALL_TOOL["name"] or not isinstance(inner, dict):
        return params
    return params | {"name": inner.get("name"), "arguments": inner.get("arguments", {})}
