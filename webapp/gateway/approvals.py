"""Calls that wait for a person: asked once, waited for without a thread, and run here once they are approved."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from config import Config
from webapp.errors import Refused, RpcError, Stale
from webapp.gateway import answers
from webapp.gateway.call import Answer, Call
from webapp.gateway.catalogue import Catalogue, Catalogues, KnownAgent
from webapp.gateway.clerk import Clerk
from webapp.gateway.holding import Guest
from webapp.gateway.lines import Progress
from webapp.gateway.path import NotWritten, Path
from webapp.gateway.voice import Voice
from webapp.gateway.waiting import WaitingRoom
from webapp.services import approvals, intents
from webapp.services.audit import Actor
from webapp.store.fields import now
from webapp.store.models import Approval
from webapp.upstream.envelope import INPUT_REQUIRED

MOST_LISTED = 50  # at a time
log = logging.getLogger(__name__)


class Approvals:
    """One per worker."""

    def __init__(self, config: Config, catalogues: Catalogues, clerk: Clerk, path: Path, worker: str) -> None:
        self._config = config
        self._catalogues = catalogues
        self._clerk = clerk
        self._path = path
        self._worker = worker
        self.room = WaitingRoom(self._start)

    async def ask(self, call: Call) -> Answer:
        """What becomes of it while its caller holds the line."""
        approval_id = await self._clerk.write(lambda: self._ask(call))
        return await self._await(approval_id, call.holds, call.on_progress, call.voice)

    async def wait_for_own(
        self, agent: KnownAgent, approval_id: str, seconds: float, reason: str, on_progress: Progress | None
    ) -> Answer:
        """Raises NotFound unless this agent asked for it."""
        await self._clerk.read(lambda: approvals.of_agent(approval_id, agent.id))
        if reason:
            await self._clerk.write(lambda: approvals.give_reason(approval_id, reason))
        answer = await self._await(approval_id, seconds, on_progress)
        if answer.result.get("resultType") != INPUT_REQUIRED:
            return answer
        # Its questions belong to the call itself, which goes on with them.
        return Answer(answers.wants_input(approval_id), approval_id, waiting=True)

    async def wait_again(self, call: Call, approval_id: str) -> Answer:
        """A program of 2026-07-28 comes again for what its call waits for. Raises NotFound for another call's."""
        asker, tool = call.caller, call.tool
        await self._clerk.read(lambda: approvals.of_call(approval_id, asker.id or 0, tool.id, call.arguments))
        return await self._await(approval_id, call.holds, call.on_progress, call.voice)

    async def of_agent(self, agent: KnownAgent) -> dict[str, Any]:
        """What it asked for and has not fetched."""
        return answers.mine(await self._clerk.read(lambda: approvals.recent_of(agent.id, MOST_LISTED)))

    async def delivered(self, answer: Answer) -> None:
        """The agent has it: the same call from now on is a new question."""
        if answer.approval and not answer.waiting:
            await self._clerk.write(lambda: approvals.delivered(answer.approval))

    async def _await(
        self,
        approval_id: str,
        seconds: float,
        on_progress: Progress | None = None,
        voice: Voice | None = None,
    ) -> Answer:
        """Wait, without a thread, until the call has an outcome or the time is up."""
        until = now() + timedelta(seconds=seconds)
        await self._clerk.write(lambda: approvals.attend(approval_id, until))
        try:
            await self.room.wait(approval_id, Guest(on_progress, voice), seconds)
        finally:
            self._clerk.soon(lambda: approvals.attend(approval_id, now()))
        approval = await self._clerk.read(lambda: approvals.get(approval_id))
        if approval.state in approvals.FINISHED:
            result = await self._clerk.read(lambda: answers.outcome(approval, approvals.result_of(approval)))
            return Answer(result, approval_id)
        if approval.state in approvals.DECIDED:
            return Answer(answers.running(approval), approval_id, waiting=True)
        return Answer(answers.waiting(approval, self._config.address), approval_id, waiting=True)

    def _ask(self, call: Call) -> str:
        asker, tool = call.caller, call.tool
        by_agent, by_person = (asker.id, None) if asker.kind == "agent" else (None, asker.id)
        asked = approvals.Asked(
            by_agent, asker.name, tool.id, tool.catalogue_name, tool.source.name, tool.definition_digest,
            call.arguments, call.reason, by_person, call.asked_with,
        )  # fmt: skip
        return approvals.ask(
            asked,
            minutes=self._config.approval_minutes,
            most_open=self._config.approvals_per_agent,
            log_arguments=self._config.log_arguments,
        )

    async def _start(self, approval_id: str) -> None:
        """Claim it and run it, in the background: an agent that hangs up does not stop what a person approved."""
        claimed = await self._clerk.write(lambda: self._claim(approval_id))
        if claimed:
            self._clerk.in_background(self._run_claimed(claimed))

    def _claim(self, approval_id: str) -> Approval | None:
        intents.beat(self._worker)  # whoever claims is among the living, so that what it leaves is found
        return approvals.claim(approval_id, self._worker)

    async def _run_claimed(self, approval: Approval) -> None:
        try:
            await self._path.run(await self._approved_call(approval))
        except NotWritten:
            await self._clerk.surely(lambda: approvals.release(approval.id, self._worker))
        except RpcError as error:
            log.info("approved call %s ended with error %s", approval.id, error.code)
        except Stale as late:
            log.warning("approved call %s: %s", approval.id, late.what)
        except Refused as refusal:
            log.warning("approved call %s was not run: %s", approval.id, refusal.what)
            why = refusal.what
            await self._clerk.surely(lambda: approvals.fail(approval, why))
        finally:
            self.room.look()

    async def _approved_call(self, approval: Approval) -> Call:
        """What the person saw, or Refused. The catalogue may be younger than the claim."""
        arguments, asked_with = await self._clerk.read(
            lambda: (approvals.arguments_of(approval), approvals.asked_with(approval))
        )
        catalogue = await self._catalogues.current()
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


def _who_asked(approval: Approval, catalogue: Catalogue) -> Actor | None:
    """None for an agent that is gone. Whether a person may still ask was looked at when the call was claimed."""
    if approval.asked_by_id:
        return Actor("user", approval.agent_name, approval.asked_by_id)
    agent = next((one for one in catalogue.agents.values() if one.id == approval.agent_id), None)
    return Actor("agent", agent.name, agent.id) if agent else None
