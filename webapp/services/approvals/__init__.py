"""Calls that wait for a person: asked, decided, claimed, run once, answered."""

from __future__ import annotations

from webapp.services.approvals.asking import Asked, ask, attend, delivered, give_reason
from webapp.services.approvals.decisions import decide, decide_all, extend, too_late
from webapp.services.approvals.endings import (
    CHANGED,
    KEEP_OUTCOME,
    expire_old,
    withdraw,
    withdraw_all,
    withdraw_asked_by,
    withdraw_changed,
    withdraw_of,
)
from webapp.services.approvals.freezing import settle as settle_clocks
from webapp.services.approvals.record import (
    DECIDED,
    FINISHED,
    OPEN,
    arguments_of,
    asked_with,
    get,
    of_agent,
    of_call,
    recent_of,
    result_of,
    sent_along,
    states_of,
)
from webapp.services.approvals.runs import (
    START_WITHIN,
    claim,
    fail,
    finish,
    is_claimed,
    lost,
    put_back,
    release,
    startable,
)

__all__ = [
    "CHANGED", "DECIDED", "FINISHED", "KEEP_OUTCOME", "OPEN", "START_WITHIN", "Asked",
    "arguments_of", "ask", "asked_with", "attend", "claim", "decide", "decide_all", "delivered",
    "expire_old", "extend", "fail", "finish", "get", "give_reason", "is_claimed", "lost", "of_agent",
    "of_call", "put_back", "recent_of", "release", "result_of", "sent_along", "settle_clocks", "startable",
    "states_of", "too_late", "withdraw", "withdraw_all", "withdraw_asked_by", "withdraw_changed", "withdraw_of",
]  # fmt: skip
