"""What a notice says: who asks for which tool, which server lost its sign-in, and where to act. No argument, and no
word of the agent's or the server's own."""

from __future__ import annotations

from collections.abc import Sequence

from webapp.services.notices.news import News
from webapp.services.notices.surroundings import current
from webapp.services.times import relative
from webapp.store.models import Approval, Integration

MOST_NAMED = 10
LONGEST_NAME = 120
TEST_SUBJECT = "A test notice from Gatehouse"
TEST_TEXT = (
    "This is a test notice from Gatehouse. "
    "When a call waits for approval or a server needs a new sign-in, its link comes this way."
)


def subject(news: News) -> str:
    parts = []
    if news.waiting:
        parts.append(_counted(len(news.waiting), "call waits for approval", "calls wait for approval"))
    if news.lost:
        parts.append(_counted(len(news.lost), "server needs a new sign-in", "servers need a new sign-in"))
    return f"Gatehouse: {' and '.join(parts)}"


def text(news: News) -> str:
    waiting = [_line(approval) for approval in news.waiting[:MOST_NAMED]]
    lost = [_sign_in(integration) for integration in news.lost[:MOST_NAMED]]
    return "\n".join([
        *waiting, *_more(news.waiting, "approvals"), *lost, *_more(news.lost, "settings/integrations")
    ])  # fmt: skip


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _more(told: Sequence[object], page: str) -> list[str]:
    left = len(told) - MOST_NAMED
    return [f"… and {left} more: {current.address}/{page}"] if left > 0 else []


def _sign_in(integration: Integration) -> str:
    link = f"{current.address}/settings/integrations/{integration.name}"
    return f"Agents can’t use {_plain(integration.title)} until an admin has signed in to it again: {link}"


def _line(approval: Approval) -> str:
    link = f"{current.address}/approvals/{approval.id}"
    return (
        f"{_plain(approval.agent_name)} wants to call {_plain(approval.catalogue_name)}. "
        f"It expires {relative(approval.expires_at)}. Look at it: {link}"
    )


def _plain(name: str) -> str:
    """Names are somebody else's: one line, nothing hidden, nothing that a chat takes for a link of its own."""
    return "".join(c if c.isprintable() and c not in "<>[]|*`@" else "·" for c in name)[:LONGEST_NAME]
