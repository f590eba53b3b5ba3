"""Paused: agents get a clear refusal from the next call on, and nothing that waits can run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.test_approvals import NOTE, ask
from tests.gateway.test_calls import done
from tests.house import House, text_of
from tests.waiting import until
from webapp.services import approvals
from webapp.store.models import Entry

READ, WRITE = "desk__list_tickets", "desk__add_ticket_note"


@pytest.fixture
def fresh(house: House, request: pytest.FixtureRequest) -> Iterator[str]:
    """All goes on afterwards."""
    name = request.node.name[-55:].replace("[", " ").strip()
    yield house.agent(name)
    for what in (["--all"], ["desk"], ["--agent", name]):
        house.run("resume", *what)


@pytest.mark.parametrize(("pause", "resume", "scope", "read_runs"), [
    (["desk"], ["desk"], "server", False),
    (["--agent", "{agent}"], ["--agent", "{agent}"], "agent", False),
    (["--all"], ["--all"], "calls", False),
    (["--writes"], ["--all"], "writes", True),
])  # fmt: skip
def test_calls_are_refused_from_the_next_on_and_on_record(
    house: House, practice: str, request: pytest.FixtureRequest, fresh: str, pause: list[str], resume: list[str],
    scope: str, read_runs: bool,
) -> None:  # fmt: skip
    name = request.node.name[-55:].replace("[", " ").strip()
    house.run("pause", *(part.format(agent=name) for part in pause), "--reason", "A test of the brake")
    answer = house.call(fresh, READ)["result"]
    assert bool(answer.get("isError")) is not read_runs
    answer = house.call(fresh, WRITE, NOTE)["result"]
    facts = answer["_meta"]["gatehouse/error"]
    assert (answer["isError"], facts["kind"], facts["retry"], facts["scope"]) == (
        True,
        "paused",
        "later",
        scope,
    )
    assert "This call has not run." in answer["content"][0]["text"]
    assert "brake" not in str(answer)  # why is for people
    entry = house.do(lambda: Entry.select().where(Entry.kind == "call").order_by(Entry.id.desc()).get())
    assert (entry.outcome, f'"paused: {scope}"' in entry.details) == ("refused", True)
    house.run("resume", *(part.format(agent=name) for part in resume))
    assert not house.call(fresh, READ)["result"].get("isError")
    assert done(practice, "add_ticket_note") == 0


def test_a_paused_servers_tools_leave_the_list(house: House, fresh: str) -> None:
    listed = lambda: house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, fresh).text  # noqa: E731
    assert READ in listed()
    house.run("pause", "desk", "--reason", "A test")
    assert READ not in listed()
    house.run("resume", "desk")
    assert READ in listed()


def test_what_waits_freezes_and_runs_when_all_goes_on(house: House, practice: str, fresh: str) -> None:
    waiting = ask(house, fresh)
    house.run("pause", "--writes", "--reason", "A test")
    refused = house.run("decide", waiting, "approve", check=False)
    assert (refused.code, "all writes are stopped" in refused.stderr) == (1, True)
    answer = house.call(fresh, "gatehouse__await_approval", {"approval_id": waiting, "wait_seconds": 0})
    assert "paused" in text_of(answer)
    assert done(practice, "add_ticket_note") == 0
    house.run("resume", "--all")
    house.run("decide", waiting, "approve")
    until(lambda: approvals.get(waiting).state == "done")
    assert done(practice, "add_ticket_note") == 1


def test_the_commands_say_what_they_need(house: House, fresh: str) -> None:
    for wrong in (
        ["--all"],
        ["desk", "--all", "--reason", "x"],
        ["--reason", "x"],
        ["nothing", "--reason", "x"],
    ):
        assert house.run("pause", *wrong, check=False).code, wrong
    assert house.run("resume", check=False).code == 1
    house.run("pause", "desk", "--reason", "x")
    assert "Still paused: server:desk" in house.run("resume", "--all").stdout
