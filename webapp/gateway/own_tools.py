"""The gateway's own tools, which let an agent wait for a person's decision."""

from __future__ import annotations

from typing import Any

LONGEST_WAIT = 50

AWAIT_APPROVAL: dict[str, Any] = {
    "name": "gatehouse__await_approval",
    "title": "Wait for an approval",
    "description": (
        "Wait for a call that needs a person's approval, and get its real result once it was approved and has run. "
        "Use the approval id from the “waiting” answer. You may add a reason: the person who decides will see it."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "approval_id": {
                "type": "string",
                "description": "The id from the waiting answer, like apr_1a2b…",
            },
            "wait_seconds": {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT, "default": 30},
            "reason": {
                "type": "string",
                "maxLength": 2000,
                "description": "Why this call is needed, for the reviewer",
            },
        },
        "required": ["approval_id"],
    },
    "annotations": {"readOnlyHint": True},
}


def wait_seconds(arguments: dict[str, Any]) -> float:
    asked = arguments.get("wait_seconds", 30)
    return float(min(max(asked, 0), LONGEST_WAIT)) if isinstance(asked, (int, float)) else 30.0
