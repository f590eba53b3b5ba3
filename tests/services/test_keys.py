"""Keys that turn without losing a secret, wherever they are interrupted."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from cryptography.fernet import Fernet

from config import ROOT
from tests import databases
from tests.house import PASSWORD, token_in
from tests.services.sealed import keep, opened, started
from tests.serving import gatehouse
from webapp.errors import Refused, Stale
from webapp.services import audit, keys
from webapp.services.audit import COMMAND
from webapp.store.database import writing
from webapp.store.models import Approval, Entry, database
from webapp.store.secrets import KeyProblem, read_keys, vault, write_keys

KILLS = 7
# Turns the key again and again until it is killed, and says so each time.
TURNING = """
import sys
from pathlib import Path
from webapp.services import keys
from webapp.services.audit import COMMAND
from webapp.store.database import open_store
from webapp.store.models import database
data = Path(sys.argv[1])
open_store(data, sys.argv[2])
keys.BITE = 7
with database.connection_context():
    while True:
        keys.rotate(data, COMMAND)
        print("turned", flush=True)
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    started(tmp_path / "data")
    with writing():
        audit.record("user.renamed", COMMAND)
    yield tmp_path / "data"
    database.close()


def all_open(names: list[str]) -> bool:
    return [opened(name) for name in names] == [f"canary-{name}" for name in names]


def test_a_new_key_opens_everything_and_the_old_one_nothing(data: Path) -> None:
    keep("one")
    before = read_keys(data / "secret.key")
    assert keys.rotate(data, COMMAND) == keys.Rotation(sealed=2)
    after = read_keys(data / "secret.key")
    assert len(after) == 1 and after != before
    assert opened("one") == "canary-one" and audit.verify().intact
    assert (data / "secret.key").stat().st_mode & 0o777 == 0o600
    write_keys(data / "secret.key", before)
    with pytest.raises(Refused):
        opened("one")


def test_more_rows_than_a_bite_are_all_sealed_anew(data: Path) -> None:
    names = [f"apr_{number}" for number in range(keys.BITE * 2 + 1)]
    with writing():
        for name in names:
            keep(name)
    assert keys.rotate(data, COMMAND).sealed == len(names) + 1
    assert all_open(names) and all(vault.is_newest(bytes(one.arguments)) for one in Approval.select())


def test_what_no_key_opens_stops_nothing(data: Path) -> None:
    keep("one")
    keep("two")
    Approval.update(arguments=Fernet(Fernet.generate_key()).encrypt(b"x")).where(
        Approval.id == "two"
    ).execute()
    assert keys.rotate(data, COMMAND) == keys.Rotation(sealed=2, lost=1)
    assert opened("one") == "canary-one"


STEPS = [
    "write_keys",
    "_seal_column",
    "_seal_all",
    "audit.record",
    "write_keys 2",
    "write_keys 3",
    "_resealed",
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_a_rotation_that_ends_at_any_step_still_opens_everything(
    data: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    names = ["one", "two", "three"]
    for name in names:
        keep(name)
    name, _, times = step.partition(" ")
    owner = audit if name == "audit.record" else keys
    real = getattr(owner, name.rpartition(".")[2])
    left = [int(times or 1)]

    def cut(*args: object, **named: object) -> object:
        left[0] -= 1
        if left[0] == 0 and not after:
            raise KeyboardInterrupt
        result = real(*args, **named)
        if left[0] == 0:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(owner, name.rpartition(".")[2], cut)
    with pytest.raises(KeyboardInterrupt):
        keys.rotate(data, COMMAND)
    monkeypatch.undo()
    assert all_open(names)
    keep("four")
    started(data)
    keys.rotate(data, COMMAND)
    assert all_open([*names, "four"]) and len(read_keys(data / "secret.key")) == 1 and audit.verify().intact


def test_killed_at_random_moments_nothing_is_lost(data: Path) -> None:
    names = [f"apr_{number}" for number in range(60)]
    with writing():
        for name in names:
            keep(name)
    database.close()
    rng, pause = random.Random(11), threading.Event()
    command = [sys.executable, "-c", TURNING, str(data), databases.url(data)]
    for _ in range(KILLS):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as turning:
            assert turning.stdout and turning.stdout.readline() == b"turned\n"
            pause.wait(rng.uniform(0, 0.15))
            turning.kill()
        started(data)
        assert all_open(names) and audit.verify().intact
        database.close()
    started(data)
    (data / "secret.key.1.new").touch()
    keys.rotate(data, COMMAND)
    assert all_open(names) and len(read_keys(data / "secret.key")) == 1
    assert Entry.select().where(Entry.action == "key.rotated").count() >= KILLS, (
        "whole rotations were among them"
    )
    assert [path.name for path in data.glob("secret.key.*")] == [], "no key is left lying about"


def test_two_at_once_are_one_after_the_other(data: Path) -> None:
    with keys._alone(data / "secret.key"), pytest.raises(Stale, match="being rotated already"):
        keys.rotate(data, COMMAND)


def test_a_key_that_came_meanwhile_is_not_taken_out(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else has added one by hand."""
    real, added = keys._seal_all, Fernet.generate_key()

    def seal() -> keys.Rotation:
        write_keys(data / "secret.key", [*read_keys(data / "secret.key"), added])
        return real()

    monkeypatch.setattr(keys, "_seal_all", seal)
    keys.rotate(data, COMMAND)
    assert added in read_keys(data / "secret.key")


def test_a_worker_notices_the_new_key_by_itself(data: Path) -> None:
    keep("one")
    path = data / "secret.key"
    write_keys(path, [Fernet.generate_key(), *read_keys(path)])
    keep("two")
    assert (opened("one"), opened("two")) == ("canary-one", "canary-two")


def test_a_key_that_comes_while_the_file_is_read_is_noticed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else this worker would go on sealing with a key that is about to be thrown away."""
    path, turned = data / "secret.key", False

    def read_and_turn(found: Path) -> list[bytes]:
        nonlocal turned
        keys = read_keys(found)
        if not turned:
            turned = True
            write_keys(found, [Fernet.generate_key(), *keys])
        return keys

    monkeypatch.setattr("webapp.store.secrets.read_keys", read_and_turn)
    vault.unlock(path)
    sealed = vault.seal("one", "canary")
    Fernet(read_keys(path)[0]).decrypt(sealed)


def test_another_box_of_the_same_database_waits_for_the_new_key_file(data: Path, tmp_path: Path) -> None:
    """`rotate-key` changes the file of the box where it runs. The other says so and changes nothing until it has it."""
    keep("one")
    url = databases.url(data) or f"sqlite:///{data / 'gatehouse.db'}"
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    shutil.copy2(data / "secret.key", other / "secret.key")
    before = read_keys(other / "secret.key")
    keys.rotate(data, COMMAND)
    with pytest.raises(KeyProblem, match="can't be opened with this key file"):
        started(other, url)
    assert read_keys(other / "secret.key") == before
    shutil.copy2(data / "secret.key", other / "secret.key")
    started(other, url)
    keep("two")
    assert all_open(["one"]) and audit.verify().intact
    started(data)
    assert opened("two") == "canary-two"


def test_running_workers_go_on_with_the_new_key(tmp_path: Path) -> None:
    """Forms of before, sign-ins and sealed arguments work on both workers, without a restart."""
    with gatehouse(tmp_path) as running:
        house = running.house
        house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        with house.browser() as ann:
            form = token_in(ann.get("/settings/general").text)
            before = (running.data / "secret.key").read_text()
            said = house.run("rotate-key").stdout
            assert (
                "running workers use already" in said and (running.data / "secret.key").read_text() != before
            )
            for which in range(2):
                with running.only(which), fresh(ann) as http:
                    assert http.get("/readyz").json() == {"status": "ready"}
                    answer = http.post("/settings/general/log-check", data={"csrf_token": form})
                    assert answer.status_code == 200 and "Whole" in answer.text


def fresh(browser: httpx2.Client) -> httpx2.Client:
    """The same visit over a new connection."""
    return httpx2.Client(
        base_url=browser.base_url,
        headers=browser.headers,
        cookies=browser.cookies,
        timeout=60,
        trust_env=False,
    )
