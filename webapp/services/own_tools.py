"""Gatehouse's own tools as agents see them: to wait for a decision, and to find tools instead of listing them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The full list costs 200 to 700 tokens a tool. Models begin to take the wrong tool somewhere above 30 to 50, and some
# vendors' interfaces refuse a request with more than 128. So a list of 60 is where a search begins to pay.
SEARCH_ABOVE = 60
MODES = ("off", "on", "auto")
MOST_ABOVE = 100_000
LONGEST_WAIT = 50
LONGEST_QUERY = 500
MOST_FOUND, USUALLY_FOUND = 20, 5
MOST_NAMED = 40
PREFIX = "gatehouse__"


@dataclass(frozen=True)
class Mode:
    """Whether an agent sees its tools (off), a search for them (on), or one above so many tools (auto)."""

    setting: str = "off"
    above: int = SEARCH_ABOVE

    @property
    def in_words(self) -> str:
        return f"automatic above {self.above} tools" if self.setting == "auto" else self.setting

    def searches(self, tools: int) -> bool:
        return self.setting == "on" or (self.setting == "auto" and tools > self.above)


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
MY_APPROVALS: dict[str, Any] = {
    "name": "gatehouse__my_approvals",
    "title": "My approvals",
    "description": (
        "List the calls of yours that wait for a person's approval, and those that were decided and whose results you "
        "have not fetched yet. Fetch a result with gatehouse__await_approval, or repeat exactly the same call."
    ),
    "inputSchema": {"type": "object", "properties": {}},
    "annotations": {"readOnlyHint": True},
}
# Listed to agents that have tools which need approval.
FOR_APPROVALS = (AWAIT_APPROVAL, MY_APPROVALS)
SEARCH_TOOLS = "gatehouse__search_tools"
CALL_TOOL: dict[str, Any] = {
    "name": "gatehouse__call_tool",
    "title": "Call a tool",
    "description": (
        "Call a tool that gatehouse__search_tools found, by its name, with arguments that fit its inputSchema. The "
        "answer is the tool's own. Some tools need a person's approval first: the answer then says how to wait."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "The tool's name, exactly as it was found"},
            "arguments": {"type": "object", "description": "As the tool's inputSchema says"},
        },
        "required": ["name"],
    },
}


def search_tools(servers: Mapping[str, int]) -> dict[str, Any]:
    """`servers`: how many tools each has for this agent. One server alone is not worth a choice."""
    total = sum(servers.values())
    properties: dict[str, Any] = {
        "query": {
            "type": "string",
            "maxLength": LONGEST_QUERY,
            "description": "What is to be done, in a few plain words: the deed, the thing, the product if you know it",
        },
    }
    if len(servers) > 1:
        properties["server"] = {"type": "string", "description": "Only tools of this server"}
    properties["limit"] = {
        "type": "integer", "minimum": 1, "maximum": MOST_FOUND, "default": USUALLY_FOUND,
    }  # fmt: skip
    return {
        "name": SEARCH_TOOLS,
        "title": "Search for tools",
        "description": (
            f"Find the right ones among {total} tools by what they do, then call one with gatehouse__call_tool. It "
            f"gives name, description and inputSchema of the best fits. Servers and how many tools: {_named(servers)}."
        ),
        "inputSchema": {"type": "object", "properties": properties, "required": ["query"]},
        "annotations": {"readOnlyHint": True},
    }


def _named(servers: Mapping[str, int]) -> str:
    names = [f"{name} ({count})" for name, count in sorted(servers.items())]
    rest = [f"and {len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    return ", ".join(names[:MOST_NAMED] + rest) or "none"


def wait_seconds(arguments: dict[str, Any]) -> float:
    asked = arguments.get("wait_seconds", 30)
    return float(min(max(asked, 0), LONGEST_WAIT)) if isinstance(asked, (int, float)) else 30.0


def how_many(arguments: dict[str, Any]) -> int:
    asked = arguments.get("limit", USUALLY_FOUND)
    return int(min(max(asked, 1), MOST_FOUND)) if isinstance(asked, (int, float)) else USUALLY_FOUND
