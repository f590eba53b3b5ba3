"""Calls that are refused before they come to the path: on record like every call, and no flood of them buries it."""

from __future__ import annotations

from typing import Any

from config import Config
from webapp.gateway import answers
from webapp.gateway.call import Answer, Call
from webapp.gateway.catalogue import Catalogues
from webapp.gateway.clerk import Clerk
from webapp.gateway.floods import Floods
from webapp.services import audit
from webapp.services.audit import Actor, Row
from webapp.services.redaction import keep


class Refusals:
    """One per worker."""

    def __init__(self, config: Config, catalogues: Catalogues, clerk: Clerk) -> None:
        self._config = config
        self._catalogues = catalogues
        self._clerk = clerk
        self._floods = Floods(lambda row: clerk.later(lambda: audit.append([row])))

    async def note(self, caller: Actor, name: str, arguments: dict[str, Any], why: str) -> None:
        """A call that got no further than the door is on record too, under the name the caller used."""
        known = (await self._catalogues.current()).by_name.get(name)
        row = Row(
            "call", caller, "call",
            known.source.name if known else "", known.catalogue_name if known else name,
            policy=known.policy if known else "", outcome="refused",
            details=keep(arguments, self._config.log_arguments) | {"why": why},
        )  # fmt: skip
        await self._clerk.write(lambda: audit.append([row]))

    async def note_too_many(self, caller: Actor, name: str, arguments: dict[str, Any], why: str) -> None:
        """On record too, once and with how many there were, however fast they come."""
        if self._floods.is_first(caller, why):
            await self.note(caller, name, arguments, why)

    async def stand_still(self, call: Call, scope: str) -> Answer:
        """Refused, and on record like every call."""
        row = call.row("refused", self._config.log_arguments, {"why": f"paused: {scope}"})
        await self._clerk.write(lambda: audit.append([row]))
        call.outcome = "refused"
        return Answer(answers.paused(call.tool, scope))

    def close(self) -> None:
        self._floods.close()
