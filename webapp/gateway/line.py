"""One server as this worker sees it: its connections, its sign-in, and what keeps its troubles from the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from webapp.errors import NeedsAuthorization, NotFound, RpcError, Unreachable, UpstreamError
from webapp.gateway.catalogue import CatalogueTool, Source
from webapp.gateway.circuit import Circuit
from webapp.gateway.errands import errand
from webapp.services import connections, tokens
from webapp.services.tokens import Presented
from webapp.store.fields import now
from webapp.store.models import Integration, database
from webapp.upstream.client import MODERN, Client
from webapp.upstream.wire import Wire

# Why a server is left alone; empty when it answers again.
Told = Callable[[int, str], None]
Ask = Callable[[], Awaitable[dict[str, Any]]]


@dataclass
class Line:
    source: Source
    client: Client
    wire: Wire
    credentials: Presented
    told: Told
    users: int = 0
    stale: bool = False
    # digests of definitions whose header arguments the client knows
    taught: set[str] = field(default_factory=set)
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    circuit: Circuit = field(init=False)  # shared with the other lines to this server

    def teach(self, tool: CatalogueTool) -> None:
        if tool.definition_digest not in self.taught:
            self.taught.add(tool.definition_digest)
            self.client.learn(tool.name, tool.definition["inputSchema"])

    async def asked(self, ask: Ask, *, is_read: bool) -> dict[str, Any]:
        """A read that met a connection which had been closed meanwhile is sent once more, on a new one."""
        try:
            return await self.signed_in(ask, is_read=is_read)
        except Unreachable as error:
            if not is_read or error.kind != "kept":
                raise
        return await self.signed_in(ask, is_read=is_read)

    async def signed_in(self, ask: Ask, *, is_read: bool) -> dict[str, Any]:
        """With a fresh token; and once more with another one where the first was refused and nothing can have run."""
        if self.credentials.until is not None and self.credentials.until <= now():
            await self._renew()
        used = self.credentials.version
        try:
            return await ask()
        except NeedsAuthorization as error:
            if (
                not used
                or error.http_status != HTTPStatus.UNAUTHORIZED
                or not (is_read or await self._is_shut_out())
            ):
                raise
        await self._renew(refused=used)
        try:
            return await ask()
        except NeedsAuthorization as error:
            if error.http_status == HTTPStatus.UNAUTHORIZED:
                await errand(_refused_anew, self.source.id, self.credentials.version)
            raise

    async def retire(self) -> None:
        """Calls under way end on it; the last one closes it."""
        self.stale = True
        self.circuit.close()
        if not self.users:
            await self.close()

    async def close(self) -> None:
        self.circuit.close()
        await self.client.aclose()
        await self.wire.aclose()

    async def _renew(self, *, refused: int = 0) -> None:
        """One thread per server and worker asks; whoever waited finds it done."""
        async with self.renewing:
            done = self.credentials.until is None or self.credentials.until > now()
            if self.credentials.version != refused if refused else done:
                return
            self.credentials = await errand(_credentials, self.source, refused)
            self.client.identify(self.credentials.headers)

    async def _is_shut_out(self) -> bool:
        """Whether the token is refused at the door, whatever is asked: then nothing ran behind it either. A server
        that answers a greeting with the same token may have refused only after the tool had run."""
        try:
            return (await self.client.reply_to(self._greeting)).status == HTTPStatus.UNAUTHORIZED
        except NeedsAuthorization:
            return True
        except UpstreamError:
            return False

    @property
    def _greeting(self) -> str:
        return "server/discover" if self.client.version == MODERN else "ping"

    # --- what its circuit asks of it

    async def greet(self) -> None:
        try:
            await self.client.request(self._greeting)
        except (NeedsAuthorization, RpcError):
            return  # it answers; what of that concerns a call, the call will find

    def opened(self, why: str) -> None:
        self.told(self.source.id, why)

    def closed(self) -> None:
        self.told(self.source.id, "")


def load(source: Source) -> Integration:
    integration: Integration | None = Integration.get_or_none(Integration.id == source.id)
    if integration is None:
        raise NotFound("This integration was disconnected.")
    return integration


def _credentials(source: Source, refused: int) -> Presented:
    with database.connection_context():
        return connections.credentials_for(load(source), refused=refused)


def _refused_anew(integration_id: int, version: int) -> None:
    with database.connection_context():
        tokens.refused_anew(integration_id, version)
