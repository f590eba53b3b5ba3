"""What an agent asks Gatehouse itself has a limit too: no agent floods it through lists, searches and its own tools."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from config import Config
from tests.gateway.test_agent_errors import failed
from tests.house import House, served
from tests.waiting import until
from webapp.asgi import program
from webapp.gateway.quotas import ASKS_AT_ONCE
from webapp.services.agent_errors import ABOUT

PER_MINUTE = 60
AT_ONCE = int(PER_MINUTE / 60 * ASKS_AT_ONCE)
NUMBERS = itertools.count(1)
SEVERAL = 3 * AT_ONCE  # in far less time than it takes to have so many again


@pytest.fixture(scope="module")
def house(practice: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data: Path = tmp_path_factory.mktemp("asks") / "data"
    made = program(Config(data=data, asks_per_minute=PER_MINUTE))
    with served(made) as url:
        house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
        house.run("add-server", f"{practice}/open/mcp", "--name", "desk", "--allow-private")
        yield house


def ask(http: httpx2.Client, method: str, params: dict[str, Any]) -> dict[str, Any]:
    reply = http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert reply.status_code == 200
    answer: dict[str, Any] = reply.json()
    return answer


@pytest.fixture
def http(house: House) -> Iterator[httpx2.Client]:
    """An agent of its own for each test."""
    headers = {"authorization": f"Bearer {house.agent(f'agent {next(NUMBERS)}')}"}
    with httpx2.Client(base_url=house.url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


def newest(house: House) -> int:
    return int(house.listed("activity", "--limit", "1")[0]["id"])


def outcomes(house: House, tool: str, since: int) -> list[str]:
    """On record once there is anything: nobody who is refused waits for that."""

    def found() -> list[str]:
        rows = house.listed("activity", "--limit", "100")
        return [row["outcome"] for row in rows if row["id"] > since and row["tool"] == tool]

    until(lambda: bool(found()))
    return found()


def is_fair(answered: int, began: float) -> bool:
    """All that may come at once, and what came in while they were made."""
    return AT_ONCE <= answered <= AT_ONCE + 1 + (time.monotonic() - began) * PER_MINUTE / 60


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("gatehouse__search_tools", {"query": "ticket"}),
        ("gatehouse__my_approvals", {}),
        ("gatehouse__await_approval", {"approval_id": "apr_none", "wait_seconds": 0}),
    ],
)
def test_its_own_tools_are_no_way_to_flood_it(
    house: House, http: httpx2.Client, name: str, arguments: dict[str, Any]
) -> None:
    began, before = time.monotonic(), newest(house)
    answers = [ask(http, "tools/call", {"name": name, "arguments": arguments}) for _ in range(SEVERAL)]
    refused = [answer for answer in answers if "asks Gatehouse itself" in str(answer)]
    assert is_fair(SEVERAL - len(refused), began)
    facts = failed(refused[0])
    assert (facts["kind"], facts["retry"], facts["retry_after_seconds"]) == ("rate_limited", "later", 1)
    assert outcomes(house, name, before) == ["refused"], "on record once, and not as often as it asks"


@pytest.mark.parametrize("method", ["tools/list", "initialize", "ping", "logging/setLevel", "no/such/method"])
def test_nor_is_anything_else_that_it_answers_by_itself(
    house: House, http: httpx2.Client, method: str
) -> None:
    began, before = time.monotonic(), newest(house)
    answers = [ask(http, method, {"level": "info"}) for _ in range(SEVERAL)]
    refused = [answer["error"] for answer in answers if "asks Gatehouse itself" in str(answer)]
    assert is_fair(SEVERAL - len(refused), began)
    assert outcomes(house, method, before) == ["refused"], "on record once"
    assert refused[0]["code"] == 429 and refused[0]["data"][ABOUT] == {
        "kind": "rate_limited", "retry": "later", "retry_after_seconds": 1,
    }  # fmt: skip


@pytest.mark.parametrize("message", [{"method": "notifications/cancelled"}, {"id": "q", "result": {}}])
def test_nor_what_it_only_tells(http: httpx2.Client, message: dict[str, Any]) -> None:
    began = time.monotonic()
    replies = [http.post("/mcp", json={"jsonrpc": "2.0"} | message) for _ in range(SEVERAL)]
    assert is_fair([reply.status_code for reply in replies].count(202), began)
    refused = next(reply for reply in replies if reply.status_code != 202)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["error"]["data"][ABOUT]["kind"] == "rate_limited"


def test_nor_are_the_news(http: httpx2.Client) -> None:
    began = time.monotonic()
    replies = [http.get("/mcp", headers={"accept": "text/event-stream"}) for _ in range(SEVERAL)]
    assert is_fair([reply.status_code for reply in replies].count(200), began)
    assert 429 in [reply.status_code for reply in replies]


def test_its_calls_and_other_agents_do_not_suffer(house: House, http: httpx2.Client) -> None:
    for _ in range(SEVERAL):
        ask(http, "tools/list", {})
    answer = ask(http, "tools/call", {"name": "desk__get_ticket", "arguments": {"ticket_id": "T-1042"}})
    assert not answer["result"].get("isError")
    other = house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, house.agent("other"))
    assert other.json()["result"]["tools"]
