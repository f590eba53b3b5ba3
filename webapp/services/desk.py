"""Where a person asks for a tool to be run: the gateway of this worker, which has the one path, sits behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from webapp.errors import Refused
from webapp.services.audit import Actor
from webapp.store.models import Tool

# try: an admin tries the tool. look: Gatehouse reads, for a technician, what is true now; Auto reads only.
Purpose = Literal["try", "look"]


@dataclass(frozen=True)
class Outcome:
    """`result` is the tool's own, or one that says why there is none; `outcome` is the log's word for it.

    `approval_id` is set where the call waits in the inbox: it has not run then.
    """

    result: dict[str, Any]
    outcome: str
    entry_id: int | None = None
    approval_id: str = ""
    duration_ms: float | None = None


class Desk(Protocol):
    def run(
        self,
        tool: Tool,
        arguments: dict[str, Any],
        actor: Actor,
        *,
        purpose: Purpose,
        confirmed: bool = False,
    ) -> Outcome:
        """Blocks until there is an outcome; not for a thread with an event loop. Trouble of the server is an
        outcome, not an error.

        `confirmed`: the actor was asked, with these arguments in view, and said yes; see `asks_first`. Raises
        Forbidden for the wrong role or policy, Stale where the definition is not that of `tool` any more,
        NotFound where the tool can't be called at all, TooMany, Refused.
        """


_open: list[Desk] = []


def open_with(desk: Desk) -> None:
    _open.append(desk)


def close(desk: Desk) -> None:
    _open.remove(desk)


def current() -> Desk:
    if not _open:
        raise Refused(
            "Tools can't be run from here.",
            why="This page is served without the gateway, through which every call goes.",
            next_step="Start Gatehouse with make run, or as the Procfile does, and try again.",
        )
    return _open[-1]


def needs_second(tool: Tool, policy: str) -> bool:
    """Whether what a person asks for waits until somebody else has approved it."""
    return bool(tool.second_person and policy == "approval")


def asks_first(policy: str, kind: str) -> bool:
    """Whether a person who wants to run such a tool confirms it as a step of its own."""
    return policy == "approval" or kind != "read"
