"""Two workers, a load of writes, and `kill -9` at random moments: no row lost, nothing run twice, the chain whole."""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.gateway.test_approvals import fetched
from tests.house import PASSWORD, House, last_message, text_of, token_in
from tests.serving import gatehouse, practice_server
from tests.waiting import until

NOTES = "mcp:desk:add_ticket_note"


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with practice_server(tmp_path_factory.mktemp("practice")) as url:
        yield url


@pytest.fixture(autouse=True)
def clean_desk(practice: str) -> None:
    httpx2.post(f"{practice}/reset", headers={"Origin": practice}, timeout=60, trust_env=False)


def connected(house: House, practice: str) -> str:
    """The practice desk behind it, and an agent's key."""
    house.run("add-server", f"{practice}/open/mcp", "--name", "desk", "--allow-private")
    return house.agent("loader")


def desk(practice: str) -> dict[str, Any]:
    state: dict[str, Any] = httpx2.get(f"{practice}/state", timeout=60, trust_env=False).json()
    return state


def notes(practice: str) -> Counter[str]:
    """How often each note's text stands on the ticket: what ran, and how many times."""
    ticket = next(ticket for ticket in desk(practice)["tickets"] if ticket["id"] == "T-1041")
    return Counter(note["text"] for note in ticket["notes"])


def write(house: House, key: str, text: str) -> str:
    """The text of the answer; empty when the worker died under it. Waits while nobody listens."""
    pause = threading.Event()
    for _ in range(6000):
        try:
            return text_of(house.call(key, "desk__add_ticket_note", {"ticket_id": "T-1041", "text": text}))
        except httpx2.ConnectError:
            pause.wait(0.05)
        except (httpx2.TransportError, json.JSONDecodeError, IndexError):
            return ""
    raise AssertionError("nobody listens any more")


def logged(house: House) -> dict[str, list[str]]:
    """Outcomes in the log, by the text of the note."""
    rows = house.listed("activity", "--tool", NOTES, "--limit", "100000")
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["kind"] == "call":
            found.setdefault(row["details"]["arguments"]["text"], []).append(row["outcome"])
    return found


@pytest.mark.parametrize("victim", ["a worker", "everything"])
def test_nothing_is_lost_or_run_twice(tmp_path: Path, practice: str, victim: str) -> None:
    rng = random.Random(7)
    pause = threading.Event()
    with gatehouse(tmp_path) as running:
        house = running.house
        key = connected(house, practice)
        house.run("set-policy", NOTES, "auto")
        texts = [f"note {number}" for number in range(240)]
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(write, house, key, text) for text in texts]
            for _ in range(3):
                pause.wait(rng.uniform(0.1, 0.4))
                if victim == "a worker":
                    running.wait_ready()
                    running.kill(rng.randrange(len(running.workers())))
                else:
                    running.kill("all")
                    running.up()
            answered = {text: answer.result() for text, answer in zip(texts, answers, strict=True)}
        ran = notes(practice)
        running.wait_ready()
        settle(house)
        rows = logged(house)
        assert max(ran.values()) == 1
        assert "whole" in house.run("verify-log").stdout
        good = 0
        for text, answer in answered.items():
            if f'"text": "{text}"' in answer:
                good += 1
                assert rows[text] == ["ok"], f"{text}: answered, so its row must be there"
            if ran[text]:
                assert len(rows.get(text, [])) == 1, f"{text} ran: {rows.get(text)}"
        assert good > 100


def settle(house: House) -> None:
    """Until what the dead left is in the log: the survivors notice within some seconds."""
    pause = threading.Event()
    for _ in range(900):
        if not house.listed("intents"):
            return
        pause.wait(0.1)
    raise AssertionError("intents of dead workers were not settled")


def test_an_approved_call_survives_the_death_of_everything(tmp_path: Path, practice: str) -> None:
    with gatehouse(tmp_path, HOLD_SECONDS=0.2) as running:
        house = running.house
        key = connected(house, practice)
        answer = house.call(key, "desk__add_ticket_note", {"ticket_id": "T-1041", "text": "once"})
        approval = answer["result"]["structuredContent"]["approval_id"]
        running.kill("all")
        house.run("decide", approval, "approve")
        running.up()
        until(lambda: bool(notes(practice)["once"]))
        result = fetched(house, key, "desk__add_ticket_note", {"ticket_id": "T-1041", "text": "once"})
        assert not result.get("isError")
        assert notes(practice)["once"] == 1


def approve_all(house: House) -> None:
    """A person clicks through the inbox."""
    with house.browser() as person:
        inbox = person.get("/approvals").text
        for approval in re.findall(r'<article id="(apr_[0-9a-f]+)"', inbox):
            form = {"decision": "approve", "csrf_token": token_in(inbox)}
            person.post(f"/approvals/{approval}/decision", data=form).raise_for_status()


def test_two_hundred_calls_pass_while_approvals_wait(tmp_path: Path, practice: str) -> None:
    with gatehouse(tmp_path, HOLD_SECONDS=150) as running:
        house = running.house
        key = connected(house, practice)
        house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")

        async def load() -> list[dict[str, Any]]:
            headers = {"authorization": f"Bearer {key}", "accept": "application/json, text/event-stream"}
            limits = httpx2.Limits(max_connections=300)
            async with httpx2.AsyncClient(
                headers=headers, timeout=200, trust_env=False, limits=limits
            ) as http:

                async def call(number: int, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
                    params = {"name": name, "arguments": arguments}
                    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
                    return last_message(await http.post(f"{house.url}/mcp", json=message))

                held = [
                    asyncio.create_task(
                        call(n, "desk__add_ticket_note", {"ticket_id": "T-1042", "text": f"held {n}"})
                    )
                    for n in range(16)
                ]
                while len(await asyncio.to_thread(house.listed, "approvals")) < 16:
                    await asyncio.sleep(0.1)
                reads = await asyncio.gather(*(call(n, "desk__list_tickets", {}) for n in range(200)))
                assert not any(task.done() for task in held)
                await asyncio.to_thread(approve_all, house)
                results = await asyncio.gather(*held)
                assert not any(answer["result"].get("isError") for answer in results)
                return list(reads)

        answers = asyncio.run(load())
        assert [answer["id"] for answer in answers] == list(range(200))
        assert not any(answer["result"].get("isError") for answer in answers)
        assert desk(practice)["done"]["add_ticket_note"] == 16


def test_a_worker_that_stops_in_good_order_finishes_its_calls(tmp_path: Path, practice: str) -> None:
    with gatehouse(tmp_path) as running:
        house = running.house
        key = connected(house, practice)
        house.run("set-policy", "mcp:desk:run_diagnostics", "auto")
        with ThreadPoolExecutor() as pool:
            slow = pool.submit(
                house.call, key, "desk__run_diagnostics", {"device_id": "HD-PR-002", "seconds": 3}
            )
            while not desk(practice)["calls"].get("run_diagnostics"):
                threading.Event().wait(0.05)
            running.stop()
            assert not slow.result()["result"].get("isError")
