"""The TypeScript SDK's clients check structured content against the tool's schema, the first that of errors too."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.conformance.test_clients import SESSION
from tests.house import House
from tests.serving import node
from webapp.services.agent_errors import ABOUT

PROMISING = "get-structured-content"  # has an output schema
of_either_sdk = pytest.mark.parametrize("sdk", ["1", "2"])


def client(house: House, key: str, sdk: str, name: str, **arguments: Any) -> subprocess.Popen[str]:
    calls = json.dumps({"it": {"name": name, "arguments": arguments}})
    command = [node(), str(SESSION), sdk, f"{house.url}/mcp", key, "auto", calls]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(running: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = running.communicate(timeout=60)
    answer = json.loads(said)["answers"]["it"]
    assert "result" in answer, answer
    found: dict[str, Any] = answer["result"]
    return found


@pytest.fixture(scope="module")
def tool(house: House, everything_url: str) -> str:
    house.run("add-server", everything_url, "--name", "promising", "--allow-private")
    return f"promising__{PROMISING}"


@of_either_sdk
def test_it_takes_what_the_tool_says(house: House, key: str, tool: str, sdk: str) -> None:
    answer = told(client(house, key, sdk, tool, location="Chicago"))
    assert answer["structuredContent"]["temperature"] == 36


@of_either_sdk
def test_it_takes_an_error_of_a_tool_that_promised_a_schema(
    house: House, key: str, tool: str, sdk: str
) -> None:
    house.run("set-policy", f"mcp:promising:{PROMISING}", "approval")
    with client(house, key, sdk, tool, location="Chicago") as running:
        while not (waiting := house.listed("approvals")):
            assert running.poll() is None
        house.run("decide", waiting[0]["id"], "deny")
        answer = told(running)
    assert answer.get("isError") and answer["_meta"][ABOUT]["kind"] == "denied", answer
