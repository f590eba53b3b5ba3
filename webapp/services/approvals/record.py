"""One approval as it is on record: its states, its sealed parts, its rows in the log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from webapp.errors import NotFound
from webapp.services import audit
from webapp.services.audit import Actor, Row
from webapp.services.redaction import digest_of
from webapp.store.models import Approval, Entry

OPEN = ("waiting", "approved", "running")
DECIDED = ("approved", "running")
FINISHED = ("done", "failed", "denied", "expired", "withdrawn", "unknown")
# In `_meta`, what MCP itself and tracing have there: no server does anything else because of them.
OF_MCP, OF_TRACES = "io.modelcontextprotocol/", {"progressToken", "traceparent", "tracestate", "baggage"}
CANNOT_FIND = "There is no such approval."


@dataclass(frozen=True)
class SentAlong:
    """What reaches the server with the arguments."""

    answers: dict[str, Any]  # of the agent, to what the server asked back, by the names of the questions
    server_state: str  # what the server handed out itself: nobody else can read it, or tell whether it did
    besides: dict[str, Any]  # in `_meta`, which the server may act on as on an argument


def get(approval_id: str) -> Approval:
    approval: Approval | None = Approval.get_or_none(Approval.id == approval_id)
    if approval is None:
        raise NotFound(CANNOT_FIND)
    return approval


def of_agent(approval_id: str, agent_id: int) -> Approval:
    """Raises NotFound for another agent's approval too: an id is no credential."""
    approval = get(approval_id)
    if approval.agent_id != agent_id:
        raise NotFound(CANNOT_FIND)
    return approval


def arguments_of(approval: Approval) -> dict[str, Any]:
    arguments: dict[str, Any] = Approval.arguments.open(approval.id, approval.arguments)
    return arguments


def asked_with(approval: Approval) -> dict[str, Any]:
    found: dict[str, Any] | None = Approval.asked_with.open(approval.id, approval.asked_with)
    return found or {}


def is_usual(key: str) -> bool:
    return key.startswith(OF_MCP) or key in OF_TRACES


def sent_along(approval: Approval) -> SentAlong:
    asked = asked_with(approval)
    another_round, meta = asked.get("another_round", {}), asked.get("meta") or {}
    answers = another_round.get("inputResponses")
    return SentAlong(
        answers if isinstance(answers, dict) else {},
        str(another_round.get("requestState", "")),
        {key: value for key, value in meta.items() if not is_usual(key)},
    )


def of_call(approval_id: str, agent_id: int, tool_id: int, arguments: dict[str, Any]) -> Approval:
    """Raises NotFound where it is for another call of this agent, too."""
    approval = of_agent(approval_id, agent_id)
    if approval.tool_id != tool_id or approval.arguments_digest != digest_of(arguments):
        raise NotFound(CANNOT_FIND)
    return approval


def recent_of(agent_id: int, most: int) -> list[Approval]:
    """Of this agent, the newest first: what is open, and what was decided and not fetched yet."""
    wanted = Approval.state.in_(OPEN) | Approval.open_key.is_null(False)
    mine = Approval.select().where(Approval.agent == agent_id, wanted)
    return list(mine.order_by(Approval.created_at.desc(), Approval.id).limit(most))


def result_of(approval: Approval) -> dict[str, Any] | None:
    result: dict[str, Any] | None = Approval.result.open(approval.id, approval.result)
    return result


def states_of(ids: Iterable[str]) -> dict[str, str]:
    query = Approval.select(Approval.id, Approval.state).where(Approval.id.in_(list(ids)))
    return dict(query.tuples())


def write_down(approval: Approval, outcome: str, details: dict[str, Any]) -> int:
    """A row of the log about this call; its id. In the caller's transaction."""
    name = approval.catalogue_name
    who = Actor("user" if approval.asked_by_id else "agent", approval.agent_name)
    audit.append([
        Row("call", who, "call", integration_in(name), name,
            policy="approval", outcome=outcome, approval=approval.id, details=details)
    ])  # fmt: skip
    return last_row()


def last_row() -> int:
    """The id of the log's last row: one's own, within the transaction that wrote it."""
    newest: Entry = Entry.select(Entry.id).order_by(Entry.id.desc()).first()
    return int(newest.id)


def integration_in(catalogue_name: str) -> str:
    return catalogue_name.split(":", 2)[1] if catalogue_name.count(":") >= 2 else ""
