"""Two programs with a data folder each, one PostgreSQL and the same key: one Gatehouse.

The database server is the test's own, so that this runs wherever the tests run.
"""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from tests import postgres
from tests.admin import Admin, admin_of, furnish
from tests.gateway.test_two_workers import heard, listeners
from tests.house import House, token_in
from tests.load.test_crash import connected, desk, logged, notes, settle, write
from tests.serving import Gatehouse, answers, gatehouse, practice_server
from tests.shifting import Shifting, shifting
from tests.waiting import until
from webapp.store.database import KEY_FILE

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
TRIES = 4


@dataclass
class Pair:
    address: str  # of the database
    instances: list[Gatehouse]
    practice: str
    key: str

    @property
    def houses(self) -> list[House]:
        return [one.house for one in self.instances]

    def tool(self, catalogue_name: str) -> int:
        (row,) = self.execute("SELECT id FROM tool WHERE catalogue_name = %s", catalogue_name)
        return int(row[0])

    def execute(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.address, autocommit=True) as database:
            done = database.execute(statement, values)
            return done.fetchall() if done.description else []


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with ExitStack() as stack:
        address = stack.enter_context(postgres.server())
        practice = stack.enter_context(practice_server(folder))
        settings = {"workers": 1, "DATABASE_URL": address, "LOGIN_TRIES": TRIES, "HOLD_SECONDS": 100}
        one = stack.enter_context(gatehouse(made(folder / "one"), **settings))
        data = made(folder / "two" / "data")
        shutil.copy2(one.data / KEY_FILE, data / KEY_FILE)
        two = stack.enter_context(gatehouse(folder / "two", **settings))
        furnish(one.house)
        yield Pair(address, [one, two], practice, connected(one.house, practice))


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, mode=0o700)
    return folder


@pytest.fixture(autouse=True)
def clean_desk(pair: Pair) -> None:
    httpx2.post(f"{pair.practice}/reset", headers={"Origin": pair.practice}, timeout=60, trust_env=False)


@pytest.fixture
def ann(pair: Pair) -> Iterator[list[Admin]]:
    """Signed in at the first, with the same cookie at both."""
    with admin_of(pair.houses[0]) as admin:
        yield [replace(admin, url=house.url, seen=[]) for house in pair.houses]


# --- people


def test_who_signed_in_at_one_is_signed_in_at_the_other_until_they_leave_either(ann: list[Admin]) -> None:
    assert [admin.get("/").status for admin in ann] == [200, 200]
    assert ann[1].post("/logout").status == 303
    assert [admin.get("/").location for admin in ann] == ["/login", "/login"]


def test_who_leaves_at_one_is_out_at_the_other_and_their_agents_are_handed_over(
    pair: Pair, ann: list[Admin]
) -> None:
    """What they see and may is in the database alone: nothing has to get about first."""
    furnish(pair.houses[0], "tom@example.com")
    with admin_of(pair.houses[1], "tom@example.com") as tom:
        made = tom.post("/settings/agents", name="toms", scope="all")
        ((person, agent),) = pair.execute(
            "SELECT owner_id, id FROM agent WHERE name = 'toms' AND owner_id IS NOT NULL"
        )
        page = f"/settings/people/{person}/leave"
        form = dict(re.findall(r'name="(heir|seen)" value="([^"]*)"', ann[0].get(page).whole))
        assert ann[0].post(page, **form).status == 303
        assert tom.get("/").location == "/login"
    assert "Owner ann@example.com" in ann[1].get(f"/settings/agents/{agent}").text
    (key,) = set(re.findall(r"gh_\w{8}_[\w-]{43}", made.text))
    for house in pair.houses:
        until(lambda house=house: "result" in house.call(key, "desk__list_tickets"))  # type: ignore[misc]


def test_guesses_at_a_password_are_counted_together(pair: Pair) -> None:
    assert [guess(house) for house in pair.houses * (TRIES // 2)] == [401] * TRIES
    assert [guess(house) for house in pair.houses] == [429, 429]


def guess(house: House) -> int:
    options: dict[str, Any] = {"headers": {"Origin": house.url}, "trust_env": False, "timeout": 60}
    with httpx2.Client(base_url=house.url, **options) as http:
        token = token_in(http.get("/login").text)
        form = {"email": "ben@example.com", "password": "a guess", "csrf_token": token}
        return http.post("/login", data=form).status_code


# --- calls


def test_a_policy_set_at_one_holds_at_the_other(pair: Pair, ann: list[Admin]) -> None:
    tool = pair.tool("mcp:desk:list_tickets")

    def runs(house: House) -> bool:
        return "result" in house.call(pair.key, "desk__list_tickets")

    assert [runs(house) for house in pair.houses] == [True, True]
    for setter, policy in enumerate(("disabled", "auto", "disabled", "auto")):
        here, there = setter % 2, 1 - setter % 2
        assert ann[here].post(f"/tools/{tool}/policy", policy=policy).status == 303
        wanted = policy == "auto"
        assert runs(pair.houses[here]) is wanted, "where it was set it holds from the next call on"
        until(lambda there=there, wanted=wanted: runs(pair.houses[there]) is wanted)  # type: ignore[misc]


def test_an_agent_revoked_at_one_is_refused_at_the_other(pair: Pair) -> None:
    key = pair.houses[0].agent("passer-by")
    for house in pair.houses:
        until(lambda house=house: "result" in house.call(key, "desk__list_tickets"))  # type: ignore[misc]
    pair.houses[1].run("revoke-agent", "passer-by")
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for house in pair.houses:
        until(lambda house=house: house.post(message, key).status_code == 401)  # type: ignore[misc]


# --- servers


@pytest.fixture(scope="module")
def server(pair: Pair) -> Iterator[Shifting]:
    with shifting(era="new") as running:
        pair.houses[0].run("add-server", running.url, "--name", "shifting", "--allow-private")
        until(lambda: listeners(running) == 1)
        yield running


def test_who_listens_at_either_hears_once_of_a_servers_change(pair: Pair, server: Shifting) -> None:
    async def journey() -> list[int]:
        async with AsyncExitStack() as stack:
            subscriptions = []
            for house in pair.houses:
                client = await stack.enter_async_context(house.client(pair.key, mode="auto"))
                listening = client.listen(tools_list_changed=True)
                subscriptions.append(await stack.enter_async_context(listening))
            await asyncio.to_thread(server.offer, "get_more")
            return await asyncio.gather(*(heard(each) for each in subscriptions))

    assert asyncio.run(asyncio.wait_for(journey(), 120)) == [1, 1]
    assert listeners(server) == 1, "one of the two listens to it"


# --- approvals


@pytest.mark.parametrize("asked", [0, 1])
def test_what_is_asked_at_one_and_approved_at_the_other_is_answered(
    pair: Pair, ann: list[Admin], asked: int
) -> None:
    text, waiting = f"asked at {asked}", "SELECT id FROM approval WHERE state = 'waiting'"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(write, pair.houses[asked], pair.key, text)
        until(lambda: bool(pair.execute(waiting)))
        ((approval,),) = pair.execute(waiting)
        decided = ann[1 - asked].post(f"/approvals/{approval}/decision", decision="approve")
        assert decided.status == 303
        assert f'"text": "{text}"' in answer.result()
    assert notes(pair.practice)[text] == 1


# --- deaths


def test_one_of_the_two_is_killed_under_load_and_nothing_is_lost_or_run_twice(pair: Pair) -> None:
    rng, pause, houses = random.Random(7), threading.Event(), pair.houses
    houses[0].run("set-policy", "mcp:desk:add_ticket_note", "auto")
    texts = [f"note {number}" for number in range(240)]
    with ThreadPoolExecutor(12) as pool:
        writes = [pool.submit(write, houses[n % 2], pair.key, text) for n, text in enumerate(texts)]
        reads = [pool.submit(read, houses, n, pair.key) for n in range(240)]
        for victim in (1, 0, 1):
            pause.wait(rng.uniform(0.2, 0.5))
            pair.instances[victim].kill("all")
            pair.instances[victim].up()
        answered = {text: each.result() for text, each in zip(texts, writes, strict=True)}
        assert all(each.result() for each in reads), "a read that finds nobody is answered by the other"
    settle(houses[0])
    ran, rows = notes(pair.practice), logged(houses[0])
    assert max(ran.values()) == 1
    assert desk(pair.practice)["done"]["add_ticket_note"] == sum(ran[text] for text in texts)
    good = [text for text, answer in answered.items() if f'"text": "{text}"' in answer]
    assert {text: rows.get(text) for text in good} == {text: ["ok"] for text in good}, "answered, so logged"
    assert all(len(rows.get(text, [])) == 1 for text in texts if ran[text])
    assert len(good) > 100
    for house in houses:
        assert "whole" in house.run("verify-log").stdout


def read(houses: list[House], first: int, key: str) -> bool:
    """As a proxy would that passes a read on to the next instance where one does not answer."""
    for attempt in range(600):
        try:
            return "result" in houses[(first + attempt) % 2].call(key, "desk__list_tickets")
        except httpx2.TransportError:
            threading.Event().wait(0.05)
    return False


def test_the_key_is_not_turned_at_one_while_the_other_runs(pair: Pair) -> None:
    """It has a file of its own, and what it went on sealing nobody could open. Stopped, it does not hinder, and without
    the new file it says so."""
    one, two = pair.instances
    key_file = (one.data / KEY_FILE).read_bytes()
    refused = one.house.run("rotate-key", check=False)
    assert refused.code == 1
    assert "Another Gatehouse runs on this database, with a key file of its own." in refused.stderr
    assert (one.data / KEY_FILE).read_bytes() == key_file
    assert [reasons(instance) for instance in pair.instances] == [[], []]
    two.stop()
    one.house.run("rotate-key")
    assert (one.data / KEY_FILE).read_bytes() != key_file
    two.start()
    until(lambda: answers(f"{two.url}/healthz"))
    until(lambda: reasons(two) == ["key_wrong"])
    assert reasons(one) == []
    shutil.copy2(one.data / KEY_FILE, two.data / KEY_FILE)
    until(lambda: reasons(two) == [])
    assert ["result" in house.call(pair.key, "desk__list_tickets") for house in pair.houses] == [True, True]


def reasons(instance: Gatehouse) -> list[str]:
    """Why it is not ready."""
    said = httpx2.get(f"{instance.url}/readyz", timeout=60, trust_env=False).json()
    found: list[str] = said.get("reasons", [])
    return found


def test_a_due_server_is_synced_by_one(pair: Pair, server: Shifting) -> None:
    """Both look every fifteen seconds; a second round shows that the first was nobody else's too."""
    before = server.asked.count("tools/list")
    for number in (1, 2):
        pair.execute("UPDATE integration SET sync_due_at = '2020-01-01' WHERE name = 'shifting'")
        until(lambda number=number: server.asked.count("tools/list") >= before + number)  # type: ignore[misc]
    assert server.asked.count("tools/list") == before + 2
