"""Signing in at the real program, two workers of it: any of them takes any step, and no death of one loses the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count

import pytest

from tests.admin import SETTINGS, Admin, Answer, admin_of, furnish
from tests.authority import Service, authority
from tests.house import text_of
from tests.serving import Gatehouse, gatehouse

ANN, BEN = "ann@example.com", "ben@example.com"
numbers = count(1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    with gatehouse(tmp_path_factory.mktemp("sign-ins")) as program:
        furnish(program.house, ANN, BEN)
        yield program


@pytest.fixture
def ann(running: Gatehouse) -> Iterator[Admin]:
    with admin_of(running.house, ANN) as admin:
        yield admin


@pytest.fixture
def service() -> Iterator[Service]:
    with authority() as one:
        yield one


@pytest.fixture
def notes(ann: Admin, service: Service) -> str:
    """Checked, not signed in to."""
    name = f"notes-{next(numbers)}"
    ann.add(service, name)
    return name


def state_of(running: Gatehouse, name: str) -> str:
    return str(next(row["state"] for row in running.house.listed("servers") if row["name"] == name))


def finished(running: Gatehouse, name: str, answer: Answer) -> bool:
    return answer.location == f"{SETTINGS}/{name}/setup/tools" and state_of(running, name) == "connected"


def test_every_step_may_be_taken_by_another_worker(
    running: Gatehouse, ann: Admin, service: Service, notes: str
) -> None:
    with running.only(0):
        page = ann.begin(notes)
    with running.only(1):
        address = ann.jump(page)
    callback = service.walk(address)
    with running.only(0):
        answer = ann.back(callback)
    assert finished(running, notes, answer)
    with running.only(1):
        assert ann.back(callback).location == "/oauth/ended/used"
        assert "This sign-in is complete" in ann.get(page).text
    assert service.exchanges == 1


@pytest.mark.parametrize(("how", "when"), [("stopped", "after the jump"), ("killed", "before the jump")])
def test_a_restart_in_mid_flow_costs_nothing(
    running: Gatehouse, ann: Admin, service: Service, notes: str, how: str, when: str
) -> None:
    page = ann.begin(notes)
    address = ann.jump(page) if when == "after the jump" else ""
    if how == "stopped":
        running.stop()
    else:
        running.kill("all")
    running.up()
    answer = ann.back(service.walk(address or ann.jump(page)))
    assert finished(running, notes, answer)
    key = running.house.agent(f"agent of {notes}")
    assert "milk" in text_of(running.house.call(key, f"{notes}__list_notes"))


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_while_the_code_is_exchanged_it_says_so_and_begins_again(
    running: Gatehouse, ann: Admin, service: Service, notes: str, moment: str
) -> None:
    """`after`: the tokens were made, and nobody is left to receive them."""
    page = ann.begin(notes)
    callback = service.walk(ann.jump(page))
    gate = threading.Event()
    if moment == "before":
        service.faults.hold = gate
    else:
        service.faults.hold_answer = gate
    service.arrived.clear()
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(ann.back, callback)
        assert service.arrived.wait(60)
        running.kill("all")
        gate.set()
        assert under_way.exception(60) is not None
    service.faults.hold = service.faults.hold_answer = None
    running.up()
    assert ann.back(callback).location == "/oauth/ended/used"
    told = ann.get(page)
    assert "stopped in the middle" in told.text and "Try again" in told.text
    assert state_of(running, notes) == "draft"
    assert finished(running, notes, ann.sign_in(service, notes))


def test_many_sign_ins_at_once_all_end_well_and_each_server_gets_its_own_token(
    running: Gatehouse, ann: Admin
) -> None:
    with ExitStack() as stack:
        services = [stack.enter_context(authority(assigned="basic")) for _ in range(3)]
        flows = [(one, f"many-{next(numbers)}") for one in services for _ in range(2)]
        with ThreadPoolExecutor(len(flows)) as pool:
            list(pool.map(lambda flow: ann.add(*flow), flows))
            answers = list(pool.map(lambda flow: ann.sign_in(*flow), flows))
        for (_, name), answer in zip(flows, answers, strict=True):
            assert finished(running, name, answer)
        key = running.house.agent(f"agent {next(numbers)}")
        for _, name in flows:
            assert "milk" in text_of(running.house.call(key, f"{name}__list_notes"))
        for one in services:
            assert one.exchanges == 2
            sent = {seen.headers.get("authorization", "") for seen in one.asked("/mcp")} - {""}
            assert sent and sent <= {f"Bearer {token}" for token in one.ledger.access}
            theirs = [secret for other in services if other is not one for secret in other.secrets]
            everything = repr([(seen.query, seen.headers, seen.body) for seen in one.seen])
            assert not [secret for secret in theirs if secret in everything]


def test_one_way_back_taken_many_times_at_once_is_exchanged_once(
    running: Gatehouse, ann: Admin, service: Service, notes: str
) -> None:
    page = ann.begin(notes)
    callback = service.walk(ann.jump(page))
    service.faults.hold = gate = threading.Event()
    service.arrived.clear()
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(ann.back, callback) for _ in range(6)]
        assert service.arrived.wait(60)
        gate.set()
        places = sorted(answer.result().location for answer in answers)
    assert places == ["/oauth/ended/used"] * 5 + [f"{SETTINGS}/{notes}/setup/tools"]
    assert "the way back works once" in ann.get("/oauth/ended/used").text
    assert service.exchanges == 1 and service.ledger.families[-1].alive
    assert state_of(running, notes) == "connected"


@pytest.mark.parametrize("who", ["another person", "another browser", "nobody"])
def test_a_way_back_of_somebody_else_is_refused_and_harms_nothing(
    running: Gatehouse, ann: Admin, service: Service, notes: str, who: str
) -> None:
    page = ann.begin(notes)
    callback = service.walk(ann.jump(page))
    with admin_of(running.house, BEN if who == "another person" else ANN) as other:
        stranger = Admin(ann.url, {}) if who == "nobody" else other
        assert stranger.back(callback).location == "/oauth/ended/elsewhere"
        assert "begun in another browser" in stranger.get("/oauth/ended/elsewhere").text
        if who != "nobody":
            assert stranger.get(page).status == stranger.get(f"{page}/go").status == 404
    assert service.exchanges == 0 and state_of(running, notes) == "draft"
    assert finished(running, notes, ann.back(callback))


def test_two_people_sign_in_to_one_server_and_both_ways_end_well(
    running: Gatehouse, ann: Admin, service: Service, notes: str
) -> None:
    with admin_of(running.house, BEN) as ben:
        callbacks = [(admin, service.walk(admin.jump(admin.begin(notes)))) for admin in (ann, ben)]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda pair: pair[0].back(pair[1]), callbacks))
    assert all(finished(running, notes, answer) for answer in answers)
    key = running.house.agent(f"agent of {notes}")
    assert "milk" in text_of(running.house.call(key, f"{notes}__list_notes"))
