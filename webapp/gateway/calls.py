"""The one path on which a tool runs: who asks, the policy and, where needed, the approval are checked here,
and the call is written down here. There is no second path (design, promise 1)."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from random import getrandbits
from typing import Any, TypeVar

from peewee import DatabaseError, fn

from config import Config
from webapp.errors import NeedsAuthorization, NotFound, Refused, RpcError, Stale, Unreachable, UpstreamError
from webapp.gateway import answers, dialogues, sessions
from webapp.gateway.catalogue import Catalogue, Catalogues, CatalogueTool, KnownAgent
from webapp.gateway.dialogues import Dialogue, State
from webapp.gateway.floods import Floods
from webapp.gateway.holding import Guest
from webapp.gateway.lines import Lines, Progress
from webapp.gateway.quotas import Quotas
from webapp.gateway.rounds import INPUT_REQUIRED, NeedsInput, to_the_end
from webapp.gateway.stream import CALLED_OFF
from webapp.gateway.voice import Voice
from webapp.gateway.waiting import WaitingRoom
from webapp.services import approvals, audit, condition, grants, health, integrations, intents, summaries
from webapp.services.agent_errors import about, failure
from webapp.services.audit import Actor, Row
from webapp.services.quotas import Quota
from webapp.services.redaction import keep
from webapp.store.fields import now
from webapp.store.models import Approval, Entry, Integration, database
from webapp.store.writer import Writer

T = TypeVar("T")
TRY_AGAIN_SECONDS = 1.0
GRACE_SECONDS = 5.0  # for what comes before and after a call
MOST_LISTED = 50  # approvals, at a time
FINISHED_AS = {"failed": "failed", "unknown": "unknown"}
log = logging.getLogger(__name__)


class NotWritten(RpcError):
    """The call could not be written down, so it was not forwarded."""

    def __init__(self) -> None:
        super().__init__({
            "code": -32603,
            "message": "Gatehouse could not write this call down, so it has not run. Try again later.",
            "data": about("gatehouse", "later"),
        })  # fmt: skip


@dataclass
class Call:
    """One call of one agent or one person. `outcome` and `entry_id` are what the log came to say of it."""

    caller: Actor
    tool: CatalogueTool
    arguments: dict[str, Any]
    meta: dict[str, Any] | None = None
    another_round: dict[str, Any] | None = None
    capabilities: dict[str, Any] | None = None
    on_progress: Progress | None = None
    voice: Voice | None = None  # of the agent's program, while it is there
    takes_part_in_rounds: bool = False  # 2026-07-28: it repeats the call with what the server wants to know
    reason: str = ""
    quota: Quota = Quota()  # of the agent that asks; people have none, and don't hold the line
    confirmed: bool = False  # a person asks for it, was shown what it is, and said yes
    seconds: float | None = None  # an answer is wanted within; None: as long as any call may take
    about: dict[str, Any] = field(default_factory=dict)  # what the log's details say besides
    approval: str = ""  # id of the claimed approval this run belongs to
    id: str = field(default_factory=lambda: f"{getrandbits(64):016x}")
    began: float = field(default_factory=time.monotonic)
    outcome: str = ""
    entry_id: int | None = None

    @property
    def has_intent(self) -> bool:
        """A read may be lost with its worker; everything else is on disk before it leaves."""
        return bool(self.approval) or self.confirmed or not self.tool.is_read

    @property
    def holds(self) -> float:
        """Seconds that it waits for a person."""
        return self.quota.hold_seconds or 0.0

    @property
    def asks(self) -> str:
        """What its program can be asked in turns, for a server of the handshake era: in letters, see sessions."""
        in_turns = self.takes_part_in_rounds and self.tool.source.handshake
        return sessions.letters(self.capabilities) if in_turns else ""

    @property
    def digest(self) -> str:
        return dialogues.digest(self.caller.id, self.tool.id, self.arguments)

    @property
    def asked_with(self) -> dict[str, Any]:
        """What a later run of it needs besides its arguments."""
        parts = {"meta": self.meta, "capabilities": self.capabilities, "another_round": self.another_round}
        kept: dict[str, Any] = {name: part for name, part in parts.items() if part}
        return kept | ({"takes_part_in_rounds": True} if self.takes_part_in_rounds else {})

    def who_left(self, gone: asyncio.CancelledError) -> str:
        if gone.args == (CALLED_OFF,):
            return "The agent called it off"
        return "The agent hung up" if self.caller.kind == "agent" else "Gatehouse stopped"

    def row(self, outcome: str, log_arguments: str, details: dict[str, Any]) -> Row:
        return Row(
            "call",
            self.caller,
            "call",
            self.tool.source.name,
            self.tool.catalogue_name,
            policy="approval" if self.approval else self.tool.policy,
            outcome=outcome,
            duration_ms=(time.monotonic() - self.began) * 1000,
            approval=self.approval,
            details=keep(self.arguments, log_arguments) | self.about | details,
        )


@dataclass(frozen=True)
class Answer:
    """A tool result for the agent; `approval` is set while it, or its outcome, belongs to an approval."""

    result: dict[str, Any]
    approval: str = ""
    waiting: bool = False


class Calls:
    """One per worker. Runs on the event loop; everything that touches the database goes through the writer."""

    def __init__(
        self,
        config: Config,
        catalogues: Catalogues,
        writer: Writer,
        worker: str,
        heard: Callable[[int], None],
    ) -> None:
        """`heard` is told of an integration whose server says, beside its answers, that its tools changed."""
        self.config = config
        self.catalogues = catalogues
        self.writer = writer
        self.worker = worker
        self.lines = Lines(config, heard, self._note_reach)
        self.room = WaitingRoom(self._run_approved)
        self.quotas = Quotas(config, writer)
        self._background: set[asyncio.Task[Any]] = set()
        self._dialogues: set[asyncio.Task[Any]] = set()
        self._floods = Floods(
            lambda row: self._in_background(self._until_written(lambda: audit.append([row])))
        )

    async def answer(self, call: Call) -> Answer:
        """What the caller gets: the result, a refusal, or word that a person must decide first.

        Raises TooMany for an agent that has as much under way, or waiting, as it may have.
        """
        if paused := self._paused(call):
            return await self._stand_still(call, paused)
        if call.tool.policy == "auto" or call.confirmed:
            if call.voice and call.asks:
                return Answer(await self._in_turns(call, call.voice))
            return Answer(await self._in_its_place(call))
        approval_id = await self._write(lambda: self._ask(call))
        return await self.await_approval(approval_id, call.holds, call.on_progress, call.voice)

    async def admit(self, agent: KnownAgent) -> None:
        """Counts one call of it. Raises TooMany, or NotWritten where it could not be counted."""
        try:
            await self.quotas.admit(agent)
        except DatabaseError as error:
            raise NotWritten from error

    async def await_approval(
        self,
        approval_id: str,
        seconds: float,
        on_progress: Progress | None = None,
        voice: Voice | None = None,
    ) -> Answer:
        """Wait, without a thread, until the call has an outcome or the time is up."""
        until = now() + timedelta(seconds=seconds)
        await self._write(lambda: approvals.attend(approval_id, until))
        try:
            await self.room.wait(approval_id, Guest(on_progress, voice), seconds)
        finally:
            self.writer.submit(lambda: approvals.attend(approval_id, now()))
        approval = await self._read(lambda: approvals.get(approval_id))
        if approval.state in approvals.FINISHED:
            result = await self._read(lambda: answers.outcome(approval, approvals.result_of(approval)))
            return Answer(result, approval_id)
        if approval.state in approvals.DECIDED:
            return Answer(answers.running(approval), approval_id, waiting=True)
        return Answer(answers.waiting(approval, self.config.address), approval_id, waiting=True)

    def _paused(self, call: Call) -> str:
        """From memory: the catalogue was compared with the store when this call came in."""
        agent_id = call.caller.id if call.caller.kind == "agent" else None
        standing = self.catalogues.latest.standstill
        return standing.scope(agent_id, call.tool.source.id, call.tool.kind)

    async def _stand_still(self, call: Call, scope: str) -> Answer:
        """Refused, and on record like every call."""
        row = call.row("refused", self.config.log_arguments, {"why": f"paused: {scope}"})
        await self._write(lambda: audit.append([row]))
        call.outcome = "refused"
        return Answer(answers.paused(call.tool, scope))

    async def await_own(
        self, agent: KnownAgent, approval_id: str, seconds: float, reason: str, on_progress: Progress | None
    ) -> Answer:
        """Raises NotFound unless this agent asked for it."""
        await self._read(lambda: approvals.of_agent(approval_id, agent.id))
        if reason:
            await self._write(lambda: approvals.give_reason(approval_id, reason))
        answer = await self.await_approval(approval_id, seconds, on_progress)
        if answer.result.get("resultType") != INPUT_REQUIRED:
            return answer
        # Its questions belong to the call itself, which goes on with them.
        return Answer(answers.wants_input(approval_id), approval_id, waiting=True)

    async def await_again(self, call: Call, approval_id: str) -> Answer:
        """A program of 2026-07-28 comes again for what its call waits for. Raises NotFound for another call's."""
        asker, tool = call.caller, call.tool
        await self._read(lambda: approvals.of_call(approval_id, asker.id or 0, tool.id, call.arguments))
        return await self.await_approval(approval_id, call.holds, call.on_progress, call.voice)

    async def go_on(self, call: Call, state: State, given: dict[str, Any]) -> Answer:
        """A program of 2026-07-28 comes again with what the server asked for. Raises NotFound for another call's."""
        agent_id, voice = call.caller.id, call.voice
        if state.asked != call.digest or not agent_id or not voice:
            raise NotFound("This state belongs to another call.")
        return Answer(await dialogues.go_on(voice.words, agent_id, state, given, self._most_seconds(call)))

    async def of_agent(self, agent: KnownAgent) -> dict[str, Any]:
        """What it asked for and has not fetched."""
        return answers.mine(await self._read(lambda: approvals.recent_of(agent.id, MOST_LISTED)))

    async def note_refusal(self, caller: Actor, name: str, arguments: dict[str, Any], why: str) -> None:
        """A call that got no further than the door is on record too, under the name the caller used."""
        known = (await self.catalogues.current()).by_name.get(name)
        row = Row(
            "call", caller, "call",
            known.source.name if known else "", known.catalogue_name if known else name,
            policy=known.policy if known else "", outcome="refused",
            details=keep(arguments, self.config.log_arguments) | {"why": why},
        )  # fmt: skip
        await self._write(lambda: audit.append([row]))

    async def note_too_many(self, caller: Actor, name: str, arguments: dict[str, Any], why: str) -> None:
        """On record too, once and with how many there were, however fast they come."""
        if self._floods.is_first(caller, why):
            await self.note_refusal(caller, name, arguments, why)

    async def delivered(self, answer: Answer) -> None:
        """The agent has it: the same call from now on is a new question."""
        if answer.approval and not answer.waiting:
            await self._write(lambda: approvals.delivered(answer.approval))

    async def close(self) -> None:
        self._floods.close()
        for run in self._dialogues:  # their programs may come again, but to another worker
            run.cancel()
        while self._background:
            await asyncio.gather(*self._background, return_exceptions=True)
        await self.lines.close()

    async def _in_turns(self, call: Call, voice: Voice) -> dict[str, Any]:
        """The server may ask back: then this is what it asks, and the call goes on meanwhile."""
        seconds = self._most_seconds(call)
        voice.dialogue = Dialogue(voice.words, voice.agent_id, call.asks, call.digest, seconds)
        run = self._in_background(self._in_its_place(call))
        self._dialogues.add(run)
        run.add_done_callback(self._dialogues.discard)
        return await voice.dialogue.begin(run, self._in_background)

    def _most_seconds(self, call: Call) -> float:
        return (call.tool.source.seconds or self.config.call_seconds) + GRACE_SECONDS

    async def _in_its_place(self, call: Call) -> dict[str, Any]:
        with self.quotas.place(call.caller.id, call.quota):
            return await self._run(call)

    # --- the path itself

    async def _run(self, call: Call) -> dict[str, Any]:
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

    async def _record(
        self, call: Call, result: dict[str, Any], outcome: str, details: dict[str, Any]
    ) -> None:
        """On disk before the agent hears of it. A read leaves a row and nothing else, so rows go there in bundles."""
        if call.has_intent or call.caller.kind != "agent":
            return await self._surely(lambda: self._finish(call, result, outcome, details))
        row = call.row("failed" if outcome == "rpc_error" else outcome, self.config.log_arguments, details)
        written = self.writer.add(audit.append, row)
        try:
            await asyncio.shield(written)
        except DatabaseError:
            await self._surely(lambda: audit.append([row]))
        except asyncio.CancelledError:
            written.add_done_callback(lambda done: self._write_again(done, row))
            raise

    def _write_again(self, done: asyncio.Future[None], row: Row) -> None:
        """Nobody waits for the row any more; it must be there all the same."""
        if not done.cancelled() and done.exception():
            self._in_background(self._until_written(lambda: audit.append([row])))

    async def _announce(self, call: Call) -> None:
        """Raises NotWritten, or Stale where the call is no longer this worker's; it must not leave then."""
        try:
            await self._write(lambda: self._intend(call))
        except asyncio.CancelledError as gone:
            why = {"why": f"{call.who_left(gone)} before the call left."}
            await self._surely(lambda: self._finish(call, answers.UNKNOWN, "cancelled", why))
            raise
        except DatabaseError as error:
            raise NotWritten from error

    def _intend(self, call: Call) -> None:
        if call.approval and not approvals.is_claimed(call.approval, self.worker):
            raise Stale("Another worker has taken this call over.")
        why = {"why": "Gatehouse stopped before the answer came."}
        intents.add(call.id, self.worker, call.row("unknown", self.config.log_arguments, why))

    async def _forward(self, call: Call) -> tuple[dict[str, Any], str, dict[str, Any]]:
        """The result for the agent, the outcome for the log and details for the log. Never raises a refusal."""
        answer = self._upstream(call, call.another_round)
        try:
            result = await (asyncio.wait_for(answer, call.seconds) if call.seconds else answer)
            if result.get("resultType") == INPUT_REQUIRED and not call.takes_part_in_rounds:
                result = await to_the_end(result, call.voice, functools.partial(self._upstream, call))
        except RpcError as error:
            return error.as_json(), "rpc_error", {"error": error.what}
        except NeedsInput as error:
            text = f"The server {call.tool.source.name} {error.trouble} The call was not finished."
            told = failure(text, error.agent_kind, "no", server=call.tool.source.name)
            return told, "failed", {"error": error.what}
        except NeedsAuthorization as wall:
            refusal = wall
            refusal.trouble = await self._write(lambda: _note_wall(call.tool.source.id, refusal))
            return _without_answer(call, refusal)
        except UpstreamError as error:
            return _without_answer(call, error)
        except Refused as error:
            return failure(error.what, "not_offered", "no"), "failed", {"error": error.what}
        except TimeoutError:
            return _without_answer(call, _too_late(call.seconds or self.config.call_seconds))
        summary = summaries.of(result, self.config.log_arguments)
        return result, "tool_error" if result.get("isError") else "ok", summary

    def _upstream(self, call: Call, another_round: dict[str, Any] | None) -> Awaitable[dict[str, Any]]:
        return self.lines.call(
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
        audit.append([call.row(logged, self.config.log_arguments, details)])
        call.outcome = logged
        if call.caller.kind != "agent":
            call.entry_id = Entry.select(fn.MAX(Entry.id)).scalar()
        if call.approval:
            kept = answers.from_rpc_error(result) if outcome == "rpc_error" else result
            approvals.finish(call.approval, FINISHED_AS.get(logged, "done"), kept)

    async def _cut_off(self, call: Call, why: str) -> None:
        outcome = "unknown" if call.has_intent else "cancelled"
        await self._surely(lambda: self._finish(call, answers.UNKNOWN, outcome, {"why": why}))

    # --- approvals

    def _ask(self, call: Call) -> str:
        asker, tool = call.caller, call.tool
        by_agent, by_person = (asker.id, None) if asker.kind == "agent" else (None, asker.id)
        asked = approvals.Asked(
            by_agent, asker.name, tool.id, tool.catalogue_name, tool.source.name, tool.definition_digest,
            call.arguments, call.reason, by_person, call.asked_with,
            (call.another_round or {}).get("inputResponses") or {},
        )  # fmt: skip
        return approvals.ask(
            asked,
            minutes=self.config.approval_minutes,
            most_open=self.config.approvals_per_agent,
            log_arguments=self.config.log_arguments,
        )

    async def _run_approved(self, approval_id: str) -> None:
        """Claim it and run it, in the background: an agent that hangs up does not stop what a person approved."""
        claimed = await self._write(lambda: self._claim(approval_id))
        if claimed:
            self._in_background(self._run_claimed(claimed))

    def _claim(self, approval_id: str) -> Approval | None:
        intents.beat(self.worker)  # whoever claims is among the living, so that what it leaves is found
        return approvals.claim(approval_id, self.worker)

    async def _run_claimed(self, approval: Approval) -> None:
        try:
            await self._run(await self._approved_call(approval))
        except NotWritten:
            await self._surely(lambda: approvals.release(approval.id, self.worker))
        except RpcError as error:
            log.info("approved call %s ended with error %s", approval.id, error.code)
        except Stale as late:
            log.warning("approved call %s: %s", approval.id, late.what)
        except Refused as refusal:
            log.warning("approved call %s was not run: %s", approval.id, refusal.what)
            why = refusal.what
            await self._surely(lambda: approvals.fail(approval, why))
        finally:
            self.room.look()

    async def _approved_call(self, approval: Approval) -> Call:
        """What the person saw, or Refused. The catalogue may be younger than the claim."""
        arguments, asked_with = await self._read(
            lambda: (approvals.arguments_of(approval), approvals.asked_with(approval))
        )
        catalogue = await self.catalogues.current()
        tool = catalogue.by_name.get(approval.catalogue_name)
        caller = _who_asked(approval, catalogue)
        if tool is None or tool.id != approval.tool_id or caller is None:
            raise Refused("the tool or the agent is gone.")
        if tool.policy == "disabled" or tool.definition_digest != approval.definition_digest:
            raise Refused("the tool was disabled or changed meanwhile.")
        guest = self.room.speaker(approval.id)
        return Call(
            caller,
            tool,
            arguments,
            approval=approval.id,
            on_progress=guest.on_progress,
            voice=guest.voice,
            **asked_with,
        )

    def _note_reach(self, integration_id: int, why: str) -> None:
        def write() -> None:
            health.lost(integration_id, why) if why else health.regained(integration_id)

        self._in_background(self._until_written(write))

    # --- the store, from the event loop

    async def _write(self, job: Callable[[], T]) -> T:
        """Resolves after the commit. Shielded: a caller that goes away does not lose the write."""
        return await asyncio.shield(asyncio.wrap_future(self.writer.submit(job)))

    async def _surely(self, job: Callable[[], T]) -> T:
        """For what has happened and must be on record: tried until the store takes it, whoever goes away."""
        return await asyncio.shield(self._in_background(self._until_written(job)))

    def _in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Goes on whoever goes away; a worker that stops waits for it."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _until_written(self, job: Callable[[], T]) -> T:
        while True:
            try:
                return await self._write(job)
            except DatabaseError as error:  # locked by another program, or the disk is full
                log.warning("the store could not be written: %s; trying again", error)
                await asyncio.sleep(TRY_AGAIN_SECONDS)

    @staticmethod
    async def _read(query: Callable[[], T]) -> T:
        def connected() -> T:
            with database.connection_context():
                return query()

        return await asyncio.to_thread(connected)


def _who_asked(approval: Approval, catalogue: Catalogue) -> Actor | None:
    """None for an agent that is gone. Whether a person may still ask was looked at when the call was claimed."""
    if approval.asked_by_id:
        return Actor("user", approval.agent_name, approval.asked_by_id)
    agent = next((one for one in catalogue.agents.values() if one.id == approval.agent_id), None)
    return Actor("agent", agent.name, agent.id) if agent else None


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
