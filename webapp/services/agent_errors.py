"""What an agent is told when it does not get what it asked for: words for its model, facts for its program.

The facts stand in `_meta`, where no client minds them. In the structured content they would be checked against the
tool's output schema: the TypeScript SDK does that to errors too, and throws the whole answer away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

ABOUT = "gatehouse/error"
# docs/agents.md tells agents' authors what each of them means.
Kind = Literal[
    "waiting", "running", "denied", "expired", "not_run", "not_offered", "auth", "unreachable", "timeout",
    "server_busy", "upstream_error", "needs_input", "too_large", "rate_limited", "paused", "invalid", "unknown_outcome",
    "gatehouse",
]  # fmt: skip
# no: the same call fails again · later: nothing is in doubt · check_first: it may have run · wait: it is under way
Retry = Literal["no", "later", "check_first", "wait"]


def about(kind: str, retry: Retry, **facts: Any) -> dict[str, Any]:
    """For `_meta` of a result, or `data` of a JSON-RPC error. Facts that say nothing are left out."""
    known = {name: value for name, value in facts.items() if value not in (None, "")}
    return {ABOUT: {"kind": kind, "retry": retry} | known}


def failure(text: str, kind: Kind | str, retry: Retry, **facts: Any) -> dict[str, Any]:
    """A tool result that is an error (`isError`)."""
    content = [{"type": "text", "text": text}]
    return {"content": content, "isError": True, "_meta": about(kind, retry, **facts)}


def structured(result: dict[str, Any], definition: Mapping[str, Any] | None) -> dict[str, Any]:
    """The same with its facts as structured content too, where the tool promised no schema for that: models see
    it, and not `_meta`."""
    meta = result.get("_meta")
    facts = meta.get(ABOUT) if isinstance(meta, dict) else None
    if facts is None or "structuredContent" in result or "outputSchema" in (definition or {}):
        return result
    return result | {"structuredContent": facts}
