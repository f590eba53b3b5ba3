"""A server made with the SDK that says and asks much while a call runs, in either era."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmptyResult,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    LoggingLevel,
    SamplingMessage,
    SetLevelRequestParams,
    TextContent,
)
from pydantic import BaseModel

from tests.house import served
from tests.shifting import old

Result = CallToolResult | InputRequiredResult
LINES: tuple[LoggingLevel, ...] = ("debug", "info", "error")
FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


class Person(BaseModel):
    name: str


def said(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)])


@dataclass
class Talkative:
    """`events` is what it lived through: calls that began, ended or were cancelled, levels that were set, deeds."""

    era: str
    url: str = ""
    events: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def get_slowly(self, ctx: Context) -> CallToolResult:
        """Gets something after a very long time"""
        self.events.append("began")
        try:
            await ctx.report_progress(1, 2)
            await anyio.sleep(60)
        except anyio.get_cancelled_exc_class():
            self.events.append("cancelled")
            raise
        self.events.append("ended")
        return said("at last")

    async def get_in_steps(self, ctx: Context) -> CallToolResult:
        """Gets something in three steps"""
        for step in range(3):
            await ctx.report_progress(step, 2, "step")
        return said("in steps")

    async def get_with_logs(self, ctx: Context) -> CallToolResult:
        """Gets something and logs"""
        for level in LINES:
            await ctx.session.send_log_message(
                level=level, data=f"a line of {level}", logger="it", related_request_id=ctx.request_id
            )
        return said("logged")

    async def get_greeting(self, ctx: Context) -> Result:
        """Gets a greeting for somebody that it asks for"""
        if self.era == "old":
            told = await ctx.elicit("Who?", Person)
            return said(f"Hello, {told.data.name}!" if told.action == "accept" else f"Nobody: {told.action}")
        answer = (ctx.input_responses or {}).get("who")
        if isinstance(answer, ElicitResult) and ctx.request_state == "asked":
            return said(f"Hello, {(answer.content or {}).get('name')}!")
        question = ElicitRequest(params=ElicitRequestFormParams(message="Who?", requested_schema=FORM))
        return InputRequiredResult(input_requests={"who": question}, request_state="asked")

    async def delete_thing(self, ctx: Context, thing: str) -> Result:
        """Deletes something, once somebody has said who it is"""
        result = await self.get_greeting(ctx)
        if isinstance(result, CallToolResult):
            self.events.append(f"deleted {thing}")
        return result

    async def get_opinion(self, ctx: Context) -> CallToolResult:
        """Gets what the agent's model says"""
        question = SamplingMessage(role="user", content=TextContent(text="Well?"))
        answer = await ctx.session.create_message(
            [question], max_tokens=10, related_request_id=ctx.request_id
        )
        return said(f"It says {answer.content.text}")  # type: ignore[union-attr]

    async def get_folders(self, ctx: Context) -> Result:
        """Gets the folders that the agent's program works in"""
        if self.era == "old":
            with_the_call = ServerMessageMetadata(related_request_id=ctx.request_id)
            answer: object = await ctx.session.send_request(
                ListRootsRequest(), ListRootsResult, metadata=with_the_call
            )
        else:
            answer = (ctx.input_responses or {}).get("folders")
        if isinstance(answer, ListRootsResult):
            return said(" ".join(str(root.uri) for root in answer.roots))
        return InputRequiredResult(input_requests={"folders": ListRootsRequest()})

    async def set_level(
        self, _: ServerRequestContext[Any, Any], params: SetLevelRequestParams
    ) -> EmptyResult:
        self.events.append(f"level {params.level}")
        return EmptyResult()


@contextmanager
def talkative(*, era: str) -> Iterator[Talkative]:
    """`era` is new, or old."""
    it = Talkative(era)
    server = MCPServer("talkative", log_level="ERROR")
    for tool in (
        it.get_slowly,
        it.get_in_steps,
        it.get_with_logs,
        it.get_greeting,
        it.get_opinion,
        it.get_folders,
        it.delete_thing,
    ):
        server.add_tool(tool)
    server._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, it.set_level)
    app = server.streamable_http_app()
    with served(old(app, it.asked) if era == "old" else app) as address:
        it.url = f"{address}/mcp"
        yield it
