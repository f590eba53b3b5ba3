"""Writing log entries as Gatehouse does, and reading them off the Activity page."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from tests.routes.visitors import Visitor
from webapp.services import audit
from webapp.services.audit import Actor, Row
from webapp.store.database import writing
from webapp.store.models import Entry

ANN = Actor("user", "ann@example.com", role="admin", ip="192.0.2.7")


def write(*rows: Row) -> list[int]:
    """The ids of the new entries."""
    before = Entry.select().count()
    with writing():
        audit.append(rows)
    return [entry.id for entry in Entry.select().order_by(Entry.id).offset(before)]


def call(agent: str = "Claude", tool: str = "get_ticket", outcome: str = "ok", **more: Any) -> Row:
    source = more.pop("source", "desk")
    row = Row("call", Actor("agent", agent), "call", source, f"mcp:{source}:{tool}", outcome=outcome)
    for name, value in more.items():
        setattr(row, name, value)
    return row


def change(action: str = "integration.paused", **more: Any) -> Row:
    return Row("change", ANN, action, **{"integration": "desk"} | more)


def listed(visitor: Visitor, **asked: Any) -> list[int]:
    """The ids on the page, from top to bottom."""
    html = visitor.get(f"/activity?{urlencode(asked)}")
    return [int(number) for number in re.findall(r'<td data-label="When"><a href="/activity/(\d+)"', html)]
