"""What becomes of a call: it stands still, runs, or waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from peewee import DatabaseError

from config import Config
from webapp.errors import NotFound
from webapp.gateway import dialogues
from webapp.gateway.approvals import Approvals
from webapp.gateway.call import Answer, Call
from webapp.gateway.catalogue import Catalogues, KnownAgent
from webapp.gateway.clerk import Clerk
from webapp.gateway.dialogues import Dialogue, State
from webapp.gateway.lines import Lines
from webapp.gateway.path import NotWritten, Path
from webapp.gateway.quotas import Quotas
from webapp.gateway.refusals import Refusals
from webapp.gateway.voice import Voice
from webapp.services import health
from webapp.services.quotas import Quota
from webapp.store.writer import Writer

GRACE_SECONDS = 5.0  # for what comes before and after a call


class Calls:
    """One per worker. Runs on the event loop; everything that touches the database goes through the clerk."""

    def __init__(
        self,
        config: Config,
        catalogues: Catalogues,
        writer: Writer,
        worker: str,
        heard: Callable[[int], None],
    ) -> None:
        """`heard` is told of an integration whose server says, beside its answers, that its tools changed."""
        self._config = config
        self._catalogues = catalogues
        self.clerk = Clerk(writer)
        self.lines = Lines(config, heard, self._note_reach)
        self._path = Path(config, self.clerk, self.lines, worker)
        self.approvals = Approvals(config, catalogues, self.clerk, self._path, worker)
        self.refusals = Refusals(config, catalogues, self.clerk)
        self.quotas = Quotas(config, writer)
        self._dialogues: set[asyncio.Task[Any]] = set()

    async def answer(self, call: Call) -> Answer:
        """What the caller gets: the result, a refusal, or word that a person must decide first.

        Raises TooMany for an agent that has as much under way, or waiting, as it may have.
        """
        if paused := self._paused(call):
            return await self.refusals.stand_still(call, paused)
        if call.tool.policy == "auto" or call.confirmed:
            if call.voice and call.asks:
                return Answer(await self._in_turns(call, call.voice))
            return Answer(await self._in_its_place(call))
        return await self.approvals.ask(call)

    async def admit(self, agent: KnownAgent) -> Quota:
        """Counts one call of it; what it may do. Raises TooMany, or NotWritten where it could not be counted."""
        try:
            return await self.quotas.admit(agent)
        except DatabaseError as error:
            raise NotWritten from error

    async def go_on(self, call: Call, state: State, given: dict[str, Any]) -> Answer:
        """A program of 2026-07-28 comes again with what the server asked for. Raises NotFound for another call's."""
        agent_id, voice = call.caller.id, call.voice
        if state.asked != call.digest or not agent_id or not voice:
            raise NotFound("This state belongs to another call.")
        return Answer(await dialogues.go_on(voice.words, agent_id, state, given, self._most_seconds(call)))

    async def close(self) -> None:
        self.refusals.close()
        for run in self._dialogues:  # their programs may come again, but to another worker
            run.cancel()
        await self.clerk.close()
        await self.lines.close()

    async def _in_turns(self, call: Call, voice: Voice) -> dict[str, Any]:
        """The server may ask back: then this is what it asks, and the call goes on meanwhile."""
        seconds = self._most_seconds(call)
        voice.dialogue = Dialogue(voice.words, voice.agent_id, call.asks, call.digest, seconds)
        run = self.clerk.in_background(self._in_its_place(call))
        self._dialogues.add(run)
        run.add_done_callback(self._dialogues.discard)
        return await voice.dialogue.begin(run, self.clerk.in_background)

    def _most_seconds(self, call: Call) -> float:
        return (call.tool.source.seconds or self._config.call_seconds) + GRACE_SECONDS

    async def _in_its_place(self, call: Call) -> dict[str, Any]:
        self.quotas.begin(call.caller.id, call.quota)
        try:
            return await self._path.run(call)
        finally:
            self.quotas.end(call.caller.id)

    def _paused(self, call: Call) -> str:
        """From memory: the catalogue was compared with the store when this call came in."""
        agent_id = call.caller.id if call.caller.kind == "agent" else None
        standing = self._catalogues.latest.standstill
        return standing.scope(agent_id, call.tool.source.id, call.tool.kind)

    def _note_reach(self, integration_id: int, why: str) -> None:
        def write() -> None:
            health.lost(integration_id, why) if why else health.regained(integration_id)

        self.clerk.later(write)
