"""What befalls a machine, done to the real program: the state is said to people and programs, no call runs that
could not be written down, nothing is lost, and what is mended goes on by itself."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import databases
from tests.databases import on_sqlite_only
from tests.house import PASSWORD, House, text_of
from tests.serving import Gatehouse, Process, free_port, gatehouse, listens, practice_server
from tests.upstream import certificates
from tests.waiting import until

NOTE = {"ticket_id": "T-1041", "text": "written by an agent"}


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with practice_server(tmp_path_factory.mktemp("practice")) as url:
        yield url


def settled(house: House) -> None:
    house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")


def get(running: Gatehouse, path: str) -> httpx2.Response:
    return httpx2.get(running.url + path, timeout=60, trust_env=False)


def ready(running: Gatehouse) -> dict[str, Any]:
    """What /readyz says, with the status it says it with."""
    reply = get(running, "/readyz")
    return {"code": reply.status_code} | reply.json()


def each(running: Gatehouse) -> list[dict[str, Any]]:
    """What every worker says, each asked alone: who asks as often as there are may hear one of them each time."""
    found = []
    for number in range(running.count):
        with running.only(number):
            found.append(ready(running))
    return found


def wait_for(running: Gatehouse, reason: str) -> None:
    """503 with this reason, from every worker."""

    def said() -> bool:
        return all(one["code"] == 503 and one["reasons"] == [reason] for one in each(running))

    until(said, f"not ready: {reason} (it says {ready(running)})", 120)


def wait_ready(running: Gatehouse) -> None:
    until(lambda: all(one["code"] == 200 for one in each(running)), "ready again", 120)


def notes(practice: str) -> int:
    tickets = httpx2.get(f"{practice}/state", timeout=60, trust_env=False).json()["tickets"]
    (ticket,) = [ticket for ticket in tickets if ticket["id"] == "T-1041"]
    return len(ticket["notes"])


def connected(house: House, practice: str) -> str:
    settled(house)
    house.run("add-server", f"{practice}/open/mcp", "--name", "desk", "--allow-private")
    house.run("set-policy", "mcp:desk:add_ticket_note", "auto")
    return house.agent("loader")


def rows(house: House) -> int:
    return len([row for row in house.listed("activity", "--limit", "100000") if row["kind"] == "call"])


# --- disk


@contextmanager
def largest_file(running: Gatehouse, size: int) -> Iterator[None]:
    """Files of the workers grow no further, as on a full disk."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in running.workers()}
    for pid, (_, most) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        for pid, limit in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


@on_sqlite_only
def test_a_disk_that_takes_nothing_more(tmp_path: Path, practice: str) -> None:
    with gatehouse(tmp_path) as running:
        house = running.house
        key = connected(house, practice)
        with house.browser() as ann:
            assert "error" not in house.call(key, "desk__list_tickets", {})
            logged, written = rows(house), notes(practice)
            with largest_file(running, (running.data / "gatehouse.db-wal").stat().st_size):
                wait_for(running, "disk_error")
                for tool, arguments in (("desk__list_tickets", {}), ("desk__add_ticket_note", NOTE)):
                    answer = house.call(key, tool, arguments)
                    assert "could not write this call down, so it has not run" in answer["error"]["message"]
                home = ann.get("/")
                assert home.status_code == 200 and "Calls are stopped" in home.text
                assert "can&#39;t be written or read" in home.text and "mounted and healthy" in home.text
                form = ann.get("/login")  # what writes is refused in the same words
                assert form.status_code in (200, 503)
            wait_ready(running)
            assert "error" not in house.call(key, "desk__add_ticket_note", NOTE)
            assert notes(practice) == written + 1 and rows(house) == logged + 1
            assert "Calls are stopped" not in ann.get("/").text
        assert "whole" in house.run("verify-log").stdout


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=False)
    if made.returncode:
        pytest.skip("only root can make a small disk here; the limit on files above stands for it")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@on_sqlite_only
def test_a_full_disk_is_named_and_room_on_it_is_enough(tmp_path: Path, practice: str) -> None:
    with small_disk(tmp_path / "data", "8m"), gatehouse(tmp_path) as running:
        house = running.house
        key = connected(house, practice)
        written = notes(practice)
        with (tmp_path / "data" / "filler").open("wb", buffering=0) as filler:
            for size in (65536, 512):
                try:
                    while filler.write(b"x" * size) == size:
                        pass
                except OSError:
                    continue
        answered = [house.call(key, "desk__add_ticket_note", NOTE) for _ in range(3)]
        wait_for(running, "disk_full")
        answered.append(house.call(key, "desk__add_ticket_note", NOTE))
        assert "has not run" in answered[-1]["error"]["message"]
        (tmp_path / "data" / "filler").unlink()
        wait_ready(running)
        assert ready(running)["warnings"] == ["disk_low"]
        assert "error" not in house.call(key, "desk__add_ticket_note", NOTE)
        ran = [one for one in answered if "error" not in one]
        assert notes(practice) == written + len(ran) + 1
        assert "whole" in house.run("verify-log").stdout


# --- the key file


def test_a_key_file_that_is_missing_at_the_start(tmp_path: Path) -> None:
    with gatehouse(tmp_path) as running:
        settled(running.house)
        running.stop()
        kept = (running.data / "secret.key").rename(tmp_path / "kept")
        running.up()
        wait_for(running, "key_missing")
        assert get(running, "/healthz").status_code == 200
        page = get(running, "/settings/general")
        assert page.status_code == 503 and "The key file secret.key is missing" in page.text
        assert "Put your own copy of it back." in page.text and str(tmp_path) not in page.text
        call = running.house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, "gk_none")
        assert call.status_code == 503 and call.json()["error"]["data"]["gatehouse/error"]["retry"] == "later"
        refused = running.house.run("servers", check=False)
        assert refused.code == 1 and refused.stderr.count("\n") == 1 and "is missing" in refused.stderr
        assert not (running.data / "secret.key").exists(), "a fresh key would lose every sign-in"
        kept.rename(running.data / "secret.key")
        wait_ready(running)
        with running.house.browser() as ann:
            assert ann.get("/").status_code == 200


def test_a_key_file_that_others_can_read_at_the_start(tmp_path: Path) -> None:
    with gatehouse(tmp_path, workers=1) as running:
        settled(running.house)
        running.stop()
        (running.data / "secret.key").chmod(0o640)
        running.up()
        wait_for(running, "key_open")
        assert "Run: chmod 600 secret.key" in get(running, "/").text
        (running.data / "secret.key").chmod(0o600)
        wait_ready(running)


def test_a_key_file_that_goes_away_while_it_runs(tmp_path: Path) -> None:
    with gatehouse(tmp_path) as running:
        settled(running.house)
        with running.house.browser() as ann:
            kept = (running.data / "secret.key").rename(tmp_path / "kept")
            assert ready(running) == {"code": 200, "status": "ready", "warnings": ["key_missing"]}
            assert "before you restart Gatehouse" in ann.get("/").text
            kept.rename(running.data / "secret.key")
            assert ready(running) == {"code": 200, "status": "ready"}
            assert "key file" not in ann.get("/").text


def test_a_key_file_of_somebody_else(tmp_path: Path) -> None:
    with gatehouse(tmp_path, workers=1) as running:
        settled(running.house)
        with running.house.browser() as ann:
            kept = (running.data / "secret.key").read_bytes()
            (running.data / "secret.key").write_bytes(b"A" * 43 + b"=\n")
            wait_for(running, "key_wrong")
            assert "can&#39;t be opened with this key file" in ann.get("/").text
            (running.data / "secret.key").write_bytes(kept)
            wait_ready(running)


# --- the database


@on_sqlite_only
def test_a_database_that_may_not_be_written(tmp_path: Path) -> None:
    with gatehouse(tmp_path, workers=1) as running:
        settled(running.house)
        if os.geteuid() == 0:  # root that minds the modes of files
            without = "-dac_override,-dac_read_search"
            running.command[:0] = ["setpriv", f"--bounding-set={without}", "--inh-caps=-all"]
        running.stop()
        database = running.data / "gatehouse.db"
        database.chmod(0o400)
        running.up()
        wait_for(running, "database_read_only")
        assert "it is read-only" in get(running, "/").text
        database.chmod(0o600)
        wait_ready(running)
        with running.house.browser() as ann:
            database.chmod(0o400)
            wait_for(running, "database_read_only")
            assert "right to write it and its folder" in ann.get("/").text
            database.chmod(0o600)
            wait_ready(running)


@on_sqlite_only
def test_a_damaged_database_gives_way_to_a_backup(tmp_path: Path) -> None:
    with gatehouse(tmp_path) as running:
        settled(running.house)
        running.house.run("backup", str(tmp_path / "copy.db"))
        running.stop()
        (running.data / "gatehouse.db").write_bytes(b"not a database " * 5000)
        running.up()
        wait_for(running, "database_damaged")
        assert "The database is damaged." in get(running, "/").text
        refused = running.house.run("servers", check=False)
        assert refused.code == 1 and "restore PATH" in refused.stderr and "Traceback" not in refused.stderr
        running.house.run("restore", str(tmp_path / "copy.db"))
        wait_ready(running)
        assert len(list(running.data.glob("gatehouse.db.before-*"))) >= 1
        with running.house.browser() as ann:
            assert ann.get("/").status_code == 200


def test_a_database_of_a_newer_gatehouse(tmp_path: Path) -> None:
    with gatehouse(tmp_path, workers=1) as running:
        settled(running.house)
        running.stop()
        with_database(running, "INSERT INTO schema_migration (name, applied) VALUES ('9999_x', '2031-01-01')")
        running.up()
        wait_for(running, "newer_schema")
        assert "written by a newer Gatehouse" in get(running, "/").text
        assert running.house.run("tools", check=False).code == 1
        with_database(running, "DELETE FROM schema_migration WHERE name = '9999_x'")
        wait_ready(running)


def with_database(running: Gatehouse, statement: str) -> None:
    """As another program does it."""
    db = databases.store.connect(running.data, "")
    with db.connection_context():
        db.execute_sql(statement)
    db.let_go()


def test_another_program_that_holds_the_database(tmp_path: Path) -> None:
    with gatehouse(tmp_path, workers=1) as running:
        settled(running.house)
        with databases.locked(running.data):
            wait_for(running, "database_busy")
        wait_ready(running)


@on_sqlite_only
def test_a_box_with_nothing_but_a_backup_and_its_key(tmp_path: Path, practice: str) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new" / "data").mkdir(parents=True)
    with gatehouse(tmp_path / "old", workers=1) as running:
        key = connected(running.house, practice)
        running.house.run("backup", str(tmp_path / "copy.db"))
        shutil.copy(running.data / "secret.key", tmp_path / "new" / "data" / "secret.key")
    with gatehouse(tmp_path / "new", workers=1) as running:
        running.stop()
        running.house.run("restore", str(tmp_path / "copy.db"))
        running.up()
        with running.house.browser() as ann:
            assert "/settings/integrations/desk" in ann.get("/settings/integrations").text
        assert "T-1041" in text_of(running.house.call(key, "desk__list_tickets", {}))


# --- somebody else's certificate


@contextmanager
def https(port: int, folder: Path, days: tuple[int, int]) -> Iterator[None]:
    """The practice server behind a certificate that is valid for these days from today."""
    issued = certificates.issue("localhost", certificates.private_authority(), days=days)
    certificates.server_side(folder, issued)
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "webapp.practice:create_app",
        "--port",
        str(port),
    ]
    server = Process([*command, "--ssl-certfile", str(folder / "server.pem")], folder / "https.log")
    try:
        server.start()
        server.wait_until(lambda: listens(port), "it listened")
        yield
    finally:
        server.kill_group()


def test_a_server_whose_certificate_runs_out(tmp_path: Path) -> None:
    port, ca = free_port(), certificates.ca_file(tmp_path)
    with gatehouse(tmp_path, workers=1, CA_FILE=ca) as running:
        house = House(running.url, running.data, {"GATEHOUSE_DATA": str(running.data), "CA_FILE": ca})
        settled(house)
        with https(port, tmp_path, (-2, 30)):
            house.run("add-server", f"https://localhost:{port}/open/mcp", "--name", "desk", "--allow-private")
            tools = len(house.listed("tools", "desk"))
        with https(port, tmp_path, (-60, -1)), house.browser() as ann:
            key = house.agent("loader")
            assert "can't be reached" in text_of(house.call(key, "desk__list_tickets", {}))
            assert "has expired" in house.run("sync", "desk", check=False).stderr
            home = ann.get("/").text
            assert "The certificate of localhost" in home and "has expired" in home
            assert ready(running)["code"] == 200, "one server's certificate stops nobody else"
        with https(port, tmp_path, (-2, 30)):
            house.run("sync", "desk")
            assert "T-1041" in text_of(house.call(key, "desk__list_tickets", {}))
            assert len(house.listed("tools", "desk")) == tools
