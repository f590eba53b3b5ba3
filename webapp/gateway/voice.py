"""How a call that is under way speaks with the program that made it, on the stream of its answer."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from mcp_types import LOG_LEVEL_META_KEY

from webapp.errors import RpcError
from webapp.gateway import sessions
from webapp.gateway.dialogues import Dialogue
from webapp.gateway.stream import EventStream
from webapp.gateway.words import Words
from webapp.upstream.client import LEVELS

ELICITATION = "elicitation/create"
USUAL_LEVEL = "info"  # of a program that has set none: what servers send by themselves, but no more than that


@dataclass(eq=False)
class Voice:
    """`modern`: nothing is asked of it while its request is under way. Its program repeats the call with what the
    server wants to know; where the server waits for that meanwhile, there is a dialogue."""

    stream: EventStream
    words: Words
    agent_id: int
    session: str
    modern: bool
    meta: dict[str, Any]
    server: str  # that the call goes to
    dialogue: Dialogue | None = None

    @property
    def asks(self) -> str:
        """What the program can be asked while its call runs: see sessions."""
        if self.dialogue is not None:
            return self.dialogue.asks
        here = self.stream.takes_events and not self.stream.over and not self.modern
        return sessions.asks(self.session) if here else ""

    @property
    def offers(self) -> dict[str, Any]:
        return sessions.capabilities(self.asks)

    async def log_level(self) -> str:
        """From which level on the program wants to see logs. Empty: none (2026-07-28), or it said nothing."""
        if self.modern:
            return str(self.meta.get(LOG_LEVEL_META_KEY, ""))
        return await self.words.level(self.agent_id, self.session)

    async def log(self, params: dict[str, Any]) -> None:
        wanted = await self.log_level() or ("" if self.modern else USUAL_LEVEL)
        level = params.get("level")
        if wanted and level in LEVELS and LEVELS.index(level) >= LEVELS.index(wanted):
            await self.stream.tell("notifications/message", params)

    async def oblige(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """The program's answer to what a server wants of it; None where it never said that it does such things.

        Raises RpcError with the program's own refusal.
        """
        if not fits(self.offers, method, params):
            return None
        asked = named(self.server, method, params)
        said = await (self.dialogue.ask if self.dialogue else self._ask)(method, asked)
        if isinstance(said.get("error"), dict):
            raise RpcError(said["error"])
        result = said.get("result")
        return result if isinstance(result, dict) else {}

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        question = f"gatehouse-{secrets.token_hex(12)}"
        with self.words.answers(self.agent_id, question) as answer:
            await self.stream.ask(question, method, params)
            said: dict[str, Any] = await answer
            return said


def named(server: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Programs must show people which server asks, and know only ours: so the question itself says it."""
    if method != ELICITATION:
        return params
    return params | {"message": f"{server} asks: {params.get('message', '')}"}


def fits(offers: dict[str, Any], method: str, params: dict[str, Any]) -> bool:
    match method:
        case "elicitation/create":
            return params.get("mode", "form") in offers.get("elicitation", {})
        case "sampling/createMessage":
            wants_tools = "tools" in params or "toolChoice" in params
            return "sampling" in offers and (not wants_tools or "tools" in offers["sampling"])
        case "roots/list":
            return "roots" in offers
    return False
