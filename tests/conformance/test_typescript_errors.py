"""The TypeScript SDK's client checks structured content against the tool's schema, that of errors too."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.house import House
from tests.serving import node
from webapp.services.agent_errors import ABOUT

SCRIPT = Path(__file__).parent / "one_call.mjs"
PROMISING = "get-structured-content"  # has an output schema


def client(house: House, key: str, name: str, **arguments: Any) -> subprocess.Popen[str]:
    command = [node(), str(SCRIPT), f"{house.url}/mcp", key, name, json.dumps(arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(running: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = running.communicate(timeout=60)
    found: dict[str, Any] = json.loads(said)
    return found


@pytest.fixture(scope="module")
def tool(house: House, everything_url: str) -> str:
    house.run("add-server", everything_url, "--name", "promising", "--allow-private")
    return f"promising__{PROMISING}"


def test_it_takes_what_the_tool_says(house: House, key: str, tool: str) -> None:
    answer = told(client(house, key, tool, location="Chicago"))
    assert answer["structuredContent"]["temperature"] == 36


def test_it_takes_an_error_of_a_tool_that_promised_a_schema(house: House, key: str, tool: str) -> None:
    house.run("set-policy", f"mcp:promising:{PROMISING}", "approval")
    with client(house, key, tool, location="Chicago") as running:
        while not (waiting := house.listed("approvals")):
            assert running.poll() is None
        house.run("decide", waiting[0]["id"], "deny")
        answer = told(running)
    assert answer.get("isError") and answer["_meta"][ABOUT]["kind"] == "denied", answer
