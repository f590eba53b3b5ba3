"""Many processes and one sign-in: renewed once for all, and no death of a process loses it without a word."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import databases
from tests.authority import Service, authority
from tests.signing_in import connected, sign_in
from webapp.services import integrations
from webapp.store.database import open_store
from webapp.store.fields import now
from webapp.store.models import Entry, Grant, Integration, database

ROOT = Path(__file__).parents[2]


@pytest.fixture
def service() -> Iterator[Service]:
    with authority() as one:
        yield one


@pytest.fixture
def notes(service: Service, tmp_path: Path) -> Iterator[Integration]:
    open_store(tmp_path / "data")
    with database.connection_context():
        yield connected(service)


@contextmanager
def askers(data: Path, count: int, *, patience: float = 60) -> Iterator[list[subprocess.Popen[str]]]:
    """`patience`: seconds until they take who holds the lease for dead."""
    command = [sys.executable, "-m", "tests.load.asker", str(data), "notes", str(patience)]
    env = os.environ | {"DATABASE_URL": databases.url(data)}
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env)
        for _ in range(count)
    ]
    try:
        assert {heard(asker) for asker in started} == {"ready"}
        yield started
    finally:
        for asker in started:
            asker.kill()
            asker.communicate()


def ask(asker: subprocess.Popen[str]) -> None:
    assert asker.stdin
    asker.stdin.write("\n")
    asker.stdin.flush()


def heard(asker: subprocess.Popen[str]) -> str:
    assert asker.stdout
    return asker.stdout.readline().strip()


def run_out() -> None:
    """The access token's time is over."""
    Grant.update(expires_at=now()).execute()


def test_six_processes_renew_an_expired_token_once(
    service: Service, notes: Integration, tmp_path: Path
) -> None:
    run_out()
    service.expire_access_tokens()
    with askers(tmp_path / "data", 6) as six:
        for asker in six:
            ask(asker)
        assert [heard(asker) for asker in six] == ["2"] * 6
    assert (service.refreshes, service.reuse_detected) == (1, 0)
    assert Grant.of(notes).version == 2


def test_they_wait_for_a_slow_answer_and_share_it(
    service: Service, notes: Integration, tmp_path: Path
) -> None:
    run_out()
    service.faults.hold = held = threading.Event()
    service.arrived.clear()
    with askers(tmp_path / "data", 3) as three:
        for asker in three:
            ask(asker)
        assert service.arrived.wait(60)
        held.set()
        assert [heard(asker) for asker in three] == ["2"] * 3
    assert service.refreshes == 1


def killed_before_its_commit(service: Service, data: Path) -> None:
    """One asks, the service hands out new tokens, and nobody is there any more to receive them."""
    service.faults.hold_answer = held = threading.Event()
    before = service.refreshes
    with askers(data, 1) as (asker,):
        ask(asker)
        while service.refreshes == before:
            assert asker.poll() is None
            threading.Event().wait(0.01)
        asker.kill()
        asker.wait()
    held.set()
    service.faults.hold_answer = None


def test_killed_before_the_new_token_was_on_disk_it_recovers_where_the_old_one_still_works(
    service: Service, notes: Integration, tmp_path: Path
) -> None:
    service.faults.rotation = False
    run_out()
    killed_before_its_commit(service, tmp_path / "data")
    assert Grant.of(notes).version == 1
    run_out()
    with askers(tmp_path / "data", 1, patience=1) as (asker,):
        ask(asker)
        assert heard(asker) == "2"


def test_killed_before_the_new_token_was_on_disk_it_says_so_where_the_old_one_is_spent(
    service: Service, notes: Integration, tmp_path: Path
) -> None:
    run_out()
    killed_before_its_commit(service, tmp_path / "data")
    run_out()
    with askers(tmp_path / "data", 1, patience=1) as (asker,):
        for _ in range(2):
            ask(asker)
            assert heard(asker) == "NeedsAuthorization"
    assert service.reuse_detected == 1, "the second question asked nobody"
    notes = integrations.find("notes")
    assert notes.state == "needs_sign_in" and notes.state_reason.startswith("Sign-in expired.")
    assert Entry.select().where(Entry.action == "integration.state").count() == 1
    assert sign_in(service, notes).ended == "done"
    assert integrations.find("notes").state == "connected"


def test_killed_after_the_new_token_was_on_disk_the_others_go_on_with_it(
    service: Service, notes: Integration, tmp_path: Path
) -> None:
    run_out()
    with askers(tmp_path / "data", 2) as (first, second):
        ask(first)
        assert heard(first) == "2"
        first.kill()
        ask(second)
        assert heard(second) == "2"
    assert service.refreshes == 1
