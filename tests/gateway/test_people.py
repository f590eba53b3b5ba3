"""Calls that people ask for: out of a page's thread, through the one path, on record under the person's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.gateway.test_calls import done
from tests.house import PASSWORD, House
from tests.waiting import until
from webapp.errors import Forbidden, NotFound, Refused, Stale, TooMany
from webapp.gateway import people
from webapp.services import accounts, approvals, desk, tools
from webapp.services.approvals import second_person
from webapp.services.audit import COMMAND, Actor
from webapp.services.desk import Outcome
from webapp.store.models import Entry, Intent, Tool, User

ANN = Actor("user", "ann@example.com", 1, "admin", "192.0.2.7")
TOM = Actor("user", "tom@example.com", 2, "technician", "192.0.2.8")
NOTE = {"ticket_id": "T-1041", "text": "Called back."}


@pytest.fixture
def run(house: House) -> Callable[..., Outcome]:
    """run(tool, arguments, actor, **options), as a page's thread would."""

    def ask(
        tool: str,
        arguments: dict[str, Any] | None = None,
        actor: Actor = ANN,
        purpose: str = "try",
        **more: Any,
    ) -> Outcome:
        return house.do(
            lambda: desk.current().run(
                tools.by_catalogue_name(f"mcp:desk:{tool}"), arguments or {}, actor, purpose=purpose, **more
            )
        )

    return ask


@pytest.fixture
def policy(house: House) -> Iterator[Callable[[str, str], None]]:
    """Set one for this test."""
    was: dict[str, str] = {}

    def set_to(tool: str, wanted: str) -> None:
        name = f"mcp:desk:{tool}"
        was.setdefault(name, house.do(lambda: tools.by_catalogue_name(name).policy))
        house.run("set-policy", name, wanted)

    yield set_to
    for name, before in was.items():
        house.run("set-policy", name, before)


def entry(house: House, outcome: Outcome) -> Entry:
    return house.do(lambda: Entry.get_by_id(outcome.entry_id))


def newest(house: House) -> Entry:
    return house.do(lambda: Entry.select().order_by(Entry.id.desc()).first())


def test_a_read_runs_at_once_and_is_logged_as_the_persons(house: House, run: Callable[..., Outcome]) -> None:
    outcome = run("get_ticket", {"ticket_id": "T-1041"})
    assert outcome.outcome == "ok" and outcome.result["structuredContent"]["id"] == "T-1041"
    row = entry(house, outcome)
    assert (row.actor_kind, row.actor, row.ip, row.policy) == ("user", ANN.name, ANN.ip, "auto")
    assert (row.kind, row.tool, row.outcome) == ("call", "mcp:desk:get_ticket", "ok")
    details = json.loads(row.details)
    assert details["purpose"] == "try" and details["arguments"] == {"ticket_id": "T-1041"}
    assert outcome.duration_ms and row.duration_ms


def test_secrets_are_masked_as_for_agents(house: House, run: Callable[..., Outcome]) -> None:
    outcome = run("list_tickets", {"api_token": "canary-7"})
    assert "canary-7" not in entry(house, outcome).details


def test_a_write_runs_only_confirmed_and_leaves_no_intent(
    house: House, practice: str, run: Callable[..., Outcome]
) -> None:
    with pytest.raises(Refused, match="confirm"):
        run("add_ticket_note", NOTE)
    assert done(practice, "add_ticket_note") == 0
    assert newest(house).outcome == "refused"
    outcome = run("add_ticket_note", NOTE, confirmed=True)
    assert done(practice, "add_ticket_note") == 1
    row = entry(house, outcome)
    assert (row.policy, row.outcome, row.actor) == ("approval", "ok", ANN.name)
    assert json.loads(row.details)["confirmed_by"] == ANN.name
    assert house.do(Intent.select().count) == 0


def test_an_auto_write_is_confirmed_too(
    practice: str, run: Callable[..., Outcome], policy: Callable[[str, str], None]
) -> None:
    policy("add_ticket_note", "auto")
    with pytest.raises(Refused, match="confirm"):
        run("add_ticket_note", NOTE)
    assert done(practice, "add_ticket_note") == 0


def test_disabled_holds_for_people_and_is_on_record(
    house: House, practice: str, run: Callable[..., Outcome], policy: Callable[[str, str], None]
) -> None:
    policy("delete_ticket", "disabled")
    with pytest.raises(Forbidden, match="Disabled"):
        run("delete_ticket", {"ticket_id": "T-1043"}, confirmed=True)
    row = newest(house)
    assert (row.outcome, row.tool, row.actor) == ("refused", "mcp:desk:delete_ticket", ANN.name)
    assert done(practice, "delete_ticket") == 0


def test_a_policy_change_holds_from_the_next_try_on(
    run: Callable[..., Outcome], policy: Callable[[str, str], None]
) -> None:
    assert run("list_devices").outcome == "ok"
    policy("list_devices", "disabled")
    with pytest.raises(Forbidden):
        run("list_devices")


@pytest.mark.parametrize("tool", ["add_ticket_note", "delete_ticket"])
def test_gatehouse_looks_only_with_auto_reads(run: Callable[..., Outcome], practice: str, tool: str) -> None:
    with pytest.raises(Forbidden, match="looks only"):
        run(tool, NOTE, TOM, purpose="look", confirmed=True)
    assert done(practice, tool) == 0


def test_a_read_that_needs_approval_is_not_looked_with(
    run: Callable[..., Outcome], policy: Callable[[str, str], None]
) -> None:
    policy("get_ticket", "approval")
    with pytest.raises(Forbidden, match="looks only"):
        run("get_ticket", {"ticket_id": "T-1041"}, TOM, purpose="look")


def test_a_technician_looks_but_does_not_try(house: House, run: Callable[..., Outcome]) -> None:
    outcome = run("get_ticket", {"ticket_id": "T-1041"}, TOM, purpose="look")
    assert json.loads(entry(house, outcome).details)["purpose"] == "look"
    with pytest.raises(Forbidden, match="admin"):
        run("get_ticket", {"ticket_id": "T-1041"}, TOM)


def test_an_error_of_the_tool_is_an_outcome(run: Callable[..., Outcome]) -> None:
    outcome = run("print_invoice", {"client": "Northwind Legal", "month": "2026-11"}, confirmed=True)
    assert outcome.outcome == "tool_error" and outcome.result["isError"]


def test_what_was_read_is_what_runs(house: House) -> None:
    def other_definition() -> Outcome:
        tool = tools.by_catalogue_name("mcp:desk:get_ticket")
        tool.definition_digest = "another"
        return desk.current().run(tool, {"ticket_id": "T-1041"}, ANN, purpose="try")

    with pytest.raises(Stale):
        house.do(other_definition)


def test_a_tool_nobody_can_call_is_refused(house: House) -> None:
    def gone() -> Outcome:
        tool = tools.by_catalogue_name("mcp:desk:get_ticket")
        tool.catalogue_name = "mcp:desk:gone"
        return desk.current().run(tool, {}, ANN, purpose="try")

    with pytest.raises(NotFound):
        house.do(gone)


def test_people_take_only_some_of_the_threads(run: Callable[..., Outcome]) -> None:
    slow = {"device_id": "NL-SV-001", "seconds": 1.0}
    with ThreadPoolExecutor(people.AT_ONCE + 2) as pool:
        asked = [pool.submit(run, "run_diagnostics", slow, confirmed=True) for _ in range(people.AT_ONCE + 2)]
    refused = [one.exception() for one in asked if one.exception()]
    assert len(refused) == 2 and all(isinstance(error, TooMany) for error in refused)
    assert run("get_ticket", {"ticket_id": "T-1041"}).outcome == "ok"


@pytest.fixture
def two(house: House) -> Iterator[str]:
    """The rule of two for adding a note: its catalogue name."""
    name = "mcp:desk:add_ticket_note"
    for mail in ("ben@example.com", "eve@example.com"):
        house.run("create-user", mail, "--role", "admin", stdin=PASSWORD + "\n", check=False)
    house.do(lambda: second_person.set_rule(tools.by_catalogue_name(name), True, COMMAND))
    yield name
    house.do(lambda: second_person.set_rule(tools.by_catalogue_name(name), False, COMMAND))


def who(house: House, mail: str) -> Actor:
    user = house.do(lambda: User.get(User.email == mail))
    return Actor("user", user.email, user.id, user.role)


def test_the_rule_of_two_sends_a_try_to_somebody_else(
    house: House, practice: str, two: str, run: Callable[..., Outcome]
) -> None:
    ben, eve = who(house, "ben@example.com"), who(house, "eve@example.com")
    outcome = run("add_ticket_note", NOTE, ben, confirmed=True)
    assert outcome.outcome == "waiting" and outcome.approval_id and done(practice, "add_ticket_note") == 0
    assert (newest(house).actor_kind, newest(house).actor, newest(house).outcome) == (
        "user",
        ben.name,
        "waiting",
    )
    with pytest.raises(Forbidden, match="you asked for this call"):
        house.do(lambda: approvals.decide(outcome.approval_id, "approve", ben))
    house.do(lambda: approvals.decide(outcome.approval_id, "approve", eve))
    until(lambda: house.do(lambda: approvals.get(outcome.approval_id)).state == "done")
    assert done(practice, "add_ticket_note") == 1
    rows = house.do(
        lambda: list(Entry.select().where(Entry.approval == outcome.approval_id, Entry.outcome == "ok"))
    )
    assert ("user", ben.name) in [(row.actor_kind, row.actor) for row in rows if row.kind == "call"]
    again = run("add_ticket_note", NOTE, ben, confirmed=True)
    assert again.approval_id != outcome.approval_id, "a try is a new question each time"
    house.do(lambda: approvals.decide(again.approval_id, "deny", ben))


def test_a_try_of_somebody_who_may_no_longer_try_is_not_run(
    house: House, practice: str, two: str, run: Callable[..., Outcome]
) -> None:
    ben, eve = who(house, "ben@example.com"), who(house, "eve@example.com")
    outcome = run("add_ticket_note", NOTE, ben, confirmed=True)
    house.do(lambda: accounts.set_role(User.get_by_id(ben.id), "technician", COMMAND))
    with pytest.raises(Stale, match="whoever asked for it may not try tools any more"):
        house.do(lambda: approvals.decide(outcome.approval_id, "approve", eve))
    assert house.do(lambda: approvals.get(outcome.approval_id)).state == "waiting"
    house.do(lambda: accounts.set_role(User.get_by_id(ben.id), "admin", COMMAND))
    assert done(practice, "add_ticket_note") == 0


def test_the_rule_of_two_is_no_matter_for_auto(
    practice: str, two: str, run: Callable[..., Outcome], policy: Callable[[str, str], None], house: House
) -> None:
    policy("add_ticket_note", "auto")
    assert run("add_ticket_note", NOTE, who(house, "ben@example.com"), confirmed=True).outcome == "ok"


def test_a_look_does_not_wait_for_ever(
    house: House,
    run: Callable[..., Outcome],
    policy: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people, "LOOK_SECONDS", 0.2)
    house.do(lambda: Tool.update(kind="read").where(Tool.name == "run_diagnostics").execute())
    policy("run_diagnostics", "auto")
    outcome = run("run_diagnostics", {"device_id": "NL-SV-001", "seconds": 20}, TOM, purpose="look")
    assert outcome.outcome == "failed" and "no answer within 0.2 seconds" in str(outcome.result)
    assert entry(house, outcome).outcome == "failed"


def test_without_the_gateway_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_open", [])
    with pytest.raises(Refused, match="can't be run from here"):
        desk.current()
