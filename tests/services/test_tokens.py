"""Staying signed in: one renewal for all, kept before it is used, and an end only where there is one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import databases
from tests.authority import Service, authority
from tests.signing_in import connected, sign_in, somebody
from webapp.errors import InvalidInput, NeedsAuthorization, Unreachable
from webapp.services import connections, grants, headers, integrations, pauses, tokens
from webapp.services.audit import COMMAND
from webapp.services.tokens import Presented
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Entry, Grant, Integration, OAuthClient, database

LOST_FOR_NOW: list[dict[str, Any]] = [
    {"token_status": 503, "token_troubles": -1},
    {"token_status": 500, "token_troubles": -1},
    {"token_status": 429, "token_troubles": -1},
    {"token_status": 404, "token_troubles": -1},
    {"token": "html"},
    {"token": "error200"},
    {"token": "redirect"},
    {"refresh_error": "temporarily_unavailable"},
    {"refresh_error": "invalid_scope"},
    {"refresh_error": "unauthorized_client"},
    {"refresh_error": "invalid_request"},
]


@pytest.fixture
def service() -> Iterator[Service]:
    with authority() as one:
        yield one


@pytest.fixture
def notes(store: None, service: Service) -> Integration:
    """Signed in, a moment ago and for an hour."""
    return finished(service)


def finished(service: Service) -> Integration:
    integrations.finish(connected(service), COMMAND)
    return integrations.find("notes")


def grant() -> Grant:
    found: Grant = Grant.get()
    return found


def change(**values: Any) -> None:
    with writing():
        Grant.update(**values).execute()


def left(seconds: float, of: int = 3600) -> None:
    change(expires_at=now() + timedelta(seconds=seconds), lifetime=of)


def token(presented: Presented) -> str:
    return presented.headers["Authorization"].removeprefix("Bearer ")


def states() -> list[str]:
    return [row.state for row in Integration.select()]


def set_faults(service: Service, **faults: Any) -> None:
    for name, value in faults.items():
        setattr(service.faults, name, value)


# Renewing


def test_a_fresh_token_is_presented_without_a_question(notes: Integration, service: Service) -> None:
    shown = tokens.present(notes)
    assert service.ledger.living(token(shown)) is not None
    assert shown.version == 1 and shown.until is not None
    assert now() + timedelta(minutes=58) < shown.until < now() + timedelta(minutes=60)
    assert len(service.asked("/token")) == 1
    assert token(shown) not in repr(shown)


@pytest.mark.parametrize("seconds", [-86400, -1, 30])
def test_a_token_that_is_over_or_almost_is_renewed_once(
    notes: Integration, service: Service, seconds: int
) -> None:
    old, before = token(tokens.present(notes)), grants.opened(grant())
    left(seconds)
    shown = tokens.present(notes)
    assert token(shown) != old and shown.version == 2 and service.ledger.living(token(shown))
    kept = grants.opened(grant())
    assert kept.access == token(shown) and kept.refresh not in ("", before.refresh)
    assert service.asked("/token")[-1].form["resource"] == service.mcp_url
    assert tokens.present(notes) == shown
    assert service.refreshes == 1


@pytest.mark.parametrize(
    ("seconds", "life", "on_demand", "early"),
    [
        (3500, 3600, 0, 0),
        (700, 3600, 0, 1),
        (61, 3600, 0, 1),
        (59, 3600, 1, 1),
        (5, 10, 0, 0),
        (1.5, 10, 0, 1),
    ],
)
def test_early_in_the_background_late_on_demand(
    notes: Integration, service: Service, monkeypatch: pytest.MonkeyPatch,
    seconds: float, life: int, on_demand: int, early: int,
) -> None:  # fmt: skip
    moment = now()
    monkeypatch.setattr(tokens, "now", lambda: moment)
    almost_over = {"expires_at": moment + timedelta(seconds=seconds), "lifetime": life}
    change(**almost_over)
    assert len(tokens.due()) == early
    tokens.present(notes)
    assert service.refreshes == on_demand
    change(**almost_over)
    tokens.present(notes, early=True)
    assert service.refreshes == on_demand + early


def test_a_refused_token_is_renewed_whatever_its_time(notes: Integration, service: Service) -> None:
    shown = tokens.present(notes)
    service.expire_access_tokens()
    again = tokens.present(notes, refused=shown.version)
    assert again.version == 2 and service.ledger.living(token(again))
    assert tokens.present(notes, refused=shown.version) == again, "it was about the old one"
    assert service.refreshes == 1


def test_a_server_that_refuses_every_token_is_no_reason_to_fetch_more(
    notes: Integration, service: Service
) -> None:
    again = tokens.present(notes, refused=1)
    tokens.refused_anew(notes.id, again.version)
    for _ in range(3):
        with pytest.raises(NeedsAuthorization) as refusal:
            tokens.present(notes, refused=again.version)
        assert refusal.value.next_step
    assert service.refreshes == 1
    assert sign_in(service, notes).ended == "done"
    assert tokens.present(notes).version == 3


def test_many_threads_ask_once(notes: Integration, service: Service) -> None:
    left(-1)
    service.faults.hold = gate = threading.Event()
    service.arrived.clear()

    def ask() -> Presented:
        with database.connection_context():
            return tokens.present(notes)

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask) for _ in range(6)]
        assert service.arrived.wait(60)
        gate.set()
        shown = [one.result(60) for one in asking]
    assert {one.version for one in shown} == {2} and len({token(one) for one in shown}) == 1
    assert (service.refreshes, service.reuse_detected) == (1, 0)


def test_the_store_is_free_while_the_service_thinks(notes: Integration, service: Service) -> None:
    left(-1)
    service.faults.hold = gate = threading.Event()
    service.arrived.clear()

    def ask() -> int:
        with database.connection_context():
            return tokens.present(notes).version

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        assert service.arrived.wait(60)
        integrations.rename(notes, "Notes of the office", COMMAND)
        assert not asking.done()
        gate.set()
        assert asking.result(60) == 2


def test_without_rotation_the_refresh_token_stays(notes: Integration, service: Service) -> None:
    service.faults.rotation = False
    first = grants.opened(grant()).refresh
    for version in (2, 3):
        left(-1)
        assert tokens.present(notes).version == version
        assert grants.opened(grant()).refresh == first


@pytest.mark.parametrize("method", ["basic", "post"])
def test_clients_with_a_secret_renew_too(store: None, method: str) -> None:
    with authority(assigned=method) as service:
        notes = connected(service)
        left(-1)
        assert tokens.present(notes).version == 2


def test_renewed_without_a_lifetime_it_lives_until_it_is_refused(store: None) -> None:
    with authority(expires_in=None) as service:
        notes = connected(service)
        assert tokens.present(notes).until is None and tokens.due() == []
        assert tokens.present(notes, early=True).version == 1
        assert tokens.present(notes, refused=1).version == 2


def test_a_smaller_scope_is_noted(notes: Integration, service: Service) -> None:
    service.faults.granted_scope = "notes.read"
    left(-1)
    tokens.present(notes)
    assert grant().scope == "notes.read"


def test_renewed_where_it_was_granted_wherever_the_server_points_by_now(
    notes: Integration, service: Service
) -> None:
    set_faults(service, lures={"token_endpoint": "decoy"}, authorization_servers=["https://evil.example"])
    left(-1)
    assert tokens.present(notes).version == 2
    assert service.decoy_hits == []


def test_no_secret_is_readable_afterwards(
    notes: Integration, service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    left(-1)
    tokens.present(notes)
    service.faults.refresh_error = "invalid_grant"
    left(-1)
    with pytest.raises(NeedsAuthorization):
        tokens.present(notes)
    files = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    rows = repr([list(table.select().dicts()) for table in (Grant, OAuthClient, Integration, Entry)])
    assert len(service.secrets) >= 5
    for secret in service.secrets:
        assert secret.encode() not in files and secret not in caplog.text and secret not in rows


# A service in trouble


@pytest.mark.parametrize("faults", LOST_FOR_NOW, ids=repr)
def test_trouble_puts_off_and_ends_nothing(
    notes: Integration, service: Service, faults: dict[str, Any]
) -> None:
    set_faults(service, **faults)
    asked = len(service.asked("/token"))
    left(-1)
    for _ in range(3):
        with pytest.raises(Unreachable) as refusal:
            tokens.present(notes)
        assert refusal.value.what and refusal.value.next_step
        assert not [secret for secret in service.secrets if secret in repr(refusal.value.what)]
    assert len(service.asked("/token")) == asked + 1, "not asked again before its time"
    assert service.decoy_hits == []
    after = grant()
    assert after.renewable and after.failures == 1 and after.retry_at > now()
    assert states() == ["unreachable"]
    set_faults(service, token_status=0, token="", refresh_error="")
    if faults.get("token") not in (
        "html",
        "error200",
    ):  # after these, the service believes we have the new one
        change(retry_at=now())
        assert tokens.present(notes).version == 2
        assert states() == ["connected"] and grant().failures == 0


def test_trouble_while_the_token_still_works_is_nobodys_concern(notes: Integration, service: Service) -> None:
    set_faults(service, token_status=503, token_troubles=-1)
    shown = tokens.present(notes)
    left(30)
    assert token(tokens.present(notes)) == token(shown)
    assert token(tokens.present(notes, early=True)) == token(shown)
    assert states() == ["connected"] and grant().failures == 1
    assert tokens.due() == [], "its next time is later"


def test_each_failure_doubles_the_pause_up_to_a_quarter_of_an_hour(
    notes: Integration, service: Service
) -> None:
    set_faults(service, token_status=503, token_troubles=-1)
    left(-1)
    pauses = []
    for _ in range(9):
        with pytest.raises(Unreachable):
            tokens.present(notes)
        pauses.append((grant().retry_at - now()).total_seconds())
        change(retry_at=now())
    assert all(later > earlier * 1.8 for earlier, later in zip(pauses[:7], pauses[1:8], strict=True))
    assert pauses[0] < 10 and 880 < pauses[-1] <= 900
    changes = [row for row in Entry.select().where(Entry.action == "integration.state")]
    assert len(changes) == 1, "one change of state, not nine"
    service.faults.token_troubles = 0
    assert tokens.present(notes).version == 2
    assert grant().failures == 0 and grant().problem == ""


def test_a_service_that_can_not_be_reached_at_all(store: None) -> None:
    with authority() as service:
        notes = finished(service)
    left(-1)
    with pytest.raises(Unreachable):
        tokens.present(notes)
    assert grant().renewable and states() == ["unreachable"]


def test_a_person_can_sign_in_while_renewing_fails(notes: Integration, service: Service) -> None:
    set_faults(service, token_status=503, token_troubles=1)
    left(-1)
    with pytest.raises(Unreachable):
        tokens.present(notes)
    assert sign_in(service, notes).ended == "done"
    assert tokens.present(notes).version == 2
    assert grant().retry_at is None and states() == ["connected"]


# The end of a sign-in


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_client"])
def test_a_sign_in_that_has_ended_is_said_once_and_not_asked_about_again(
    notes: Integration, service: Service, code: str
) -> None:
    service.faults.refresh_error = code
    left(-1)
    for _ in range(3):
        with pytest.raises(NeedsAuthorization) as refusal:
            tokens.present(notes)
        assert refusal.value.what.startswith("Sign-in expired.") and refusal.value.next_step
    assert service.refreshes == 1
    found = integrations.find("notes")
    assert found.state == "needs_sign_in" and found.state_reason.startswith("Sign-in expired.")
    assert Entry.select().where(Entry.action == "integration.state").count() == 1
    assert tokens.due() == []
    service.faults.refresh_error = ""
    assert sign_in(service, found).ended == "done"
    assert states() == ["connected"] and tokens.present(notes).version == 2
    assert service.registrations == (2 if code == "invalid_client" else 1)


def test_revoked_over_there(notes: Integration, service: Service) -> None:
    service.revoke_grant()
    with pytest.raises(NeedsAuthorization):
        tokens.present(notes, refused=1)
    assert states() == ["needs_sign_in"]


def test_ended_but_not_over_the_token_at_hand_still_works(notes: Integration, service: Service) -> None:
    service.faults.refresh_error = "invalid_grant"
    left(600)
    shown = tokens.present(notes, early=True)
    assert service.ledger.living(token(shown)) and states() == ["connected"]
    assert service.refreshes == 1 and tokens.due() == []
    assert tokens.present(notes, early=True) == shown
    left(-1)
    with pytest.raises(NeedsAuthorization):
        tokens.present(notes)
    assert service.refreshes == 1 and states() == ["needs_sign_in"]


@pytest.mark.parametrize(("error", "held"), [("invalid_grant", "hold"), ("", "hold_answer")])
def test_a_sign_in_made_meanwhile_is_neither_ended_nor_overwritten(
    notes: Integration, service: Service, error: str, held: str
) -> None:
    """The answer is about a token that is no longer ours."""
    left(-1)
    gate = threading.Event()
    set_faults(service, refresh_error=error, **{held: gate})
    service.arrived.clear()

    with ThreadPoolExecutor(1) as pool:
        late = asking(notes, pool)
        assert service.arrived.wait(60)
        set_faults(service, **{held: None})
        assert sign_in(service, notes).ended == "done"
        mine = grants.opened(grant())
        gate.set()
        shown = late.result(60)
    assert token(shown) == mine.access and shown.version == 2
    assert grants.opened(grant()) == mine
    assert grant().renewable and states() == ["connected"]


def test_without_a_refresh_token_it_ends_with_its_time(store: None) -> None:
    with authority(refresh_token="never") as service:
        notes = finished(service)
        left(30)
        assert tokens.present(notes).version == 1
        assert tokens.due() == []
        left(-1)
        with pytest.raises(NeedsAuthorization) as refusal:
            tokens.present(notes)
        assert refusal.value.next_step and states() == ["needs_sign_in"]
        assert service.refreshes == 0


def test_without_a_sign_in_there_is_nothing_to_present(notes: Integration, service: Service) -> None:
    with writing():
        grants.forget(notes)
    with pytest.raises(NeedsAuthorization) as refusal:
        tokens.present(notes)
    assert refusal.value.next_step


def test_a_lost_client_can_not_renew(notes: Integration, service: Service) -> None:
    with writing():
        OAuthClient.delete().execute()
    assert tokens.present(notes).version == 1
    left(-1)
    with pytest.raises(NeedsAuthorization):
        tokens.present(notes)
    assert service.refreshes == 0


def test_a_pause_stays_a_pause(notes: Integration, service: Service) -> None:
    pauses.pause_server(notes, COMMAND, "a test")
    service.faults.refresh_error = "invalid_grant"
    left(-1)
    with pytest.raises(NeedsAuthorization):
        tokens.present(notes)
    assert states() == ["paused"]


# A lease


def test_the_lease_of_a_dead_one_is_taken_over(
    notes: Integration, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "LEASE_SECONDS", 0.2)
    left(-1)
    change(lease_by="somebody who died")
    assert tokens.present(notes).version == 2
    assert grant().lease_by == ""


def test_nobody_waits_for_ever(notes: Integration, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "WAIT_SECONDS", 0.2)
    left(-1)
    change(lease_by="somebody slow")
    with pytest.raises(Unreachable) as refusal:
        tokens.present(notes)
    assert refusal.value.next_step and service.refreshes == 0
    assert states() == ["connected"]


def test_a_lease_that_changes_hands_is_not_that_of_a_dead_one(
    notes: Integration, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(tokens, "WAIT_SECONDS", 1.0)
    left(-1)
    change(lease_by="one of many")
    clock = itertools.count(step=0.02)

    def hand_on(_: float) -> None:
        change(lease_by=f"number {next(clock)}")

    monkeypatch.setattr(tokens, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=hand_on))
    with pytest.raises(Unreachable):
        tokens.present(notes)
    assert next(clock) > tokens.WAIT_SECONDS and service.refreshes == 0


def test_while_another_renews_a_token_that_still_works_is_used(
    notes: Integration, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "WAIT_SECONDS", 0.2)
    left(30)
    change(lease_by="somebody slow")
    assert tokens.present(notes).version == 1
    with pytest.raises(Unreachable):
        tokens.present(notes, refused=1)
    assert service.refreshes == 0


def test_a_lease_outlasts_a_renewal() -> None:
    assert tokens.WAIT_SECONDS > tokens.LEASE_SECONDS > tokens.REFRESH_SECONDS


def test_a_clock_that_was_set_back_holds_nobody_up(notes: Integration, service: Service) -> None:
    left(-1)
    change(retry_at=now() + timedelta(hours=10), failures=1, problem="It was down.")
    assert tokens.due() == [notes]
    assert tokens.present(notes).version == 2


def asking(notes: Integration, pool: ThreadPoolExecutor) -> Future[Presented]:
    def ask() -> Presented:
        with database.connection_context():
            return tokens.present(notes)

    return pool.submit(ask)


def test_the_token_of_one_that_was_taken_for_dead_is_kept(notes: Integration, service: Service) -> None:
    """It slept over its lease; whoever took that over came with a spent refresh token and was told so."""
    left(-1)
    service.faults.hold_answer = gate = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        late = asking(notes, pool)
        while not service.refreshes:
            assert not late.done()
            threading.Event().wait(0.01)
        service.faults.hold_answer = None
        change(lease_by="another", renewable=False, problem="The refresh token was used before.")
        with pytest.raises(NeedsAuthorization):
            tokens.present(notes)
        assert states() == ["needs_sign_in"]
        gate.set()
        shown = late.result(60)
    assert shown.version == 2 and service.ledger.living(token(shown))
    assert grant().renewable and states() == ["connected"]


def test_a_store_that_can_not_be_written_just_then_loses_no_token(
    notes: Integration, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    left(-1)
    service.faults.hold_answer = gate = threading.Event()
    refused = threading.Event()
    caplog.handler.addFilter(lambda record: refused.set() or True)

    def ask() -> Presented:
        with database.connection_context():
            database.execute_sql("SET lock_timeout = 20" if databases.SERVER else "PRAGMA busy_timeout = 20")
            return tokens.present(notes)

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(ask)
        while not service.refreshes:
            assert not late.done()
            threading.Event().wait(0.01)
        with writing():
            gate.set()
            assert refused.wait(60)
        shown = late.result(60)
    assert shown.version == 2 and token(shown) == grants.opened(grant()).access


# More scope, and giving it all back


def test_more_scope_is_asked_for_once(notes: Integration, service: Service) -> None:
    with writing():
        assert grants.demand(notes.id, "admin notes.read") is True
        assert grants.demand(notes.id, "audit") is True
        assert grants.demand(notes.id, "audit") is True
        assert grants.demand(notes.id, "notes.read notes.write") is False, "it has that: a loop otherwise"
        assert grants.demand(notes.id, "") is False
        assert grants.demand(notes.id + 1, "admin") is False
    assert set(grant().needed_scope.split()) == {"admin", "audit", "notes.read"}
    assert Entry.select().where(Entry.action == "connection.needs_scope").count() == 2


def test_a_server_that_demands_without_end_fills_neither_row_nor_log(
    notes: Integration, service: Service
) -> None:
    for number in range(300):
        with writing():
            grants.demand(notes.id, f"right-number-{number} more\x00 “odd”")
    needed = grant().needed_scope
    assert "right-number-0 " in needed and len(needed) <= 2000
    assert "\x00" not in needed and "odd" not in needed
    assert Entry.select().where(Entry.action == "connection.needs_scope").count() < 150


@pytest.mark.parametrize(
    ("status", "challenge", "scope"),
    [
        (403, 'Bearer error="insufficient_scope", scope="a b"', "a b"),
        (403, 'Bearer error="insufficient_scope"', ""),
        (403, 'Bearer error="invalid_token", scope="a"', None),
        (403, "", None),
        (401, 'Bearer error="insufficient_scope", scope="a"', None),
    ],
)
def test_what_a_refusal_demands(status: int, challenge: str, scope: str | None) -> None:
    error = NeedsAuthorization("No.", http_status=status, challenge=challenge)
    assert grants.demanded_scope(error) == scope


@pytest.mark.parametrize("method", ["none", "basic", "post"])
def test_given_back(store: None, method: str) -> None:
    with authority(assigned=method) as service:
        notes = connected(service)
        old = grants.opened(grant())
        assert grants.give_back(grants.held(notes)) == "revoked"
        assert service.ledger.living(old.access) is None
        assert not service.ledger.refresh[old.refresh].family.alive
        assert service.revocations == 2


@pytest.mark.parametrize(("fault", "words"), [("absent", "not offered"), ("trouble", "503")])
def test_giving_back_may_fail_and_is_told(store: None, fault: str, words: str) -> None:
    with authority(revocation=fault) as service:
        notes = connected(service)
        said = grants.give_back(grants.held(notes))
        assert words in said
        assert not [secret for secret in service.secrets if secret in said]
        with writing():
            grants.forget(notes)
        assert grants.give_back(grants.held(notes)) == "nothing"


def test_a_token_in_its_place_gives_the_old_sign_in_back(notes: Integration, service: Service) -> None:
    old = grants.opened(grant())
    ann, _ = somebody()
    elsewhere = grants.opened(Grant.of(connected(service, "other"))).access  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        connections.save_headers(notes, "bearer", [headers.bearer("not a living token")], ann)
    assert service.revocations == 0 and service.ledger.living(old.access), "it stays until another has worked"
    connections.save_headers(notes, "bearer", [headers.bearer(elsewhere)], ann)
    assert service.ledger.living(old.access) is None and not service.ledger.refresh[old.refresh].family.alive
    assert service.ledger.living(elsewhere) and Grant.of(notes) is None
    said = Entry.get(Entry.action == "connection.given_back")
    assert "revoked" in said.details and old.refresh not in said.details
