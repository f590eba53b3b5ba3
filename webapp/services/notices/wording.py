"""What a notice says: who asks for which tool, and where to decide. No argument and no word of the agent's own."""

from __future__ import annotations

from collections.abc import Sequence

from webapp.services.notices.surroundings import current
from webapp.services.times import relative
from webapp.store.models import Approval

MOST_NAMED = 10
LONGEST_NAME = 120
TEST_SUBJECT = "A test notice from Gatehouse"
TEST_TEXT = "This is a test notice from Gatehouse. When a call waits for approval, its link comes this way."


def subject(waiting: Sequence[Approval]) -> str:
    count = len(waiting)
    return f"Gatehouse: {count} {'call waits' if count == 1 else 'calls wait'} for approval"


def text(waiting: Sequence[Approval]) -> str:
    lines = [_line(approval) for approval in waiting[:MOST_NAMED]]
    if len(waiting) > MOST_NAMED:
        lines.append(f"… and {len(waiting) - MOST_NAMED} more: {current.address}/approvals")
    return "\n".join(lines)


def _line(approval: Approval) -> str:
    link = f"{current.address}/approvals/{approval.id}"
    return (
        f"{_plain(approval.agent_name)} wants to call {_plain(approval.catalogue_name)}. "
        f"It expires {relative(approval.expires_at)}. Look at it: {link}"
    )


def _plain(name: str) -> str:
    """Names are somebody else's: one line, nothing hidden, nothing that a chat takes for a link of its own."""
    return "".join(c if c.isprintable() and c not in "<>[]|*`@" else "·" for c in name)[:LONGEST_NAME]
