"""Keys as people make, limit, replace and revoke them, seen by the programs that use them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.house import House, token_in
from tests.keys import AGENTS, block, key_in
from tests.routes.visitors import text_of
from webapp.store import generation
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, database


@pytest.fixture(scope="module")
def ann(house: House) -> Iterator[httpx2.Client]:
    with house.browser() as browser:
        yield browser


def send(browser: httpx2.Client, path: str, **form: Any) -> str:
    token = token_in(browser.get(f"{AGENTS}/new").text)
    reply = browser.post(path, data={"csrf_token": token} | form)
    assert reply.status_code == 200, reply.text[-1500:]
    return reply.text


def tools_of(house: House, key: str) -> set[str] | int:
    """What the agent sees, or the status it is refused with."""
    reply = house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, key)
    if reply.status_code != 200:
        return reply.status_code
    return {tool["name"].partition("__")[0] for tool in reply.json()["result"]["tools"]}


def pasted(house: House, snippet: str) -> httpx2.Response:
    """What curl would do."""
    words = shlex.split(snippet.replace("\\\n", ""))  # a shell joins continued lines
    assert words[0] == "curl"
    options = list(zip(words[2::2], words[3::2], strict=True))
    headers = dict(value.split(": ", 1) for flag, value in options if flag == "-H")
    data = dict(options)["-d"]
    url = words[1].replace("http://127.0.0.1:8000", house.url)  # the test listens elsewhere
    return httpx2.post(url, headers=headers, content=data, timeout=60, trust_env=False)


def number_in(page: str) -> str:
    found = re.search(rf"{AGENTS}/(\d+)", page)
    assert found
    return found[1]


def test_pasted_curl_lines_work(house: House, ann: httpx2.Client) -> None:
    page = send(ann, AGENTS, name="Curl", scope="all")
    hello = pasted(house, block(page, "snippet-curl-initialize"))
    assert hello.status_code == 200, hello.text
    assert hello.json()["result"]["serverInfo"]["name"]
    listed = pasted(house, block(page, "snippet-curl-tools"))
    assert any(tool["name"].startswith("network__") for tool in listed.json()["result"]["tools"])


def test_limits_hold_from_the_next_call_on(house: House, ann: httpx2.Client) -> None:
    page = send(ann, AGENTS, name="Limited", scope="some")
    key, number = key_in(page), number_in(page)
    assert tools_of(house, key) == set()
    send(ann, f"{AGENTS}/{number}/limits", scope="some", integration="network")
    assert tools_of(house, key) == {"network", "gatehouse"}
    send(ann, f"{AGENTS}/{number}/limits", scope="all")
    assert tools_of(house, key) == {"network", "desk", "gatehouse"}
    send(ann, f"{AGENTS}/{number}/limits", scope="some")
    assert tools_of(house, key) == set()


def test_replacing_a_key_stops_the_old_one_at_once(house: House, ann: httpx2.Client) -> None:
    page = send(ann, AGENTS, name="Replaced", scope="all")
    old, number = key_in(page), number_in(page)
    new = key_in(send(ann, f"{AGENTS}/{number}/key"))
    assert tools_of(house, old) == 401
    assert "network" in tools_of(house, new)  # type: ignore[operator]


def test_a_revoked_key_is_refused_and_a_new_one_works_again(house: House, ann: httpx2.Client) -> None:
    page = send(ann, AGENTS, name="Revoked", scope="all")
    key, number = key_in(page), number_in(page)
    assert "network" in tools_of(house, key)  # type: ignore[operator]
    send(ann, f"{AGENTS}/{number}/revoke")
    assert tools_of(house, key) == 401
    new = key_in(send(ann, f"{AGENTS}/{number}/key"))
    assert tools_of(house, key) == 401
    assert "network" in tools_of(house, new)  # type: ignore[operator]


def test_an_expired_key_is_refused(house: House, ann: httpx2.Client) -> None:
    in_two_days = (now() + timedelta(days=2)).date().isoformat()
    key = key_in(send(ann, AGENTS, name="Expired", scope="all", expires=in_two_days))
    assert "network" in tools_of(house, key)  # type: ignore[operator]
    with database.connection_context(), writing():
        Agent.update(expires_at=now() - timedelta(seconds=1)).where(Agent.name == "Expired").execute()
        generation.raise_by_one()
    assert tools_of(house, key) == 401


def test_last_used_is_noted(house: House, ann: httpx2.Client) -> None:
    page = send(ann, AGENTS, name="Used", scope="all")
    path = f"{AGENTS}/{number_in(page)}"
    assert "Last used never" in text_of(ann.get(path).text)
    tools_of(house, key_in(page))
    deadline = now() + timedelta(seconds=10)
    while "Last used never" in text_of(ann.get(path).text):
        assert now() < deadline, "the use is not noted"
    assert "Last used just now" in text_of(ann.get(path).text)


def test_a_key_counts_by_all_of_it(house: House) -> None:
    """Two keys may begin alike; and whoever knows where a key begins and ends knows no key."""
    mine, other = house.agent("begins alike"), house.agent("ends alike")
    house.run("set-policy", "mcp:desk:list_tickets", "auto")
    assert "desk" in tools_of(house, mine)
    prefix = mine[:11]
    for forged in (
        prefix,
        f"{prefix}_",
        prefix + other[11:],
        mine[:-1],
        mine[:-1] + chr(ord(mine[-1]) ^ 1),
        mine * 2,
    ):
        assert tools_of(house, forged) == 401
