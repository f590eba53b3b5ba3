"""Moving to PostgreSQL and back: everything arrives, or nothing does."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from config import ROOT
from tests import databases, postgres
from tests.browser.scene import scene
from tests.house import House
from tests.serving import gatehouse
from webapp.errors import InvalidInput, Refused, Stale
from webapp.services import accounts, agents, audit, backups, intents, relocation
from webapp.services.audit import COMMAND
from webapp.store import transfer
from webapp.store.database import open_store
from webapp.store.models import Agent, BulkChange, Entry, database

pytestmark = databases.on_sqlite_only


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.server() as address:
        yield address


@pytest.fixture
def fresh(server: str) -> Callable[[], str]:
    def make() -> str:
        name = f"new_{secrets.token_hex(6)}"
        with psycopg.connect(server, autocommit=True) as line:
            line.execute(f'CREATE DATABASE "{name}"')
        return urlsplit(server)._replace(path=f"/{name}").geturl()

    return make


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small house: a person, an agent, a change of many tools and the one that took it back, a log."""
    open_store(tmp_path / "data")
    with database.connection_context():
        accounts.create_user("ann@example.com", "Ann", "correct horse battery", "admin", COMMAND)
        agents.create("Claude", COMMAND)
        BulkChange.create(id="blk_b", by="ann@example.com", what="to Auto")
        BulkChange.create(id="blk_a", by="ann@example.com", what="back", undoes="blk_b")
    return tmp_path / "data"


def counted(url: str) -> int:
    with psycopg.connect(url) as line:
        rows = line.execute('SELECT count(*) FROM "user" UNION ALL SELECT count(*) FROM entry').fetchall()
        return sum(count for (count,) in rows)


def test_a_house_in_full_use_moves_and_goes_on(tmp_path: Path, fresh: Callable[[], str]) -> None:
    with scene(tmp_path / "data") as (house, values):
        key = house.agent("Mover")
        tools = house.listed("tools")
        head = house.run("verify-log").stdout.split("head ")[1].strip()
    url = fresh()
    old = House("", tmp_path / "data", {"GATEHOUSE_DATA": str(tmp_path / "data"), "DATABASE_URL": ""})
    said = old.run("move-to", url).stdout
    assert "compare equal" in said and head in said
    with gatehouse(tmp_path, workers=1, DATABASE_URL=url) as served:
        new = House(served.url, tmp_path / "data", old.env | {"DATABASE_URL": url})
        assert new.listed("tools") == tools
        assert "The log is whole" in new.run("verify-log").stdout
        assert "mcp:desk" in new.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, key).text
        with new.browser() as ann:
            assert "add ticket note" in ann.get(f"/approvals/{values['approval']}").text
        assert new.agent("Came later")
    assert "Came later" not in str(old.listed("activity"))
    assert old.listed("activity")[0]["action"] == "store.moved"
    assert urlsplit(url).netloc.partition("@")[0] not in str(old.listed("activity")[0])


def test_every_value_is_the_same_on_the_other_side(data: Path, fresh: Callable[[], str]) -> None:
    url = fresh()
    with database.connection_context():
        moved = relocation.move_to(url, data, COMMAND)
        assert (
            moved.rows == sum(one.select().count() for one in transfer.models()) - 1
        )  # what the old log says of it
    with psycopg.connect(url) as line:
        assert line.execute("SELECT undoes_id FROM bulk_change WHERE id = 'blk_a'").fetchone() == ("blk_b",)
        line.execute("UPDATE agent SET name = 'Clause'")
        line.commit()
    target = databases.store.Postgresql(url)
    with database.connection_context(), target.connection_context():
        found = transfer.differences(database.obj, target)
    target.close_all()
    assert any(one.startswith("agent differs from row 1 on") for one in found)


def test_a_database_in_use_and_a_running_gatehouse_are_refused(data: Path, fresh: Callable[[], str]) -> None:
    url = fresh()
    with database.connection_context():
        relocation.move_to(url, data, COMMAND)
        before = counted(url)
        with pytest.raises(Stale, match="in use"):
            relocation.move_to(url, data, COMMAND)
        intents.beat("somebody")
        with pytest.raises(Stale, match="running"):
            relocation.move_to(fresh(), data, COMMAND)
        with pytest.raises(InvalidInput, match="PostgreSQL database"):
            relocation.move_to("sqlite:////tmp/elsewhere.db", data, COMMAND)
    assert counted(url) == before


def test_a_log_that_was_changed_stays_where_it_is(data: Path, fresh: Callable[[], str]) -> None:
    url = fresh()
    with database.connection_context():
        databases.tamper("UPDATE entry SET actor = 'nobody' WHERE id = 1")
        with pytest.raises(Refused, match="from row 1 on"):
            relocation.move_to(url, data, COMMAND)
    assert counted(url) == 0


def test_a_move_that_is_killed_leaves_both_sides_as_they_were(data: Path, fresh: Callable[[], str]) -> None:
    url = fresh()
    target = databases.store.Postgresql(url)
    databases.store.migrate(target)
    target.close_all()
    with database.connection_context():
        rows = Entry.select().count()
    database.close()
    command = [sys.executable, "-m", "flask", "--app", "webapp", "move-to", url]
    env = os.environ | {"GATEHOUSE_DATA": str(data), "DATABASE_URL": ""}
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE state IN SHARE MODE")
        with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL) as move:
            while other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is None:
                assert move.poll() is None
                time.sleep(0.02)
            move.kill()
    assert counted(url) == 0
    open_store(data)
    with database.connection_context():
        assert Entry.select().where(Entry.action == "store.moved").count() == 0
        assert Entry.select().count() >= rows and audit.verify().intact
        assert relocation.move_to(url, data, COMMAND).rows > rows


def test_a_backup_of_postgresql_is_a_file_for_either_store(
    data: Path, tmp_path: Path, fresh: Callable[[], str]
) -> None:
    url, copy = fresh(), tmp_path / "copy.db"
    with database.connection_context():
        relocation.move_to(url, data, COMMAND)
    open_store(data, url)
    with database.connection_context():
        Agent.update(name="On PostgreSQL").execute()
        assert backups.backup(copy, COMMAND) == ""
        with pytest.raises(Stale, match="work with this database"):
            backups.restore(copy)
    assert sorted(path.name for path in tmp_path.glob("copy.db*")) == ["copy.db"]
    for other in ("", fresh()):
        open_store(data, other)
        backups.restore(copy)
        database.close()
        open_store(data, other)
        with database.connection_context():
            assert Agent.get().name == "On PostgreSQL" and audit.verify().intact
            agents.create("One more", COMMAND)
