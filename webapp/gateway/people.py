"""Calls that people ask for on a page: out of the page's thread, on to the one path, and back with the outcome."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from typing import Any

from config import Config
from webapp.errors import Forbidden, NotFound, Refused, RpcError, Stale, TooMany
from webapp.gateway import answers
from webapp.gateway.call import Call
from webapp.gateway.calls import Calls
from webapp.gateway.catalogue import Catalogues, CatalogueTool
from webapp.gateway.path import NotWritten
from webapp.services import desk, patience
from webapp.services.audit import Actor
from webapp.services.desk import Outcome, Purpose, asks_first
from webapp.services.roles import needs
from webapp.store.models import Tool

AT_ONCE = 6  # each holds one of the threads that serve pages
LOOK_SECONDS = 8.0
GRACE_SECONDS = 30.0  # for what comes before and after a call: signing in, writing it down
LOOK_FIRST = "Look in Activity what became of the call before you try again."
ROLES: dict[Purpose, str] = {"try": "admin", "look": "technician"}


class People:
    """One per worker, made on its event loop; `run` is for every other thread."""

    def __init__(self, config: Config, catalogues: Catalogues, calls: Calls) -> None:
        self._seconds = config.call_seconds
        self._catalogues = catalogues
        self._calls = calls
        self._loop = asyncio.get_running_loop()
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[Any]] = set()

    def run(
        self,
        tool: Tool,
        arguments: dict[str, Any],
        actor: Actor,
        *,
        purpose: Purpose,
        confirmed: bool = False,
    ) -> Outcome:
        needs(actor, ROLES[purpose])
        if not self._free.acquire(blocking=False):
            raise TooMany("Several people run tools at this moment.", retry_after=10,
                          next_step="Wait a little and try again.")  # fmt: skip
        try:
            asked = self._run(tool, arguments, actor, purpose, confirmed)
            seconds = patience.of(tool.integration) or self._seconds
            return asyncio.run_coroutine_threadsafe(asked, self._loop).result(seconds + GRACE_SECONDS)
        except concurrent.futures.CancelledError as stopped:
            raise Refused("Gatehouse was stopped while the tool ran.", next_step=LOOK_FIRST) from stopped
        except TimeoutError as late:
            why = "The store or the server is very slow."
            raise Refused("There is no outcome yet.", why=why, next_step=LOOK_FIRST) from late
        finally:
            self._free.release()

    async def close(self) -> None:
        """What is still under way is cut off, and written down as such."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _run(
        self, row: Tool, arguments: dict[str, Any], actor: Actor, purpose: Purpose, confirmed: bool
    ) -> Outcome:
        self._note_under_way()
        tool = (await self._catalogues.current()).by_name.get(row.catalogue_name)
        if tool is None or tool.id != row.id:
            raise NotFound("This tool can't be called now.",
                           why="It is gone from its server, or its integration is paused or not finished.",
                           next_step="Look at its integration.")  # fmt: skip
        if tool.definition_digest != row.definition_digest:
            raise Stale("The definition of this tool has changed since this page was made.",
                        next_step="Load the page again and look at what changed.")  # fmt: skip
        if refusal := _refusal(tool, purpose, confirmed):
            if purpose == "try":
                await self._calls.refusals.note(actor, tool.catalogue_name, arguments, refusal.what)
            raise refusal
        confirmed = confirmed and not desk.needs_second(row, tool.policy)
        about = {"purpose": purpose} | ({"confirmed_by": actor.name} if confirmed else {})
        return await self._outcome(
            Call(actor, tool, arguments, confirmed=confirmed, about=about,
                 seconds=LOOK_SECONDS if purpose == "look" else None)
        )  # fmt: skip

    def _note_under_way(self) -> None:
        if task := asyncio.current_task():
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _outcome(self, call: Call) -> Outcome:
        try:
            answer = await self._calls.answer(call)
            result, approval = answer.result, answer.approval
        except NotWritten as unwritten:
            raise Refused(unwritten.message) from unwritten
        except RpcError as error:
            result, approval = answers.from_rpc_error(error.as_json()), ""
        took = (time.monotonic() - call.began) * 1000
        return Outcome(result, call.outcome or "waiting", call.entry_id, approval, took)


def _refusal(tool: CatalogueTool, purpose: Purpose, confirmed: bool) -> Refused | None:
    if tool.policy == "disabled":
        return Forbidden("This tool is Disabled, so it was not run.",
                         why="That holds for people as it does for agents.",
                         next_step="Set it to Approval needed or Auto first.")  # fmt: skip
    if purpose == "look":
        if tool.is_read and tool.policy == "auto":
            return None
        return Forbidden("Gatehouse looks only with tools that read and are Auto.")
    if asks_first(tool.policy, tool.kind) and not confirmed:
        return Refused("This tool writes, or needs approval: it runs only after you have confirmed it.",
                       next_step="Look at the arguments once more and confirm.")  # fmt: skip
    return None
