"""Calls that wait for a person: decided once, run once, answered to the agent that asked."""

from __future__ import annotations

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway.test_calls import done
from tests.house import HELD_SECONDS, House, text_of
from tests.waiting import until
from webapp.errors import Stale
from webapp.services import approvals
from webapp.services.audit import COMMAND
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, Approval, Entry, database

NOTE = {"ticket_id": "T-1041", "text": "Called back."}
DELETE = {"ticket_id": "T-1043"}


def waiting(house: House) -> list[dict[str, Any]]:
    return house.listed("approvals")


def ask(house: House, key: str, tool: str = "desk__add_ticket_note", arguments: dict[str, Any] = NOTE) -> str:
    """Ask and be told to wait: the approval's id."""
    answer = house.call(key, tool, arguments)["result"]
    assert answer["isError"] and answer["structuredContent"]["status"] == "waiting"
    return str(answer["structuredContent"]["approval_id"])


def fetched(
    house: House, key: str, tool: str = "desk__add_ticket_note", arguments: dict[str, Any] = NOTE
) -> Any:
    """The result of a call that was approved; an agent that hears that it is on its way waits for it."""
    result = house.call(key, tool, arguments)["result"]
    while (facts := result.get("structuredContent") or {}).get("status") == "running":
        result = house.call(key, "gatehouse__await_approval", {"approval_id": facts["approval_id"]})["result"]
    return result


@pytest.fixture(autouse=True)
def empty_inbox(house: House) -> None:
    for row in waiting(house):
        house.run("decide", row["id"], "deny")


@pytest.fixture
def fresh(house: House, request: pytest.FixtureRequest) -> str:
    return house.agent(f"agent {request.node.name}"[:60])


def test_a_write_waits_and_its_result_is_kept_for_a_repeat(house: House, practice: str, fresh: str) -> None:
    approval = ask(house, fresh)
    assert done(practice, "add_ticket_note") == 0
    house.run("decide", approval, "approve")
    until(lambda: done(practice, "add_ticket_note") == 1)
    assert not fetched(house, fresh).get("isError") and done(practice, "add_ticket_note") == 1


def test_once_delivered_the_same_call_is_a_new_question(house: House, practice: str, fresh: str) -> None:
    first = ask(house, fresh)
    house.run("decide", first, "approve")
    assert not fetched(house, fresh).get("isError")
    until(lambda: approvals.get(first).open_key is None)
    assert ask(house, fresh) != first
    assert done(practice, "add_ticket_note") == 1


def test_a_decision_within_the_hold_answers_the_waiting_call(house: House, practice: str) -> None:
    patient = house.agent("patient", held=True)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(house.call, patient, "desk__delete_ticket", DELETE)
        until(lambda: len(waiting(house)) == 1)
        house.run("decide", waiting(house)[0]["id"], "approve")
        assert not call.result()["result"].get("isError")
    assert done(practice, "delete_ticket") == 1


def test_a_denial_reaches_the_agent_with_its_note(house: House, practice: str, fresh: str) -> None:
    approval = ask(house, fresh, "desk__delete_ticket", DELETE)
    house.run("decide", approval, "deny", "--note", "Ask the client first.")
    text = text_of(house.call(fresh, "desk__delete_ticket", DELETE))
    assert "denied" in text and "Ask the client first." in text
    assert done(practice, "delete_ticket") == 0


def test_one_changed_byte_is_another_question(house: House, fresh: str) -> None:
    assert ask(house, fresh) != ask(house, fresh, arguments=NOTE | {"text": "Called back!"})


def test_two_agents_make_two_approvals_and_repeats_make_one(house: House, practice: str, fresh: str) -> None:
    """What is repeated after the answer is out would be a new question: nothing is decided before all have asked."""
    other = house.agent("somebody else")
    with ThreadPoolExecutor(12) as pool:
        keys = [fresh] * 5 + [other]
        asked = list(pool.map(lambda key: ask(house, key), keys))
        assert len(set(asked[:5])) == 1 and len(set(asked)) == len(waiting(house)) == 2
        answers = [
            pool.submit(house.call, key, "gatehouse__await_approval", {"approval_id": approval})
            for key, approval in zip(keys, asked, strict=True)
        ]
        for approval in set(asked):
            house.run("decide", approval, "approve")
        results = [answer.result()["result"] for answer in answers]
    assert not any(result.get("isError") for result in results), results
    assert done(practice, "add_ticket_note") == 2


def test_of_many_deciders_one_wins(house: House, practice: str, fresh: str) -> None:
    approval = ask(house, fresh)

    def decide(number: int) -> str:
        with database.connection_context():
            try:
                approvals.decide(approval, "approve" if number % 2 else "deny", COMMAND)
            except Stale as late:
                return late.what
        return "won"

    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(decide, range(50)))
    assert said.count("won") == 1
    assert all(word.startswith("Already ") for word in said if word != "won")
    until(lambda: approvals.get(approval).state in approvals.FINISHED)
    assert done(practice, "add_ticket_note") == (1 if approvals.get(approval).state == "done" else 0)


@pytest.mark.parametrize("swept", [False, True])
def test_an_expired_call_never_runs(house: House, practice: str, fresh: str, swept: bool) -> None:
    approval = ask(house, fresh)
    Approval.update(expires_at=now() - timedelta(seconds=1)).where(Approval.id == approval).execute()
    if swept:
        with writing():
            approvals.expire_old()
    assert "expired" in house.run("decide", approval, "approve", check=False).stderr
    assert ask(house, fresh) != approval
    assert done(practice, "add_ticket_note") == 0


@pytest.mark.parametrize("meanwhile", ["disabled", "expired", "changed"])
def test_what_changed_meanwhile_stops_an_approved_call(
    house: House, practice: str, request: pytest.FixtureRequest, fresh: str, meanwhile: str
) -> None:
    """Policy, agent and definition are looked at again when the call is claimed."""
    approval = ask(house, fresh)
    name = approvals.get(approval).agent_name
    if meanwhile == "disabled":
        house.run("set-policy", "mcp:desk:add_ticket_note", "disabled")
        request.addfinalizer(lambda: house.run("set-policy", "mcp:desk:add_ticket_note", "approval"))
    elif meanwhile == "expired":
        Agent.update(expires_at=now()).where(Agent.name == name).execute()
    else:
        Approval.update(definition_digest="another").where(Approval.id == approval).execute()
    refused = house.run("decide", approval, "approve", check=False)
    assert (refused.code, refused.stderr.startswith("This call can't run: ")) == (1, True)
    assert approvals.get(approval).state == "waiting"
    # As if it had been approved a moment before.
    Approval.update(state="approved", decided_at=now()).where(Approval.id == approval).execute()
    house.run("set-policy", "mcp:desk:get_ticket", "approval")  # any change: the workers look
    house.run("set-policy", "mcp:desk:get_ticket", "auto")
    until(lambda: approvals.get(approval).state == "failed")
    assert done(practice, "add_ticket_note") == 0


def test_a_revoked_key_takes_its_questions_with_it(house: House, practice: str, fresh: str) -> None:
    approval = ask(house, fresh)
    house.run("revoke-agent", approvals.get(approval).agent_name)
    assert waiting(house) == []
    assert "revoked" in house.run("decide", approval, "approve", check=False).stderr
    assert done(practice, "add_ticket_note") == 0


def test_what_an_agent_says_commands_no_terminal_and_makes_no_row(house: House, key: str) -> None:
    evil = "\x1b[2J\x9b1m\napr_0000000000000000\tdesk\u202e"
    params = {
        "name": "desk__add_ticket_note",
        "arguments": NOTE | {evil: evil},
        "_meta": {"gatehouse/reason": evil},
    }
    house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, key)
    house.call(key, f"desk__{evil}")
    rows = house.run("approvals").stdout.splitlines()
    assert len(rows) == 1
    for text in (rows[0], house.run("approvals", "--json").stdout, house.run("activity").stdout):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    shown = house.listed("approvals")[0]
    assert shown["reason"] == evil and rows[0].count("\t") == len(shown) - 1, "nor a column"
    house.run("decide", rows[0].partition("\t")[0], "deny")


def test_an_approval_is_no_credential(house: House, fresh: str, key: str) -> None:
    approval = ask(house, fresh)
    stranger = house.call(key, "gatehouse__await_approval", {"approval_id": approval, "wait_seconds": 0})
    nothing = house.call(key, "gatehouse__await_approval", {"approval_id": "apr_0000", "wait_seconds": 0})
    assert text_of(stranger) == text_of(nothing)


def test_an_agent_can_wait_and_say_why(house: House, practice: str, fresh: str) -> None:
    approval = ask(house, fresh)
    wish = {"approval_id": approval, "wait_seconds": 0, "reason": "The client asked for it on the phone."}
    assert "Waiting" in text_of(house.call(fresh, "gatehouse__await_approval", wish))
    assert waiting(house)[0]["reason"] == "The client asked for it on the phone."
    house.run("decide", approval, "approve")
    result = house.call(fresh, "gatehouse__await_approval", {"approval_id": approval})["result"]
    assert not result.get("isError") and done(practice, "add_ticket_note") == 1


def test_an_agent_that_hung_up_finds_its_result_later(house: House, practice: str) -> None:
    key = house.agent("hangs up", held=True)
    params = {"name": "desk__add_ticket_note", "arguments": NOTE}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    place = urlsplit(house.url)
    head = f"POST /mcp HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {key}\r\n"
    with socket.create_connection((str(place.hostname), place.port), timeout=60) as line:
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        until(lambda: held(house))
        (approval,) = waiting(house)
    until(lambda: not held(house))
    house.run("decide", approval["id"], "approve")
    until(lambda: done(practice, "add_ticket_note") == 1)
    assert not fetched(house, key).get("isError")
    assert done(practice, "add_ticket_note") == 1


def held(house: House) -> bool:
    """Whether an agent that holds the line for long does so."""
    then = now() + timedelta(seconds=HELD_SECONDS / 3)
    return house.do(Approval.waiting().where(Approval.agent_waits_until > then).exists)


def test_a_flood_of_questions_is_stopped(house: House, fresh: str) -> None:
    with ThreadPoolExecutor(25) as pool:
        texts = list(pool.map(
            lambda n: text_of(house.call(fresh, "desk__add_ticket_note", NOTE | {"text": f"note {n}"})), range(22)
        ))  # fmt: skip
    assert sum("already has 20 calls waiting" in text for text in texts) == 2


def test_the_log_tells_the_whole_story(house: House, fresh: str) -> None:
    approval = ask(house, fresh)
    house.run("decide", approval, "approve", "--note", "fine")
    fetched(house, fresh)
    rows = list(Entry.select().where(Entry.approval == approval).order_by(Entry.id))
    assert [(row.kind, row.outcome) for row in rows] == [
        ("call", "waiting"),
        ("change", "ok"),
        ("call", "ok"),
    ]
    assert "head" in house.run("verify-log").stdout


def test_arguments_rest_sealed(house: House, fresh: str) -> None:
    secret = "canary-7f3a9c"
    ask(house, fresh, arguments=NOTE | {"text": secret * 30})
    whole = b"".join(path.read_bytes() for path in house.data.iterdir() if path.is_file())
    assert (secret * 20).encode() not in whole
