"""What agents' programs say beside their calls reaches the call it concerns, on this worker or on another.

Programs of the handshake era cancel a call, and answer what a server asks them, by a request of its own, which any
worker may get. What concerns nothing here is left in the store, where workers look that have something under way.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.services import words
from webapp.store import generation
from webapp.store.fields import now
from webapp.store.models import Word, database
from webapp.store.writer import Writer

LOOK_SECONDS = 0.1
CANCELLED, ANSWER, TURN = "cancelled", "answer", "turn"
LONGEST_ID = 200
QUESTION = re.compile(r"gatehouse-[0-9a-f]{24}")
Key = tuple[str, int, str, str]  # kind, agent, session, about
log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Addressee:
    take: Callable[[Any], object]
    since: datetime


class Words:
    """One per worker."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: dict[Key, list[_Addressee]] = {}
        self._anyone = asyncio.Event()
        self._seen = 0  # the last word that was looked at
        # Of the store, as of the last look, and when there was nothing at all; None: not known for sure.
        self._looked_at: int | None = -1
        self._nothing_at: int | None = -1
        self._levels: dict[tuple[int, str], str] = {}
        self._levels_at: int | None = -1

    @contextmanager
    def cancels(
        self,
        agent_id: int,
        session: str,
        request_id: object,
        call_off: Callable[[], object],
        began: datetime,
    ) -> Iterator[None]:
        """`call_off` is called when the program takes its request back, or has since that began."""
        key = (CANCELLED, agent_id, session, json.dumps(request_id))
        with self._addressed(key, _Addressee(lambda _: call_off(), began)):
            yield

    @contextmanager
    def answers(self, agent_id: int, question: str) -> Iterator[asyncio.Future[Any]]:
        """The JSON-RPC answer of any program of this agent to that question."""
        with self._awaited((ANSWER, agent_id, "", question), now()) as answer:
            yield answer

    @contextmanager
    def turns(self, agent_id: int, about: str) -> Iterator[asyncio.Future[Any]]:
        """A turn of a dialogue (see dialogues), which may have been there before anybody came for it."""
        with self._awaited((TURN, agent_id, "", about), now() - words.KEPT) as turn:
            yield turn

    async def take_cancel(self, agent_id: int, session: str, params: object) -> None:
        about = params.get("requestId") if isinstance(params, dict) else None
        if isinstance(about, (str, int)) and len(str(about)) <= LONGEST_ID:
            await self._take((CANCELLED, agent_id, session, json.dumps(about)), None)

    async def take_answer(self, agent_id: int, message: dict[str, Any]) -> None:
        question = message.get("id")
        if isinstance(question, str) and QUESTION.fullmatch(question):
            said = {name: message[name] for name in ("result", "error") if name in message}
            await self._take((ANSWER, agent_id, "", question), said)

    async def take_turn(self, agent_id: int, about: str, said: dict[str, Any]) -> None:
        await self._take((TURN, agent_id, "", about), said)

    async def set_level(self, agent_id: int, session: str, level: str) -> None:
        work = self._writer.submit(lambda: words.set_level(agent_id, session, level))
        await asyncio.shield(asyncio.wrap_future(work))

    async def level(self, agent_id: int, session: str) -> str:
        """Empty where the program has set none."""
        if (current := generation.known()) is None or current != self._levels_at:
            self._levels = await asyncio.to_thread(_levels)
            self._levels_at = current
        return self._levels.get((agent_id, session), "")

    async def watch(self) -> None:
        """Runs as long as the worker does; looks only while something here may be spoken to."""
        while True:
            await self._anyone.wait()
            try:
                await self._look()
            except Exception:  # the watch must outlive a locked or briefly missing database
                log.exception("could not look for what agents said")
            await asyncio.sleep(LOOK_SECONDS)

    async def _take(self, key: Key, said: Any) -> None:
        if not self._deliver(key, said, now()):
            kind, agent_id, session, about = key
            work = self._writer.submit(lambda: words.leave(agent_id, session, kind, about, said))
            await asyncio.shield(asyncio.wrap_future(work))

    @contextmanager
    def _awaited(self, key: Key, since: datetime) -> Iterator[asyncio.Future[Any]]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def take(message: Any) -> None:
            if not future.done():
                future.set_result(message)

        with self._addressed(key, _Addressee(take, since)):
            yield future

    @contextmanager
    def _addressed(self, key: Key, addressee: _Addressee) -> Iterator[None]:
        self._waiting.setdefault(key, []).append(addressee)
        self._seen, self._looked_at = 0, -1  # it may have been said already
        self._anyone.set()
        try:
            yield
        finally:
            self._waiting[key].remove(addressee)
            if not self._waiting[key]:
                del self._waiting[key]
            if not self._waiting:
                self._anyone.clear()

    def _deliver(self, key: Key, said: Any, at: datetime) -> bool:
        """Programs without a session can't be told apart: of two requests with one id neither is taken back."""
        addressees = self._waiting.get(key, ())
        if len(addressees) != 1 or addressees[0].since > at:
            return False
        addressees[0].take(said)
        return True

    async def _look(self) -> None:
        current = generation.known()
        if current is not None and current in (self._looked_at, self._nothing_at):
            return
        seen, self._looked_at = self._seen, current
        found = await asyncio.to_thread(_after, seen)
        if not found and not seen:
            self._nothing_at = current
        if (
            found and self._looked_at == current
        ):  # nobody has come meanwhile who may have been spoken to before
            self._seen = found[-1][0].number
        reached = [word.number for word, said in found if self._deliver(_key(word), said, word.at)]
        if reached:
            self._writer.submit(lambda: words.taken(reached))


def _key(word: Word) -> Key:
    return word.kind, word.agent_id, word.session, word.about


def _after(number: int) -> list[tuple[Word, Any]]:
    with database.connection_context():
        return [(word, words.said_in(word)) for word in words.after(number)]


def _levels() -> dict[tuple[int, str], str]:
    with database.connection_context():
        return words.levels()
