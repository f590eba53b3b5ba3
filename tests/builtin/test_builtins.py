"""What holds for every built-in: its definitions, its first policies, and how it fails."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.builtin.calling import knowing
from webapp.builtin import BUILTINS, Builtin, BuiltinTool, Context
from webapp.builtin.results import LONGEST_TEXT, printable, said
from webapp.errors import EgressDenied, InvalidInput, Refused, Unreachable
from webapp.services.seeding import seed
from webapp.upstream.listing import parse_tools

EVERY = [(builtin, tool) for builtin in BUILTINS.values() for tool in builtin.tools.values()]
NAMES = [tool.definition["name"] for _, tool in EVERY]


def run(tool: BuiltinTool, arguments: dict[str, Any], seconds: float = 5.0) -> dict[str, Any]:
    secrets = {"webhook_url": "https://chat.example/hook"}
    context = Context(knowing({}), secrets=secrets, name_servers=(("127.0.0.1", 1),), seconds=seconds)
    return asyncio.run(tool.run(arguments, context))


def failing(error: Exception) -> BuiltinTool:
    async def work(_arguments: dict[str, Any], _context: Context) -> dict[str, Any]:
        raise error

    return BuiltinTool({"name": "fail", "inputSchema": {"type": "object"}}, work)


@pytest.mark.parametrize("builtin", BUILTINS.values(), ids=BUILTINS)
def test_a_sync_would_take_every_tool(builtin: Builtin) -> None:
    tools, quarantined = parse_tools([tool.definition for tool in builtin.tools.values()])
    assert quarantined == []
    assert [tool.name for tool in tools] == list(builtin.tools)


@pytest.mark.parametrize(("builtin", "tool"), EVERY, ids=NAMES)
def test_every_argument_is_explained_and_strangers_are_refused(builtin: Builtin, tool: BuiltinTool) -> None:
    schema = tool.definition["inputSchema"]
    assert tool.definition["title"]
    assert all(argument["description"] for argument in schema["properties"].values())
    result = run(tool, {"stranger": 1} | dict.fromkeys(schema["required"], "x"))
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith("There is no argument “stranger”. Known are: ")


ODD = [
    "\ud800",
    "a\x00b",
    "\u202eexample.com",
    "%",
    "[",
    "//",
    "…" * 90,
    "xn--a",
    "\\300.example",
    "ß" * 60,
    ".",
    "1e9",
]


@pytest.mark.parametrize("text", ODD, ids=ascii)
@pytest.mark.parametrize(("builtin", "tool"), EVERY, ids=NAMES)
def test_odd_texts_get_an_answer_that_can_be_sent(builtin: Builtin, tool: BuiltinTool, text: str) -> None:
    properties = tool.definition["inputSchema"]["properties"]
    texts = [name for name, schema in properties.items() if schema.get("type") == "string"]
    result = run(tool, dict.fromkeys(texts, text), seconds=0.5)
    assert json.dumps(result, ensure_ascii=False).encode()
    assert result["isError"] is True


def test_a_whole_number_may_be_written_with_a_point() -> None:
    calculate = BUILTINS["network"].tools["calculate_subnet"]
    result = run(calculate, {"network": "10.0.0.0/24", "split_prefix": 26.0})
    assert result["structuredContent"]["subnet_count"] == "4"


def test_first_policies() -> None:
    seeds = {
        tool.definition["name"]: seed(
            tool.definition["name"],
            tool.definition["description"],
            tool.definition["annotations"],
            tool.definition["inputSchema"],
        ).policy
        for _, tool in EVERY
    }
    assert seeds == {
        "lookup_dns": "auto",
        "check_mail_domain": "auto",
        "inspect_certificate": "auto",
        "check_website": "auto",
        "calculate_subnet": "auto",
        "send_message": "approval",
    }


@pytest.mark.parametrize(
    "error",
    [
        EgressDenied("psa.lan points to 10.0.0.5.", kind="private", host="psa.lan", address="10.0.0.5"),
        Unreachable("10.0.0.5 did not pick up.", kind="connect_timeout"),
    ],
)
def test_a_failure_of_the_network_tells_no_address(error: Refused) -> None:
    result = run(failing(error), {})
    assert result["isError"] is True
    assert result["content"] == [{"type": "text", "text": error.for_agent}]  # type: ignore[attr-defined]
    assert "structuredContent" not in result


def test_a_refusal_says_what_to_do_next() -> None:
    result = run(failing(InvalidInput("That is no name.", next_step="Write it like example.com.")), {})
    assert result["content"][0]["text"] == "That is no name. Write it like example.com."


def test_a_mistake_of_ours_is_not_dressed_up_as_an_answer() -> None:
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError()), {})


def test_no_tool_runs_for_ever() -> None:
    async def work(_arguments: dict[str, Any], _context: Context) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    result = run(BuiltinTool({"name": "wait", "inputSchema": {"type": "object"}}, work), {}, seconds=0.05)
    assert result["isError"] is True
    assert "within 0.05 seconds" in result["content"][0]["text"]


def test_texts_have_an_end() -> None:
    text = said("x" * 100_000)["content"][0]["text"]
    assert len(text) == LONGEST_TEXT
    assert text.endswith("(cut: the answer was longer)")


def test_invisible_characters_of_strangers_are_shown() -> None:
    assert printable("a\nb\u202ec\u200bd\x1b[0m") == "a\\nb\\u202ec\\u200bd\\x1b[0m"
    assert printable("x" * 600) == "x" * 499 + "…"
