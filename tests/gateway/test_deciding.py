"""Beyond yes and no: the same call for a while, several of a kind, more time, a second person, a look first."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.gateway.test_approvals import NOTE, ask, fetched
from tests.gateway.test_calls import done
from tests.gateway.test_waiting_on_the_wire import modern
from tests.house import PASSWORD, House, text_of, token_in
from tests.waiting import until
from webapp.errors import Forbidden, InvalidInput, Stale
from webapp.services import accounts, agents, approvals
from webapp.services.approvals import asking, decisions, sight, standing
from webapp.services.audit import COMMAND, Actor
from webapp.store.fields import now
from webapp.store.models import Agent, Approval, Entry, Standing, Tool, User

TOOL = "desk__add_ticket_note"


@pytest.fixture(scope="module")
def tom(house: House) -> Actor:
    """A technician."""
    house.run("create-user", "tom@example.com", "--role", "technician", stdin=PASSWORD + "\n")
    return Actor("user", "tom@example.com", house.do(lambda: User.get(User.email == "tom@example.com").id),
                 "technician")  # fmt: skip


@pytest.fixture
def fresh(house: House, request: pytest.FixtureRequest) -> str:
    return house.agent(f"agent {request.node.name}"[:60])


@pytest.fixture(autouse=True)
def nothing_open_or_ahead(house: House) -> Iterator[None]:
    yield
    for row in house.listed("approvals"):
        house.run("decide", row["id"], "deny")
    house.do(lambda: Standing.update(ended_at=now()).where(Standing.ended_at.is_null()).execute())
    house.do(lambda: Tool.update(second_person=False).execute())


@pytest.fixture
def ann(house: House) -> Iterator[httpx2.Client]:
    with house.browser() as browser:
        yield browser


def post(browser: httpx2.Client, path: str, **form: Any) -> httpx2.Response:
    return browser.post(path, data=form | {"csrf_token": token_in(browser.get("/approvals").text)})


def approve_same(house: House, key: str, actor: Actor = COMMAND) -> str:
    first = ask(house, key)
    house.do(lambda: approvals.decide(first, "approve-same", actor))
    assert not fetched(house, key).get("isError")
    until(lambda: house.do(lambda: approvals.get(first).open_key) is None)
    return first


def delivered(first: str) -> int:
    """How many calls that ran ahead have been answered: the same call from then on is another."""
    ahead = Approval.select().join(Standing).where(Standing.approval == first, Approval.id != first)
    return int(ahead.where(Approval.open_key.is_null()).count())


# --- the same call for a while


def test_the_same_call_runs_again_without_a_question_and_each_run_is_logged(
    house: House,
    practice: str,
    fresh: str,
    tom: Actor,
) -> None:
    first = approve_same(house, fresh, tom)
    for number in range(1, 3):
        assert not fetched(house, fresh).get("isError")
        until(lambda: house.do(lambda: delivered(first)) == number)  # noqa: B023 - awaited within
    assert done(practice, "add_ticket_note") == 3
    ours = Standing.approval == first
    ran = house.do(lambda: list(Approval.select().join(Standing).where(ours)))
    assert {row.decided_by for row in ran if row.id != first} == {"tom@example.com"}
    assert len(ran) == 3
    for one in [row.id for row in ran]:
        calls = house.do(lambda one=one: [e.outcome for e in Entry.select().where(Entry.approval == one)])
        assert calls[-1] == "ok"
    assert house.do(lambda: Standing.get(Standing.approval == first).uses) == 2


def test_another_argument_another_agent_or_a_new_definition_asks_again(house: House, fresh: str) -> None:
    approve_same(house, fresh)
    ask(house, fresh, arguments=NOTE | {"text": "Called back!"})
    ask(house, house.agent("a neighbour"))
    other = "0" * 64
    asked = house.do(lambda: Approval.get(Approval.standing.is_null(False)))
    key = asking.key_of(asked.agent_id, asked.tool_id, asked.arguments_digest, other)
    assert house.do(lambda: standing.serving(key)) is None


def test_what_is_approved_ahead_takes_nothing_along_that_nobody_saw(house: House, fresh: str) -> None:
    first = approve_same(house, fresh)
    along = {"desk/force": True, "traceparent": "00-1"}
    params = {"name": TOOL, "arguments": NOTE, "_meta": along}
    house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, fresh)
    ran = house.do(lambda: Approval.get(Approval.standing.is_null(False), Approval.id != first,
                                        Approval.agent == Approval.get_by_id(first).agent_id))  # fmt: skip
    assert house.do(lambda: approvals.asked_with(ran)["meta"]) == {"traceparent": "00-1"}


def test_what_goes_back_to_the_server_is_part_of_what_is_approved_ahead(house: House, fresh: str) -> None:
    """Else an agent would have the same call go on from a state that nobody saw."""
    first = approve_same(house, fresh)
    answer = modern(house, fresh, TOOL, NOTE, requestState="made up")
    assert answer["result"]["resultType"] == "input_required", "it waits for a person"
    (waiting,) = house.listed("approvals")
    assert waiting["id"] != first


@pytest.mark.parametrize("why", ["ended", "expired", "person gone", "second person"])
def test_it_ends(house: House, practice: str, fresh: str, tom: Actor, ann: httpx2.Client, why: str) -> None:
    first = approve_same(house, fresh, tom)
    given = house.do(lambda: Standing.get(Standing.approval == first))
    if why == "ended":
        page = post(ann, f"/approvals/ahead/{given.id}/end").text
        assert "No call is approved ahead" in page
        assert house.do(lambda: Entry.select().where(Entry.action == "standing.ended").count())
    elif why == "expired":
        house.do(lambda: Standing.update(expires_at=now()).where(Standing.id == given.id).execute())
    elif why == "person gone":
        house.do(lambda: accounts.set_disabled(User.get(User.id == tom.id), True, COMMAND))
    else:
        house.do(lambda: Agent.update(owner=tom.id).where(Agent.id == given.agent_id).execute())
        house.do(lambda: Tool.update(second_person=True).where(Tool.id == given.tool_id).execute())
    ask(house, fresh)
    assert done(practice, "add_ticket_note") == 1
    house.do(lambda: accounts.set_disabled(User.get(User.id == tom.id), False, COMMAND))


def test_a_disabled_tool_is_not_run_ahead_either(
    house: House,
    practice: str,
    fresh: str,
    request: pytest.FixtureRequest,
) -> None:
    approve_same(house, fresh)
    house.run("set-policy", "mcp:desk:add_ticket_note", "disabled")
    request.addfinalizer(lambda: house.run("set-policy", "mcp:desk:add_ticket_note", "approval"))
    assert "error" in house.call(fresh, TOOL, NOTE)
    assert done(practice, "add_ticket_note") == 1


def test_twenty_calls_at_once_ahead_all_run_and_none_twice(
    house: House,
    practice: str,
    fresh: str,
) -> None:
    """Repeats meet one open approval while it runs; what is asked after its answer is a call of its own."""
    approve_same(house, fresh)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: fetched(house, fresh), range(20)))
    assert not any(answer.get("isError") for answer in answers)
    runs = house.do(lambda: Entry.select().where(Entry.action == "standing.used").count())
    assert 1 <= done(practice, "add_ticket_note") - 1 <= runs


# --- several, and more time


def test_several_of_a_kind_are_decided_together_each_with_its_own_row(
    house: House,
    practice: str,
    fresh: str,
    ann: httpx2.Client,
) -> None:
    ids = [ask(house, fresh, arguments=NOTE | {"text": str(n)}) for n in range(3)]
    house.run("decide", ids[0], "deny")
    page = post(ann, "/approvals/batch", approval=ids, decision="approve").text
    assert "2 calls approved." in page and "Already denied by command line." in page
    until(lambda: done(practice, "add_ticket_note") == 2)
    rows = house.do(
        lambda: Entry.select().where(Entry.action == "approval.approve", Entry.approval.in_(ids)).count()
    )
    assert rows == 2


def test_a_mixture_or_nothing_is_refused_and_decides_nothing(house: House, fresh: str) -> None:
    ids = [ask(house, fresh), ask(house, fresh, "desk__delete_ticket", {"ticket_id": "T-1043"})]
    for some in (ids, []):
        with pytest.raises(InvalidInput):
            house.do(lambda some=some: approvals.decide_all(some, "deny", COMMAND))
    assert house.do(lambda: Approval.waiting().count()) == 2


def test_more_time_is_given_once_however_often_it_is_posted(house: House, fresh: str) -> None:
    approval = ask(house, fresh)
    before = house.do(lambda: approvals.get(approval).expires_at)
    until_then = before + decisions.MORE_TIME
    for _ in range(2):
        assert house.do(lambda: approvals.extend(approval, until_then, COMMAND)).expires_at == until_then
    with pytest.raises(InvalidInput):
        house.do(lambda: approvals.extend(approval, before + timedelta(days=2), COMMAND))
    house.run("decide", approval, "deny")
    with pytest.raises(Stale, match="Already denied"):
        house.do(lambda: approvals.extend(approval, until_then + decisions.MORE_TIME, COMMAND))


def test_a_reason_from_the_list_reaches_the_agent_with_own_words(house: House, fresh: str) -> None:
    approval = ask(house, fresh)
    house.do(lambda: approvals.decide(approval, "deny", COMMAND, "Call Bob.", reason="ask-first"))
    assert "Ask the client first. Call Bob." in text_of(house.call(fresh, TOOL, NOTE))


# --- a second person


def test_the_owner_of_an_agent_cannot_approve_but_deny(
    house: House,
    practice: str,
    fresh: str,
    tom: Actor,
) -> None:
    house.do(lambda: Agent.update(owner=tom.id).where(Agent.revoked_at.is_null()).execute())
    house.do(lambda: Tool.update(second_person=True).where(Tool.name == "add_ticket_note").execute())
    approval = ask(house, fresh)
    for decision in ("approve", "approve-same"):
        with pytest.raises(Forbidden, match="second person"):
            house.do(lambda decision=decision: approvals.decide(approval, decision, tom))
    assert house.do(lambda: approvals.get(approval).state) == "waiting"
    assert done(practice, "add_ticket_note") == 0
    assert house.do(lambda: approvals.decide(approval, "deny", tom)).state == "denied"


def test_whoever_made_the_key_is_no_second_person(house: House, practice: str, fresh: str) -> None:
    """An admin could take over somebody's agent by a new key, and approve what they make it ask for."""
    house.run("create-user", "eve@example.com", "--role", "admin", stdin=PASSWORD + "\n")
    eve = Actor(
        "user", "eve@example.com", house.do(lambda: User.get(User.email == "eve@example.com").id), "admin"
    )
    first = approve_same(house, fresh, eve)
    agent = house.do(lambda: Agent.get_by_id(approvals.get(first).agent_id))
    house.do(lambda: Tool.update(second_person=True).where(Tool.name == "add_ticket_note").execute())
    key = house.do(lambda: agents.replace_key(agent, eve))
    approval = ask(house, key)
    for decision in ("approve", "approve-same"):
        with pytest.raises(Forbidden, match="you made this agent’s key"):
            house.do(lambda decision=decision: approvals.decide(approval, decision, eve))
    assert done(practice, "add_ticket_note") == 1, "nor does what they approved ahead serve it"
    assert house.do(lambda: approvals.decide(approval, "deny", eve)).state == "denied"


def test_what_was_asked_for_with_the_old_key_does_not_run(house: House, practice: str, fresh: str) -> None:
    """Else whoever had stolen it still gets what they asked for; or whoever gave it away approves their own call."""
    approval = ask(house, fresh)
    house.do(lambda: agents.replace_key(Agent.get_by_id(approvals.get(approval).agent_id), COMMAND))
    assert house.do(lambda: approvals.get(approval).state) == "withdrawn"
    with pytest.raises(Stale, match="the agent's key was replaced"):
        house.do(lambda: approvals.decide(approval, "approve", COMMAND))
    assert done(practice, "add_ticket_note") == 0


def test_somebody_else_can(house: House, practice: str, fresh: str, tom: Actor, ann: httpx2.Client) -> None:
    house.do(lambda: Agent.update(owner=tom.id).where(Agent.revoked_at.is_null()).execute())
    house.do(lambda: Tool.update(second_person=True).where(Tool.name == "add_ticket_note").execute())
    approval = ask(house, fresh)
    assert (
        "Approved by ann@example.com" in post(ann, f"/approvals/{approval}/decision", decision="approve").text
    )
    until(lambda: done(practice, "add_ticket_note") == 1)


# --- what is true now


def test_what_is_true_now_stands_beside_what_would_be_set(
    house: House, fresh: str, ann: httpx2.Client
) -> None:
    wanted = {"ticket_id": "T-1042", "status": "resolved", "priority": "low"}
    approval = ask(house, fresh, "desk__update_ticket", wanted)
    looked = Entry.action == "call", Entry.tool == "mcp:desk:get_ticket", Entry.actor_kind == "user"
    before = house.do(lambda: Entry.select().where(*looked).count())
    page = post(ann, f"/approvals/{approval}/now").text
    assert "as <code>get_<wbr>ticket</code> says" in page and '<td data-label="Now">open' in page
    post(ann, f"/approvals/{approval}/now")
    assert house.do(lambda: Entry.select().where(*looked).count()) == before + 1  # kept for a minute


def test_a_look_that_fails_says_so_in_a_line_and_the_card_stays(
    house: House,
    fresh: str,
    ann: httpx2.Client,
) -> None:
    approval = ask(house, fresh, "desk__update_ticket", {"ticket_id": "T-9999", "status": "resolved"})
    page = post(ann, f"/approvals/{approval}/now").text
    assert "What is true now can’t be shown" in page.replace("'", "’") and "Approve once" in page


def test_a_read_that_is_not_auto_is_not_run(
    house: House,
    fresh: str,
    ann: httpx2.Client,
    request: pytest.FixtureRequest,
) -> None:
    house.run("set-policy", "mcp:desk:get_ticket", "approval")
    request.addfinalizer(lambda: house.run("set-policy", "mcp:desk:get_ticket", "auto"))
    approval = ask(house, fresh, "desk__update_ticket", {"ticket_id": "T-1042", "status": "resolved"})
    assert "What is true now" not in post(ann, f"/approvals/{approval}/now").text
    assert house.do(lambda: sight.view_of(approvals.get(approval))) is None
