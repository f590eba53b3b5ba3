"""Which edition of its list of tools an agent has: a digest, the same on every worker, that differs when the list
does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from webapp.gateway.catalogue import Catalogue, CatalogueTool, KnownAgent, Source

MOST_KEPT = 10_000


@dataclass(frozen=True)
class _Shelf:
    """What one integration offers to whoever may use it, in short."""

    source: Source
    count: int
    digest: str
    waits: bool  # some of it needs an approval


class Editions:
    """Made when first asked for, once for all who may call the same, as long as the catalogue holds."""

    def __init__(self) -> None:
        self._catalogue = Catalogue()
        self._shelves: list[_Shelf] = []
        self._known: dict[object, str] = {}

    def of(self, catalogue: Catalogue, agent: KnownAgent, server: str) -> str:
        """Takes as long as there are servers, not tools."""
        if catalogue is not self._catalogue or len(self._known) >= MOST_KEPT:
            self._catalogue, self._shelves, self._known = catalogue, _shelves(catalogue), {}
        key = (agent.sources, agent.mode, server)
        if key not in self._known:
            self._known[key] = _edition(self._shelves, agent, server)
        return self._known[key]


def _edition(everything: list[_Shelf], agent: KnownAgent, server: str) -> str:
    shelves = [
        shelf
        for shelf in everything
        if agent.may_use(shelf.source) and (not server or shelf.source.name == server)
    ]
    searches = agent.mode.searches(sum(shelf.count for shelf in shelves))
    parts: list[object] = [searches, any(shelf.waits for shelf in shelves)]
    parts += [(shelf.source.name, shelf.count if searches else shelf.digest) for shelf in shelves]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _shelves(catalogue: Catalogue) -> list[_Shelf]:
    offered: dict[str, list[CatalogueTool]] = {}
    for tool in catalogue.tools:
        if tool.policy != "disabled":
            offered.setdefault(tool.source.name, []).append(tool)
    return [_shelf(offered[name]) for name in sorted(offered)]


def _shelf(tools: list[CatalogueTool]) -> _Shelf:
    named = "".join(f"{tool.wire_name} {tool.received_digest}\n" for tool in tools)
    waits = any(tool.policy == "approval" for tool in tools)
    return _Shelf(tools[0].source, len(tools), hashlib.sha256(named.encode()).hexdigest(), waits)
