"""The tools that the official suite calls, on the SDK's server: what stands behind Gatehouse while the suite runs.

What each tool must do is written in the suite's own scenarios. Tools that need somebody's answer ask in the form of
the era they are called in. Prompts and resources are not here. Started with `old`, it is a server from before
2026-07-28.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any

import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    SetLevelRequestParams,
    TextContent,
    TextResourceContents,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from tests.shifting import old

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
STEP_SECONDS = 0.05
ADDRESS = {
    "$anchor": "addressDef",
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
}
WIDE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": ADDRESS},
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
SCHEMAS = {"json_schema_2020_12_tool": WIDE_SCHEMA}
Result = CallToolResult | InputRequiredResult


class Fixture(MCPServer[Any]):
    """Every tool is listed with a description, and one with a schema that no Python signature would make."""

    async def list_tools(self) -> list[Tool]:
        return [
            tool.model_copy(
                update={
                    "description": tool.name.replace("_", " "),
                    "input_schema": SCHEMAS.get(tool.name, tool.input_schema),
                }
            )
            for tool in await super().list_tools()
        ]


server = Fixture("conformance-fixture", version="1.0.0", log_level="ERROR")
tool = server.tool


def text(words: str) -> TextContent:
    return TextContent(text=words)


def said(words: str) -> CallToolResult:
    return CallToolResult(content=[text(words)])


def resource(uri: str, mime_type: str, words: str) -> EmbeddedResource:
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=mime_type, text=words))


# --- content of every kind


@tool(structured_output=False)
def test_simple_text() -> str:
    return "This is a simple text response for testing."


@tool()
def test_image_content() -> CallToolResult:
    return CallToolResult(content=[ImageContent(data=PIXEL, mime_type="image/png")])


@tool()
def test_audio_content() -> CallToolResult:
    return CallToolResult(content=[AudioContent(data=SILENCE, mime_type="audio/wav")])


@tool()
def test_embedded_resource() -> CallToolResult:
    return CallToolResult(
        content=[resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")]
    )


@tool()
def test_multiple_content_types() -> CallToolResult:
    data = json.dumps({"test": "data", "value": 123})
    return CallToolResult(
        content=[
            text("Multiple content types test:"),
            ImageContent(data=PIXEL, mime_type="image/png"),
            resource("test://mixed-content-resource", "application/json", data),
        ]
    )


@tool()
def test_error_handling() -> CallToolResult:
    raise ToolError("This tool intentionally returns an error for testing")


@tool()
def json_schema_2020_12_tool() -> CallToolResult:
    return said("Nothing is done here: what matters is the schema.")


@tool()
def test_header_argument(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
) -> CallToolResult:
    return said(f"Region: {region}")


# --- what happens while a call runs


@tool()
async def test_tool_with_progress(ctx: Context) -> CallToolResult:
    for progress in (0, 50, 100):
        await ctx.report_progress(progress, 100)
        await asyncio.sleep(STEP_SECONDS)
    return said("Done in three steps.")


@tool(name="test_tool_with_logging")
@tool(name="test_logging_tool")
async def log_three_lines(ctx: Context) -> CallToolResult:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message(level="info", data=line, related_request_id=ctx.request_id)
        await asyncio.sleep(STEP_SECONDS)
    return said("Logged three lines.")


# --- the list of tools changes


@tool()
async def test_trigger_tool_change(ctx: Context) -> CallToolResult:
    """There is one more."""
    count = len(await server.list_tools())
    server.add_tool(lambda: "here", name=f"test_tool_{count}")
    await ctx.notify_tools_changed()
    return said("Changed.")


# --- questions back to the client, in the form of either era


async def set_level(_: ServerRequestContext[Any, Any], params: SetLevelRequestParams) -> EmptyResult:
    return EmptyResult()


server._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)


async def filled_in(ctx: Context, message: str, properties: dict[str, Any], words: str) -> Result:
    schema = {"type": "object", "properties": properties, "required": []}
    if ctx.request_context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        answer: object = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    elif (answer := (ctx.input_responses or {}).get("form")) is None:
        form = ElicitRequestFormParams(message=message, requested_schema=schema)
        return asked(form=ElicitRequest(params=form))
    assert isinstance(answer, ElicitResult)
    return said(f"{words}: action={answer.action}, content={json.dumps(answer.content)}")


@tool()
async def test_elicitation(ctx: Context, message: str) -> Result:
    fields = {name: {"type": "string", "description": name} for name in ("username", "email")}
    return await filled_in(ctx, message, fields, "User response")


@tool()
async def test_elicitation_sep1034_defaults(ctx: Context) -> Result:
    states = ["active", "inactive", "pending"]
    fields = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": states, "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return await filled_in(ctx, "Please check", fields, "Elicitation completed")


@tool()
async def test_elicitation_sep1330_enums(ctx: Context) -> Result:
    plain, titled = (
        ["option1", "option2", "option3"],
        [("value1", "First"), ("value2", "Second"), ("value3", "Third")],
    )
    choices = [{"const": value, "title": title} for value, title in titled]
    legacy = {"enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]}
    fields = {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": choices},
        "legacyEnum": {"type": "string"} | legacy,
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": choices}},
    }
    return await filled_in(ctx, "Please choose", fields, "Elicitation completed")


@tool()
async def test_sampling(ctx: Context, prompt: str) -> Result:
    if ctx.request_context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        question = SamplingMessage(role="user", content=text(prompt))
        answer: object = await ctx.session.create_message(
            [question], max_tokens=100, related_request_id=ctx.request_id
        )
    elif (answer := (ctx.input_responses or {}).get("model")) is None:
        return asked(model=ask_model(prompt))
    assert isinstance(answer, CreateMessageResult) and isinstance(answer.content, TextContent)
    return said(f"LLM response: {answer.content.text}")


def ask_person(message: str, field: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def ask_model(message: str) -> CreateMessageRequest:
    question = SamplingMessage(role="user", content=text(message))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[question], max_tokens=100))


def asked(state: str | None = None, /, **questions: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=questions, request_state=state)


def answered(ctx: Context, *keys: str) -> bool:
    return all(key in (ctx.input_responses or {}) for key in keys)


@tool()
def test_input_required_result_elicitation(ctx: Context) -> Result:
    answer = (ctx.input_responses or {}).get("user_name")
    if isinstance(answer, ElicitResult) and answer.content:
        return said(f"Hello, {answer.content.get('name')}!")
    return asked(user_name=ask_person("What is your name?", "name"))


@tool()
def test_input_required_result_sampling(ctx: Context) -> Result:
    if answered(ctx, "capital_question"):
        return said(f"The model said: {ctx.input_responses}")
    return asked(capital_question=ask_model("What is the capital of France?"))


@tool()
def test_input_required_result_list_roots(ctx: Context) -> Result:
    if answered(ctx, "client_roots"):
        return said(f"Roots: {ctx.input_responses}")
    return asked(client_roots=ListRootsRequest())


@tool(name="test_input_required_result_request_state")
@tool(name="test_input_required_result_tampered_state")
def confirm(ctx: Context) -> Result:
    """The SDK seals the state, so what comes back is ours or the call is refused."""
    if answered(ctx, "confirm") and ctx.request_state == "asked":
        return said("state-ok")
    return asked("asked", confirm=ask_person("Please confirm", "ok", "boolean"))


@tool()
def test_input_required_result_multiple_inputs(ctx: Context) -> Result:
    if answered(ctx, "user_name", "greeting", "client_roots"):
        return said(f"All there: {ctx.request_state}")
    name, greeting = ask_person("What is your name?", "name"), ask_model("Generate a greeting")
    return asked("three", user_name=name, greeting=greeting, client_roots=ListRootsRequest())


@tool()
def test_input_required_result_multi_round(ctx: Context) -> Result:
    if ctx.request_state == "second" and answered(ctx, "step2"):
        return said("Three rounds, done.")
    if ctx.request_state == "first" and answered(ctx, "step1"):
        return asked("second", step2=ask_person("Step 2: What is your favorite color?", "color"))
    return asked("first", step1=ask_person("Step 1: What is your name?", "name"))


@tool()
def test_input_required_result_capabilities(ctx: Context) -> Result:
    can = ctx.client_capabilities
    questions: dict[str, InputRequest] = {}
    if can and can.sampling:
        questions["model"] = ask_model("Say something")
    if can and can.elicitation:
        questions["person"] = ask_person("Say something", "words")
    return asked(**questions) if questions else said("This client can't be asked anything.")


@tool()
async def test_streaming_elicitation(ctx: Context) -> Result:
    await ctx.report_progress(1, 2)
    return asked(go_on=ask_person("Shall I go on?", "yes", "boolean"))


@tool()
def test_missing_capability(ctx: Context) -> CallToolResult:
    if ctx.client_capabilities and ctx.client_capabilities.sampling:
        return said("This client can sample.")
    raise MCPError(
        MISSING_REQUIRED_CLIENT_CAPABILITY, "This needs sampling", {"requiredCapabilities": {"sampling": {}}}
    )


if __name__ == "__main__":
    app = server.streamable_http_app()
    uvicorn.run(
        old(app, []) if "old" in sys.argv else app,
        port=int(sys.argv[1]),
        log_level="error",
        timeout_graceful_shutdown=1,
    )
