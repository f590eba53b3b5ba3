"""A server of the handshake era asks back in the middle of a call, and waits. A program of 2026-07-28 is asked when
its request ends, and comes again with what it was asked for.

The call goes on between its program's requests, on the worker where it began; the program may come to another. What
passes between the two are words (see words): its answers, and in the other direction turns, each with a number.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, replace
from typing import Any

from webapp.errors import RpcError
from webapp.gateway.answers import UNKNOWN
from webapp.gateway.words import Words
from webapp.services.redaction import digest_of
from webapp.store.fields import now
from webapp.store.secrets import KeyProblem, vault
from webapp.upstream.envelope import INPUT_REQUIRED

RECORD, PREFIX = "dialogue", "gatehouse-dialogue."
LONGEST = 2000
SHORTEST_SECONDS = 2.0  # that a program waits for its turn
CALL = "call"  # the id under which a program takes back what it has asked for in several requests
Run = asyncio.Task[dict[str, Any]]
InBackground = Callable[[Coroutine[Any, Any, None]], object]


@dataclass(frozen=True)
class State:
    """What the program brings along: which call goes on, and the number of the turn that it comes for."""

    dialogue: str
    turn: int
    asked: str  # digest of agent, tool and arguments
    until: float  # by then the call has ended in one way or another

    @property
    def sealed(self) -> str:
        return PREFIX + vault.seal(RECORD, asdict(self)).decode()

    @property
    def about(self) -> str:
        return f"{self.dialogue}.{self.turn}"


def read(state: object) -> State | None:
    """None for what we did not write."""
    if not isinstance(state, str) or not state.startswith(PREFIX) or len(state) > LONGEST:
        return None
    try:
        return State(**vault.open(RECORD, state.removeprefix(PREFIX).encode()))
    except KeyProblem:
        return None


class Dialogue:
    """On the worker where the call runs. `asks`: what its program can be asked, in letters (see sessions)."""

    def __init__(self, words: Words, agent_id: int, asks: str, asked: str, seconds: float) -> None:
        """`asked` is what `digest` makes of the call, which takes `seconds` at most."""
        self.asks = asks
        self._words = words
        self._agent_id = agent_id
        self._state = State(secrets.token_hex(12), 1, asked, time.time() + seconds)
        self._unheard: dict[str, dict[str, Any]] = {}
        self._asked = asyncio.Event()

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The program's answer as JSON-RPC has it."""
        question = f"gatehouse-{secrets.token_hex(12)}"
        with self._words.answers(self._agent_id, question) as answer:
            self._unheard[question] = {"method": method, "params": params}
            self._asked.set()
            said: dict[str, Any] = await answer
            return said

    async def begin(self, run: Run, in_background: InBackground) -> dict[str, Any]:
        """The first turn, and what `run` raises. A program that leaves before it takes the call with it."""
        before = self._state
        try:
            turn = await self._turn(run)
        except asyncio.CancelledError as gone:
            run.cancel(*gone.args)
            await asyncio.wait((run,))
            raise
        if self._state is not before:
            in_background(self._go_on(run))
        return turn

    async def _go_on(self, run: Run) -> None:
        """All turns after the first, each as soon as there is one: the program comes for it when it will."""
        with self._words.cancels(self._agent_id, self._state.dialogue, CALL, run.cancel, now()):
            over = False
            while not over:
                before = self._state
                said = await self._said(run)
                await self._words.take_turn(self._agent_id, before.about, said)
                over = self._state is before

    async def _said(self, run: Run) -> dict[str, Any]:
        try:
            return {"result": await self._turn(run)}
        except RpcError as error:
            return {"error": error.as_json()}
        except asyncio.CancelledError:
            if not run.cancelled():
                raise
            return {"result": UNKNOWN}

    async def _turn(self, run: Run) -> dict[str, Any]:
        """What the program hears next: the questions that it has not heard yet, or how the call ended."""
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait((run, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        if run.done():
            return run.result()
        questions, self._unheard = self._unheard, {}
        self._asked.clear()
        self._state = replace(self._state, turn=self._state.turn + 1)
        return {
            "resultType": INPUT_REQUIRED, "inputRequests": questions, "requestState": self._state.sealed,
        }  # fmt: skip


async def go_on(
    words: Words, agent_id: int, state: State, answers: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """The turn that the program comes for, wherever its call runs. Raises RpcError where the call ended with one."""
    seconds = max(SHORTEST_SECONDS, min(seconds, state.until - time.time()))
    with words.turns(agent_id, state.about) as turn:
        for question, answer in answers.items():
            await words.take_answer(agent_id, {"id": question, "result": answer})
        try:
            said = await asyncio.wait_for(turn, seconds)
        except TimeoutError:  # its worker is gone
            return UNKNOWN
        except asyncio.CancelledError:
            await asyncio.shield(words.take_cancel(agent_id, state.dialogue, {"requestId": CALL}))
            raise
    if "error" in said:
        raise RpcError(said["error"])
    result: dict[str, Any] = said["result"]
    return result


def digest(agent_id: int | None, tool_id: int, arguments: dict[str, Any]) -> str:
    return digest_of([agent_id, tool_id, arguments])
