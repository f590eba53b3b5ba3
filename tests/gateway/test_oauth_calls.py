"""Calls to a server behind OAuth: renewed in passing, once; written once; asked for more where more is needed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tests.authority import Service, authority
from tests.house import House, text_of
from tests.signing_in import connected, sign_in
from webapp.services import grants, integrations, pauses, sync
from webapp.services.audit import COMMAND
from webapp.store.fields import now
from webapp.store.models import Entry, Grant, Integration

NAMES = iter(range(1000))


@pytest.fixture
def service() -> Iterator[Service]:
    with authority(resource_scopes=("notes.read",)) as one:
        yield one


@pytest.fixture
def notes(house: House, service: Service) -> Iterator[str]:
    """Signed in and synced; what it is called."""
    name = f"notes-{next(NAMES)}"
    house.do(lambda: sync.sync(connected(service, name), COMMAND))
    house.run("set-policy", f"mcp:{name}:write_note", "auto")
    yield name
    house.run("disconnect", name)


def grant_of(house: House, name: str) -> Grant:
    grant = house.do(lambda: Grant.of(integrations.find(name)))
    assert grant is not None
    return grant


def state_of(house: House, name: str) -> Integration:
    return house.do(lambda: integrations.find(name))


def change(house: House, name: str, **values: Any) -> None:
    house.do(lambda: Grant.update(**values).where(Grant.integration == integrations.find(name).id).execute())


def read(house: House, key: str, name: str) -> str:
    return text_of(house.call(key, f"{name}__list_notes"))


def write(house: House, key: str, name: str, text: str = "eggs") -> str:
    return text_of(house.call(key, f"{name}__write_note", {"text": text}))


def calls(house: House, name: str) -> list[str]:
    rows = Entry.select().where(Entry.kind == "call", Entry.integration == name).order_by(Entry.id)
    return house.do(lambda: [row.outcome for row in rows])


def test_a_token_that_ended_before_its_time_is_renewed_and_the_call_said_again(
    house: House, service: Service, notes: str, key: str
) -> None:
    assert "milk" in read(house, key, notes)
    service.expire_access_tokens()
    assert "milk" in read(house, key, notes)
    assert service.refreshes == 1 and calls(house, notes) == ["ok", "ok"]


def test_a_write_refused_at_the_door_is_said_again_and_runs_once(
    house: House, service: Service, notes: str, key: str
) -> None:
    service.expire_access_tokens()
    assert "Note 1 is written" in write(house, key, notes)
    assert service.written == ["eggs"] and service.refreshes == 1


def test_a_write_refused_after_it_ran_is_never_said_again(
    house: House, service: Service, notes: str, key: str
) -> None:
    service.faults.late_401 = True
    write(house, key, notes)
    assert service.written == ["eggs"] and service.refreshes == 0


def test_a_token_about_to_end_is_renewed_before_it_is_refused(
    house: House, service: Service, notes: str
) -> None:
    change(house, notes, expires_at=now() + timedelta(seconds=20))
    arrived = len(service.asked("/mcp"))
    house.run("sync", notes)
    assert service.refreshes == 1
    # Where a worker renews it just then, the one at hand does until that is done.
    tokens = {seen.headers["authorization"] for seen in service.asked("/mcp")[arrived:]}
    assert tokens and all(service.ledger.living(token.removeprefix("Bearer ")) for token in tokens)
    assert not house.do(lambda: grant_of(house, notes).over)


def test_many_calls_at_once_renew_once(house: House, service: Service, notes: str, key: str) -> None:
    read(house, key, notes)
    service.expire_access_tokens()
    with ThreadPoolExecutor(8) as agents:
        said = list(agents.map(lambda number: read(house, key, notes), range(8)))
    assert all("milk" in text for text in said)
    assert (service.refreshes, service.reuse_detected) == (1, 0)


def test_a_server_that_refuses_every_token_is_asked_twice_and_no_more(
    house: House, service: Service, notes: str, key: str
) -> None:
    service.faults.always_401 = True
    before = len(service.asked("/mcp"))
    assert "sign in again" in read(house, key, notes)
    assert service.refreshes == 1
    assert len(service.asked("/mcp")) - before <= 4
    assert state_of(house, notes).state == "needs_sign_in"
    read(house, key, notes)
    assert service.refreshes == 1, "one more token would be refused as well"


def test_a_sign_in_service_in_trouble_costs_nothing_while_the_token_lives(
    house: House, service: Service, notes: str, key: str
) -> None:
    service.faults.token_status, service.faults.token_troubles = 503, -1
    change(house, notes, expires_at=now() + timedelta(seconds=20))
    assert "milk" in read(house, key, notes)
    assert state_of(house, notes).state == "connected"


def test_a_sign_in_service_in_trouble_is_waited_for(
    house: House, service: Service, notes: str, key: str
) -> None:
    service.faults.token_status, service.faults.token_troubles = 503, -1
    service.expire_access_tokens()
    change(house, notes, expires_at=now())
    house.do(lambda: pauses.pause_server(integrations.find(notes), COMMAND, "a test"))
    house.do(lambda: pauses.resume(f"server:{notes}", COMMAND))
    answer = read(house, key, notes)
    assert "did not run" in answer and "sign in" not in answer
    asked = len(service.asked("/token"))
    read(house, key, notes)
    assert len(service.asked("/token")) == asked, "it is given time to recover"
    assert state_of(house, notes).state != "needs_sign_in"
    service.faults.token_status = service.faults.token_troubles = 0
    change(house, notes, retry_at=now())
    assert "milk" in read(house, key, notes)
    assert state_of(house, notes).state == "connected" and grant_of(house, notes).failures == 0


def test_a_sign_in_that_was_revoked_ends_in_words_once(
    house: House, service: Service, notes: str, key: str
) -> None:
    service.revoke_grant()
    answer = read(house, key, notes)
    assert "administrator to sign in again" in answer and "did not run" in answer
    assert "127.0.0.1" not in answer, "agents get no map"
    found = state_of(house, notes)
    assert found.state == "needs_sign_in" and found.state_reason.startswith("Sign-in expired.")
    asked = len(service.asked("/token"))
    read(house, key, notes)
    assert len(service.asked("/token")) == asked
    changes = Entry.select().where(Entry.integration == notes, Entry.action == "integration.state")
    assert house.do(lambda: changes.count()) == 1


def test_reconnecting_keeps_tools_policies_and_names(
    house: House, service: Service, notes: str, key: str
) -> None:
    service.revoke_grant()
    read(house, key, notes)
    before = house.listed("tools", notes)
    house.do(lambda: sign_in(service, integrations.find(notes)))
    assert house.listed("tools", notes) == before
    assert "milk" in read(house, key, notes)
    assert state_of(house, notes).state == "connected"


def test_more_scope_is_asked_for_and_does_not_stop_the_other_tools(
    house: House, service: Service, notes: str, key: str
) -> None:
    service.demand_scope("list_notes", "notes.write")
    answer = read(house, key, notes)
    assert "more access" in answer and "did not run" in answer
    assert grant_of(house, notes).needed_scope == "notes.write"
    assert state_of(house, notes).state == "connected" and service.refreshes == 0
    assert "Note 1" in write(house, key, notes)
    house.do(lambda: sign_in(service, integrations.find(notes), wish="more"))
    assert service.asked("/authorize")[-1].query["scope"].split() == [
        "notes.read", "offline_access", "notes.write",
    ]  # fmt: skip
    grant = grant_of(house, notes)
    assert "notes.write" in grant.scope.split() and not grant.needed_scope
    assert "milk" in read(house, key, notes)


def test_what_was_not_granted_is_still_needed(house: House, service: Service, notes: str, key: str) -> None:
    service.faults.granted_scope = "notes.read"
    service.demand_scope("list_notes", "notes.write")
    read(house, key, notes)
    house.do(lambda: sign_in(service, integrations.find(notes), wish="more"))
    assert grant_of(house, notes).needed_scope == "notes.write"


def test_a_server_that_never_has_enough_is_not_asked_about_for_ever(
    house: House, service: Service, notes: str, key: str
) -> None:
    service.demand_scope("list_notes", "notes.read")
    service.faults.insatiable = True
    answer = read(house, key, notes)
    assert "may not do this" in answer
    assert not grant_of(house, notes).needed_scope
    assert state_of(house, notes).state == "connected"


def test_disconnecting_gives_the_tokens_back(house: House, service: Service, notes: str) -> None:
    assert house.do(lambda: grants.give_back(grants.held(integrations.find(notes)))) == "revoked"
    assert service.revocations >= 1
    assert [seen.form["token_type_hint"] for seen in service.asked("/revoke")][0] == "refresh_token"
