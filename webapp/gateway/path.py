"""The one path on which a tool runs: policy and, where needed, approval are checked here once more, and the call is
written down here. There is no second path (design, promise 1)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from peewee import DatabaseError, fn

from config import Config
from webapp.errors import NeedsAuthorization, Refused, RpcError, Stale, Unreachable, UpstreamError
from webapp.gateway import answers, rounds
from webapp.gateway.call import Call
from webapp.gateway.clerk import Clerk
from webapp.gateway.lines import Lines
from webapp.gateway.rounds import NeedsInput
from webapp.services import approvals, audit, condition, grants, integrations, intents, summaries
from webapp.services.agent_errors import about, failure
from webapp.store.models import Entry, Integration
from webapp.upstream.envelope import INPUT_REQUIRED

FINISHED_AS = {"failed": "failed", "unknown": "unknown"}


class NotWritten(RpcError):
    """The call could not be written down, so it was not forwarded."""

    def __init__(self) -> None:
        super().__init__({
            "code": -32603,
            "message": "Gatehouse could not write this call down, so it has not run. Try again later.",
            "data": about("gatehouse", "later"),
        })  # fmt: skip


class Path:
    """One per worker."""

    def __init__(self, config: Config, clerk: Clerk, lines: Lines, worker: str) -> None:
        self._config = config
        self._clerk = clerk
        self._lines = lines
        self._worker = worker

    async def run(self, call: Call) -> dict[str, Any]:
        """Forward, log, answer: in this order, and a write's intent is on disk before it leaves."""
        agreed = call.approval or (call.confirmed and call.caller.kind == "user")
        if call.tool.policy != "auto" and (not agreed or call.tool.policy == "disabled"):
            raise RuntimeError("a call without its approval must never get here")
        if call.has_intent:
            await self._announce(call)
        elif not condition.can_write():  # its answer could not leave
            raise NotWritten
        try:
            result, outcome, details = await self._forward(call)
        except asyncio.CancelledError as gone:
            await asyncio.shield(self._cut_off(call, f"{call.who_left(gone)} before the answer came."))
            raise
        except Exception as error:
            await self._cut_off(call, f"Gatehouse failed: {type(error).__name__}")
            raise
        await self._record(call, result, outcome, details)
        if outcome == "rpc_error":
            raise RpcError(result)
        return result

    def _record(
        self, call: Call, result: dict[str, Any], outcome: str, details: dict[str, Any]
    ) -> Awaitable[None]:
        """On disk before the agent hears of it. A read leaves a row and nothing else, so rows go there in bundles."""
        if call.has_intent or call.caller.kind != "agent":
            return self._clerk.surely(lambda: self._finish(call, result, outcome, details))
        row = call.row("failed" if outcome == "rpc_error" else outcome, self._config.log_arguments, details)
        return self._clerk.append(row)

    async def _announce(self, call: Call) -> None:
        """Raises NotWritten, or Stale where the call is no longer this worker's; it must not leave then."""
        try:
            await self._clerk.write(lambda: self._intend(call))
        except asyncio.CancelledError as gone:
            why = {"why": f"{call.who_left(gone)} before the call left."}
            await self._clerk.surely(lambda: self._finish(call, answers.UNKNOWN, "cancelled", why))
            raise
        except DatabaseError as error:
            raise NotWritten from error

    def _intend(self, call: Call) -> None:
        if call.approval and not approvals.is_claimed(call.approval, self._worker):
            raise Stale("Another worker has taken this call over.")
        why = {"why": "Gatehouse stopped before the answer came."}
        intents.add(call.id, self._worker, call.row("unknown", self._config.log_arguments, why))

    async def _forward(self, call: Call) -> tuple[dict[str, Any], str, dict[str, Any]]:
        """The result for the agent, the outcome for the log and details for the log. Never raises a refusal."""
        answer = self._upstream(call, call.another_round)
        try:
            result = await (asyncio.wait_for(answer, call.seconds) if call.seconds else answer)
            if result.get("resultType") == INPUT_REQUIRED:
                if call.takes_part_in_rounds:
                    result = rounds.passed_on(result, call.capabilities, call.tool.source.name)
                else:
                    again = functools.partial(self._upstream, call)
                    result = await rounds.to_the_end(result, call.voice, again)
        except RpcError as error:
            return error.as_json(), "rpc_error", {"error": error.what}
        except NeedsInput as error:
            text = f"The server {call.tool.source.name} {error.trouble} The call was not finished."
            told = failure(text, error.agent_kind, "no", server=call.tool.source.name)
            return told, "failed", {"error": error.what}
        except NeedsAuthorization as wall:
            # Under no name of its own: what knows the error, and is known to its frames, stays until it is collected.
            wall.trouble = await self._clerk.write(functools.partial(_note_wall, call.tool.source.id, wall))
            return _without_answer(call, wall)
        except UpstreamError as error:
            return _without_answer(call, error)
        except Refused as error:
            return failure(error.what, "not_offered", "no"), "failed", {"error": error.what}
        except TimeoutError:
            return _without_answer(call, _too_late(call.seconds or self._config.call_seconds))
        summary = summaries.of(result, self._config.log_arguments)
        return result, "tool_error" if result.get("isError") else "ok", summary

    def _upstream(self, call: Call, another_round: dict[str, Any] | None) -> Awaitable[dict[str, Any]]:
        return self._lines.call(
            call.tool,
            call.arguments,
            meta=call.meta,
            another_round=another_round,
            capabilities=call.capabilities,
            on_progress=call.on_progress,
            voice=call.voice,
        )

    def _finish(self, call: Call, result: dict[str, Any], outcome: str, details: dict[str, Any]) -> None:
        """In one commit: the log row, the intent gone, the approval's outcome kept."""
        logged = "failed" if outcome == "rpc_error" else outcome
        if call.has_intent and not intents.remove(call.id):
            details = details | {"late": "Recorded as unknown before; this worker was taken for dead."}
        audit.append([call.row(logged, self._config.log_arguments, details)])
        call.outcome = logged
        if call.caller.kind != "agent":
            call.entry_id = Entry.select(fn.MAX(Entry.id)).scalar()
        if call.approval:
            kept = answers.from_rpc_error(result) if outcome == "rpc_error" else result
            approvals.finish(call.approval, FINISHED_AS.get(logged, "done"), kept)

    async def _cut_off(self, call: Call, why: str) -> None:
        outcome = "unknown" if call.has_intent else "cancelled"
        await self._clerk.surely(lambda: self._finish(call, answers.UNKNOWN, outcome, {"why": why}))


def _note_wall(integration_id: int, wall: NeedsAuthorization) -> str:
    """Write down what the server wants; what to say to the agent. Only a lost sign-in concerns the other tools."""
    scope = grants.demanded_scope(wall)
    if scope is not None and grants.demand(integration_id, scope):
        return "wants more access than it was granted; an administrator can grant it."
    if wall.http_status == HTTPStatus.FORBIDDEN:
        return "says that the account Gatehouse signs in with may not do this."
    if integration := Integration.get_or_none(Integration.id == integration_id):
        integrations.mark(integration, "needs_sign_in", wall.what)
    return wall.trouble


def _too_late(seconds: float) -> Unreachable:
    within = f"gave no answer within {seconds:g} seconds."
    late = Unreachable(f"The tool {within}", kind="read_timeout", sent=True)
    late.trouble = within
    return late


def _without_answer(call: Call, error: UpstreamError) -> tuple[dict[str, Any], str, dict[str, Any]]:
    doubt = error.sent and call.has_intent
    told = answers.from_server(call.tool, error, doubt=doubt)
    return told, "unknown" if doubt else "failed", {"error": error.what}
