"""What stands between agents and one server: so many calls at once, and none while it fails them all.

One per server and worker. After some failures in a row the circuit opens: calls are refused at once instead of
waiting for a time-out each, until a greeting of our own (no agent's call is risked for that) is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from webapp.errors import BadReply, Unreachable, UpstreamError
from webapp.upstream.places import Places

T = TypeVar("T")
OPENS_AFTER = 5  # failures in a row
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # between two greetings; twice as long each time
GREETING_SECONDS = 10.0
LONG_SILENCE = 20.0  # an agent that gives up after so long has met a failure too
DOWN = ("html", "not_mcp", "redirect", "too_slow")
log = logging.getLogger(__name__)


class Owner(Protocol):
    """Who knows the server."""

    async def greet(self) -> None:
        """Raises UpstreamError unless the server answers, with whatever."""

    def opened(self, why: str) -> None: ...

    def closed(self) -> None: ...


class Circuit:
    def __init__(self, name: str, owner: Owner, *, at_once: int, patience: float) -> None:
        """`patience`: seconds a call waits for its turn when `at_once` others are under way."""
        self._name = name
        self._owner = owner
        self._places = Places(at_once)
        self._at_once = at_once
        self._patience = patience
        self._failures = 0
        self._mending: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()
        self._next_greeting = 0.0

    @property
    def is_open(self) -> bool:
        return self._mending is not None

    async def run(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Raises Unreachable, with nothing sent, where it is open or too many calls are under way."""
        if self._mending is not None:
            raise self._left_alone()
        if not self._places.taken():
            await self._wait_for_a_place()
        began = asyncio.get_running_loop().time()
        try:
            answer = await ask()
        except UpstreamError as error:
            self._failed(error) if _is_down(error) else self._worked()
            raise
        except asyncio.CancelledError:
            if asyncio.get_running_loop().time() - began >= LONG_SILENCE:
                self._failed(Unreachable("It did not answer for a long time.", kind="read_timeout"))
            raise
        finally:
            self._places.give_back()
        self._worked()
        return answer

    def hurry(self) -> None:
        """There is reason to believe that the server is back."""
        self._hurried.set()

    def close(self) -> None:
        """Nobody needs it any more."""
        if self._mending is not None:
            self._mending.cancel()

    async def _wait_for_a_place(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._places.take()
        except TimeoutError as error:
            what = f"{self._at_once} calls to {self._name} were under way, and none of them ended."
            raise Unreachable(what, kind="busy", retry_after=1) from error

    def _left_alone(self) -> Unreachable:
        left = self._next_greeting - asyncio.get_running_loop().time()
        what = f"{self._name} failed its last calls and is left alone until it answers again."
        return Unreachable(what, kind="open", retry_after=max(1, round(left)))

    def _worked(self) -> None:
        self._failures = 0
        if self._mending is not None:  # a call that was under way when it opened
            self.hurry()

    def _failed(self, error: UpstreamError) -> None:
        self._failures += 1
        if self._failures >= OPENS_AFTER and self._mending is None:
            self._hurried.clear()
            self._mending = asyncio.get_running_loop().create_task(self._mend(error.what))
            self._mending.add_done_callback(self._mended)

    async def _mend(self, why: str) -> None:
        self._owner.opened(why)
        pause = FIRST_PAUSE
        while True:
            await self._until_next_greeting(pause)
            try:
                async with asyncio.timeout(GREETING_SECONDS):
                    return await self._owner.greet()
            except (UpstreamError, TimeoutError):
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _until_next_greeting(self, pause: float) -> None:
        """However much one hurries, a server that fails is not asked more often than once a second."""
        self._next_greeting = asyncio.get_running_loop().time() + pause
        await asyncio.sleep(FIRST_PAUSE)
        try:
            async with asyncio.timeout(pause - FIRST_PAUSE):
                await self._hurried.wait()
        except TimeoutError:
            return
        finally:
            self._hurried.clear()

    def _mended(self, task: asyncio.Task[Any]) -> None:
        self._mending, self._failures = None, 0
        if task.cancelled():
            return
        if problem := task.exception():  # nobody foresaw it: the next calls find out how the server is
            log.error("greeting %s failed", self._name, exc_info=problem)
        else:
            self._owner.closed()


def _is_down(error: UpstreamError) -> bool:
    """Says something about the server, not about one call: a refusal or an odd result is an answer."""
    if isinstance(error, Unreachable):
        return error.kind != "busy" or error.sent  # 429 is an answer too
    return isinstance(error, BadReply) and error.kind in DOWN
