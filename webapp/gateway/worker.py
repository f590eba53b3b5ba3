"""The gateway of one worker process: what is started, and stopped in good order."""

from __future__ import annotations

import asyncio
import secrets

from config import Config
from webapp.gateway.calls import Calls
from webapp.gateway.catalogue import Catalogues
from webapp.gateway.endpoint import Endpoint
from webapp.gateway.hearing import Hearing
from webapp.gateway.listening import Listening
from webapp.gateway.people import People
from webapp.gateway.upkeep import Upkeep
from webapp.gateway.words import Words
from webapp.services import condition, desk, intents
from webapp.store.models import database
from webapp.store.writer import Writer


class Gateway:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._worker = secrets.token_hex(8)
        self._writer = Writer()
        self._writer.start()
        self.catalogues = Catalogues()
        database.follow()
        self._hearing = Hearing(self._writer)
        self.calls = Calls(self._config, self.catalogues, self._writer, self._worker, self._hearing.heard)
        words = Words(self._writer)
        self.endpoint = Endpoint(self._config, self.catalogues, self.calls, words)
        self.people = People(self._config, self.catalogues, self.calls)
        await asyncio.wrap_future(self._writer.submit(lambda: intents.beat(self._worker)))
        upkeep = Upkeep(self._writer, self._worker)
        self._tasks = [
            asyncio.create_task(job)
            for job in (
                self.calls.approvals.room.watch(),
                upkeep.beat(),
                upkeep.look_after_servers(),
                upkeep.keep_signed_in(),
                self.calls.lines.look_after(self.catalogues),
                upkeep.look_after_log(),
                upkeep.tell_people(),
                upkeep.keep_copies(),
                words.watch(),
                self.endpoint.subscriptions.watch(),
                Listening(self._worker, self._hearing.heard).watch(),
            )  # fmt: skip
        ]
        desk.open_with(self.people)

    def leaving(self) -> None:
        """No new request will come: those that would go on for long end now."""
        self.endpoint.subscriptions.close()
        self.calls.approvals.room.close()

    async def stop(self) -> None:
        """After the server has let go of its requests: approved calls under way end first, while it still beats."""
        desk.close(self.people)
        watch, beat, *others = self._tasks
        await _ended(watch, *others)
        await self._hearing.close()
        await self.people.close()
        await self.calls.close()
        await _ended(beat)
        await asyncio.wrap_future(self._writer.submit(lambda: intents.leave(self._worker)))
        await asyncio.to_thread(self._writer.stop)
        condition.stopped_writing()
        await asyncio.to_thread(database.unfollow)


async def _ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
