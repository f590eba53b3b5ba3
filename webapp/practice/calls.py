"""What arrived: every tool call in order, and how often each tool was called."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from starlette.requests import Request

from webapp.practice.desk import clock

KEPT = 100


@dataclass
class Call:
    at: str
    door: str
    tool: str
    arguments: str
    outcome: Literal["running", "done", "failed", "cut off"] = "running"


class CallLog:
    def __init__(self) -> None:
        self.recent: deque[Call] = deque(maxlen=KEPT)
        self.arrived: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    def add(self, door: str, tool: str, arguments: Any) -> Call:
        call = Call(clock(), door, tool[:64], json.dumps(arguments, ensure_ascii=False)[:500])
        self.recent.appendleft(call)
        self.arrived[call.tool] += 1
        return call

    def clear(self) -> None:
        self.recent.clear()
        self.arrived.clear()
        self.done.clear()

    async def watch(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """SDK middleware: writes a call down when it arrives, and how it ended."""
        if ctx.method != "tools/call":
            return await call_next(ctx)
        params = ctx.params or {}
        call = self.add(_door(ctx.request), str(params.get("name")), params.get("arguments") or {})
        try:
            result = await call_next(ctx)
        except anyio.get_cancelled_exc_class():
            call.outcome = "cut off"
            raise
        except Exception:
            call.outcome = "failed"
            raise
        call.outcome = "failed" if _is_error(result) else "done"
        self.done[call.tool] += call.outcome == "done"
        return result


def _door(request: Any) -> str:
    return request.url.path.split("/")[1] if isinstance(request, Request) else ""


def _is_error(result: HandlerResult) -> bool:
    if isinstance(result, Mapping):
        return bool(result.get("isError"))
    return bool(getattr(result, "is_error", False))
