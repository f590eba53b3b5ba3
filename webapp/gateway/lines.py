"""This worker's lines to servers: one per integration, made anew when its set-up changed."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from mcp_types import LOG_LEVEL_META_KEY

from config import Config
from webapp.builtin import BUILTINS, Context
from webapp.gateway import sessions
from webapp.gateway.catalogue import Catalogues, CatalogueTool, Source
from webapp.gateway.circuit import Circuit
from webapp.gateway.errands import errand
from webapp.gateway.line import Line, Told, load
from webapp.gateway.voice import Voice
from webapp.services import connections
from webapp.services.egress import egress_for
from webapp.store.models import database
from webapp.upstream.wire import Wire

Progress = Callable[[dict[str, Any]], Awaitable[None]]
# Beside its calls: greetings, notifications and the end of a session need connections too.
SPARE_CONNECTIONS = 4
TIDY_SECONDS = 10.0
log = logging.getLogger(__name__)


class Lines:
    def __init__(self, config: Config, heard: Callable[[int], None], told: Told) -> None:
        self._config = config
        self._heard = heard
        self._told = told
        self._lines: dict[tuple[int, str], Line] = {}
        self._opening: dict[int, asyncio.Lock] = {}
        self._seconds = config.call_seconds

    async def call(
        self,
        tool: CatalogueTool,
        arguments: dict[str, Any],
        *,
        meta: dict[str, Any] | None = None,
        another_round: dict[str, Any] | None = None,
        capabilities: dict[str, Any] | None = None,
        on_progress: Progress | None = None,
        voice: Voice | None = None,
    ) -> dict[str, Any]:
        """The server's own result, unaltered. Raises UpstreamError."""
        if tool.source.kind == "builtin":
            return await self._call_builtin(tool, arguments)
        # To a server of the handshake era our programs differ in what they can be asked: each kind has its session.
        line = await self._line(tool.source, voice.asks if voice and tool.source.handshake else "")
        line.teach(tool)
        if line.circuit.is_open and tool.source.state != "unreachable":
            line.circuit.hurry()  # a sync, or another worker, has reached it
        level = await voice.log_level() if tool.source.logs and voice else ""
        if level:
            meta = (meta or {}) | {LOG_LEVEL_META_KEY: level}
        line.users += 1

        async def ask() -> dict[str, Any]:
            if level:
                await line.client.log_from(level)
            return await line.client.call_tool(
                tool.name, arguments, meta=meta, another_round=another_round, on_progress=on_progress,
                capabilities=capabilities, timeout=tool.source.seconds or self._seconds, asker=voice,
            )  # fmt: skip

        try:
            return await line.circuit.run(lambda: line.asked(ask, is_read=tool.is_read))
        finally:
            line.users -= 1
            if line.stale and not line.users:
                await line.close()

    async def look_after(self, catalogues: Catalogues) -> None:
        """Runs as long as the worker does."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            try:
                await self._tidy({tool.source.id for tool in (await catalogues.current()).tools})
            except Exception:  # a locked or briefly missing database
                log.exception("could not tidy up connections")

    async def _tidy(self, sources: Collection[int]) -> None:
        """Lets go of servers that are no longer offered, and of connections that nobody has used for a while."""
        for key in [key for key in self._lines if key[0] not in sources]:
            gone = self._lines.pop(key, None)
            self._opening.pop(key[0], None)
            if gone is not None:
                await gone.retire()
        for line in self._lines.values():
            line.wire.tidy()

    async def close(self) -> None:
        lines, self._lines = list(self._lines.values()), {}
        await asyncio.gather(*(line.close() for line in lines), return_exceptions=True)

    async def _line(self, source: Source, asks: str) -> Line:
        known = self._lines.get((source.id, asks))
        if known and known.source.changed == source.changed:
            return known
        async with self._opening.setdefault(source.id, asyncio.Lock()):
            known = self._lines.get((source.id, asks))
            if known and known.source.changed == source.changed:
                return known
            fresh = await errand(self._open, source, asks)
            fresh.circuit = self._circuit(fresh)
            self._lines[source.id, asks] = fresh
            if known:
                await known.retire()
            return fresh

    def _circuit(self, line: Line) -> Circuit:
        """All lines to one server have the same."""
        for other in self._lines.values():
            if (other.source.id, other.source.changed) == (line.source.id, line.source.changed):
                return other.circuit
        at_once, patience = self._config.calls_per_server, self._config.place_seconds
        return Circuit(line.source.name, line, at_once=at_once, patience=patience)

    def _open(self, source: Source, asks: str) -> Line:
        with database.connection_context():
            integration = load(source)
            credentials = connections.credentials_for(integration)
            wire = Wire(
                egress_for(integration), integration.url,
                max_bytes=self._config.max_result, total_seconds=source.seconds or self._seconds,
                most_connections=self._config.calls_per_server + SPARE_CONNECTIONS,
            )  # fmt: skip
            changed, offers = functools.partial(self._heard, source.id), sessions.capabilities(asks)
            client = connections.client_for(integration, wire, credentials.headers, changed, offers)
            return Line(source, client, wire, credentials, self._told)

    async def _call_builtin(self, tool: CatalogueTool, arguments: dict[str, Any]) -> dict[str, Any]:
        context = await asyncio.to_thread(_context, tool.source)
        async with asyncio.timeout(self._seconds):
            return await BUILTINS[tool.source.name].tools[tool.name].run(arguments, context)


def _context(source: Source) -> Context:
    with database.connection_context():
        integration = load(source)
        return Context(
            egress=egress_for(integration),
            settings=integration.settings,
            secrets=connections.builtin_secrets(integration),
        )
