"""This worker's open connections to servers: one client per integration, made anew when its set-up changed."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from webapp.builtin import BUILTINS, Context
from webapp.errors import NeedsAuthorization, NotFound, UpstreamError
from webapp.gateway import sessions
from webapp.gateway.catalogue import CatalogueTool, Source
from webapp.gateway.voice import LOG_LEVEL_META, Voice
from webapp.services import connections, tokens
from webapp.services.egress import egress_for
from webapp.services.tokens import Presented
from webapp.store.fields import now
from webapp.store.models import Integration, database
from webapp.upstream.client import MODERN, Client
from webapp.upstream.wire import Wire

Progress = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class Line:
    changed: str
    client: Client
    wire: Wire
    credentials: Presented
    users: int = 0
    stale: bool = False
    taught: set[str] = field(
        default_factory=set
    )  # digests of definitions whose header arguments the client knows

    def teach(self, tool: CatalogueTool) -> None:
        if tool.definition_digest not in self.taught:
            self.taught.add(tool.definition_digest)
            self.client.learn(tool.name, tool.definition["inputSchema"])

    async def close(self) -> None:
        await self.client.aclose()
        await self.wire.aclose()


class Lines:
    def __init__(self, heard: Callable[[int], None], *, max_result: int, call_seconds: float) -> None:
        self._heard = heard
        self._lines: dict[tuple[int, str], Line] = {}
        self._opening: dict[int, asyncio.Lock] = {}
        self._max_result = max_result
        self._seconds = call_seconds

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
        if tool.source.logs and voice and (level := await voice.log_level()):
            meta = (meta or {}) | {LOG_LEVEL_META: level}
            await line.client.log_from(level)
        line.users += 1

        async def ask() -> dict[str, Any]:
            return await line.client.call_tool(
                tool.name, arguments, meta=meta, another_round=another_round, on_progress=on_progress,
                capabilities=capabilities, timeout=tool.source.seconds or self._seconds, asker=voice,
            )  # fmt: skip

        try:
            return await self._signed_in(line, tool, ask)
        finally:
            line.users -= 1
            if line.stale and not line.users:
                await line.close()

    async def _signed_in(
        self, line: Line, tool: CatalogueTool, ask: Callable[[], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """With a fresh token; and once more with another one where the first was refused and nothing can have run."""
        if line.credentials.until is not None and line.credentials.until <= now():
            await self._renew(line, tool.source)
        used = line.credentials.version
        try:
            return await ask()
        except NeedsAuthorization as error:
            if (
                not used
                or error.http_status != HTTPStatus.UNAUTHORIZED
                or not (tool.is_read or await _is_shut_out(line))
            ):
                raise
        await self._renew(line, tool.source, refused=used)
        try:
            return await ask()
        except NeedsAuthorization as error:
            if error.http_status == HTTPStatus.UNAUTHORIZED:
                await asyncio.to_thread(_refused_anew, tool.source.id, line.credentials.version)
            raise

    async def _renew(self, line: Line, source: Source, *, refused: int = 0) -> None:
        """One thread per server and worker asks; whoever waited finds it done."""
        async with self._opening.setdefault(source.id, asyncio.Lock()):
            done = line.credentials.until is None or line.credentials.until > now()
            if line.credentials.version != refused if refused else done:
                return
            line.credentials = await asyncio.to_thread(_credentials, source, refused)
            line.client.identify(line.credentials.headers)

    async def close(self) -> None:
        lines, self._lines = list(self._lines.values()), {}
        await asyncio.gather(*(line.close() for line in lines), return_exceptions=True)

    async def _line(self, source: Source, asks: str) -> Line:
        known = self._lines.get((source.id, asks))
        if known and known.changed == source.changed:
            return known
        async with self._opening.setdefault(source.id, asyncio.Lock()):
            known = self._lines.get((source.id, asks))
            if known and known.changed == source.changed:
                return known
            fresh = await asyncio.to_thread(self._open, source, asks)
            self._lines[source.id, asks] = fresh
            if known:
                await self._retire(known)
            return fresh

    @staticmethod
    async def _retire(line: Line) -> None:
        """Calls under way end on the old connection; the last one closes it."""
        line.stale = True
        if not line.users:
            await line.close()

    def _open(self, source: Source, asks: str) -> Line:
        with database.connection_context():
            integration = _load(source)
            credentials = connections.credentials_for(integration)
            wire = Wire(
                egress_for(integration), integration.url,
                max_bytes=self._max_result, total_seconds=source.seconds or self._seconds,
            )  # fmt: skip
            changed, offers = functools.partial(self._heard, source.id), sessions.capabilities(asks)
            client = connections.client_for(integration, wire, credentials.headers, changed, offers)
            return Line(source.changed, client, wire, credentials)

    async def _call_builtin(self, tool: CatalogueTool, arguments: dict[str, Any]) -> dict[str, Any]:
        context = await asyncio.to_thread(self._context, tool.source)
        async with asyncio.timeout(self._seconds):
            return await BUILTINS[tool.source.name].tools[tool.name].run(arguments, context)

    @staticmethod
    def _context(source: Source) -> Context:
        with database.connection_context():
            integration = _load(source)
            return Context(
                egress=egress_for(integration),
                settings=integration.settings,
                secrets=connections.builtin_secrets(integration),
            )


def _load(source: Source) -> Integration:
    integration: Integration | None = Integration.get_or_none(Integration.id == source.id)
    if integration is None:
        raise NotFound("This integration was disconnected.")
    return integration


def _credentials(source: Source, refused: int) -> Presented:
    with database.connection_context():
        return connections.credentials_for(_load(source), refused=refused)


def _refused_anew(integration_id: int, version: int) -> None:
    with database.connection_context():
        tokens.refused_anew(integration_id, version)


async def _is_shut_out(line: Line) -> bool:
    """Whether the token is refused at the door, whatever is asked: then nothing ran behind it either. A server that
    answers a greeting with the same token may have refused only after the tool had run."""
    greeting = "server/discover" if line.client.version == MODERN else "ping"
    try:
        return (await line.client.reply_to(greeting)).status == HTTPStatus.UNAUTHORIZED
    except NeedsAuthorization:
        return True
    except UpstreamError:
        return False
