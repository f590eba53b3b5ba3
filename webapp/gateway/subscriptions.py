"""`subscriptions/listen` (2026-07-28): who listens hears that its list of tools changed.

A listener costs a coroutine. One look at the store, when it has changed, serves all of a worker's; without a listener
nobody looks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from webapp.errors import RpcError
from webapp.gateway.catalogue import Catalogue, Catalogues, KnownAgent
from webapp.gateway.editions import Editions
from webapp.gateway.news import LIST_CHANGED
from webapp.store import generation

LISTEN = "subscriptions/listen"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
LOOK_SECONDS = 0.2
KEYS_SECONDS = 30.0  # a key ends by the clock alone, too
LONGEST_SECONDS = 3600.0  # then it is ended in good order: whoever still wants to hear says so
MOST_PER_AGENT = 20
TOO_MANY = RpcError(
    {
        "code": -32600,
        "message": f"This agent listens {MOST_PER_AGENT} times already; end one of these first.",
    }
)
Tell = Callable[[str, dict[str, object]], Awaitable[None]]
log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Listener:
    agent: KnownAgent
    server: str
    edition: str
    news: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False


class Subscriptions:
    """One per worker."""

    def __init__(self, catalogues: Catalogues, editions: Editions) -> None:
        self._catalogues = catalogues
        self._editions = editions
        self._listeners: set[_Listener] = set()
        self._anyone = asyncio.Event()
        self._closing = False

    async def serve(
        self, catalogue: Catalogue, agent: KnownAgent, server: str, wants_tools: bool, id: object, tell: Tell
    ) -> dict[str, object]:
        """The result, when the subscription has ended in good order."""
        if Counter(listener.agent.id for listener in self._listeners)[agent.id] >= MOST_PER_AGENT:
            raise TOO_MANY
        about: dict[str, object] = {"_meta": {SUBSCRIPTION: id}}
        over = self._closing or not wants_tools  # nothing else is ever told
        listener = _Listener(agent, server, self._editions.of(catalogue, agent, server), over=over)
        self._listeners.add(listener)
        self._anyone.set()
        try:
            honoured = {"toolsListChanged": True} if wants_tools else {}
            await tell(ACKNOWLEDGED, about | {"notifications": honoured})
            async with asyncio.timeout(LONGEST_SECONDS):
                await _pass_on(listener, tell, about)
        except TimeoutError:
            pass
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._anyone.clear()
        return about

    async def watch(self) -> None:
        """Runs as long as the worker does."""
        seen: int | None = -1
        look_again = 0.0
        while True:
            await self._anyone.wait()
            try:
                moment = time.monotonic()
                if (current := generation.known()) != seen or moment > look_again:
                    self._look(await self._catalogues.current())
                    seen, look_again = current, moment + KEYS_SECONDS
            except Exception:  # the watch must outlive a locked or briefly missing database
                log.exception("could not look for changed lists of tools")
            await asyncio.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """Everybody's subscription ends now, in good order, and no new one stays."""
        self._closing = True
        for listener in self._listeners:
            listener.over = True
            listener.news.set()

    def _look(self, catalogue: Catalogue) -> None:
        living = {agent.id: agent for agent in catalogue.agents.values() if agent.usable}
        for listener in self._listeners:
            agent = living.get(listener.agent.id)
            listener.over = listener.over or agent is None or agent.key_hash != listener.agent.key_hash
            edition = "" if agent is None else self._editions.of(catalogue, agent, listener.server)
            if listener.over or edition != listener.edition:
                listener.edition = edition
                listener.news.set()


async def _pass_on(listener: _Listener, tell: Tell, about: dict[str, object]) -> None:
    while not listener.over:
        await listener.news.wait()
        listener.news.clear()
        if not listener.over:
            await tell(LIST_CHANGED, about)
