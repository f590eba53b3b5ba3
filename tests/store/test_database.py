"""What the store promises: one schema, an append-only log, secrets that open only where they belong."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from peewee import DatabaseError, OperationalError
from playhouse.cysqlite_ext import CySqliteDatabase
from playhouse.migrations import Runner
from playhouse.schema_diff import diff_models

from tests import databases
from tests.databases import on_postgresql_only, on_sqlite_only, tamper
from webapp.services import audit
from webapp.services.audit import COMMAND
from webapp.store import copies, sqlite
from webapp.store.database import MIGRATIONS, StoreProblem, let_go, open_store, writing
from webapp.store.fields import now
from webapp.store.models import MODELS, Approval, Connection, Entry, Integration, User, database, state
from webapp.store.older import as_file
from webapp.store.secrets import KeyProblem, read_keys, vault, write_keys


@pytest.fixture
def data(tmp_path: Path) -> Path:
    open_store(tmp_path / "data")
    return tmp_path / "data"


def rows(count: int) -> None:
    with database.connection_context(), writing():
        for number in range(count):
            audit.record("user.renamed", COMMAND, details={"number": number})


def test_the_migrations_make_exactly_the_models(data: Path) -> None:
    with database.connection_context():
        assert not diff_models(database.obj, MODELS)


def test_who_waits_for_another_machine_lets_go_of_its_connection(data: Path) -> None:
    with let_go():
        assert database.is_closed()
    assert database.is_closed(), "where none was open, none is opened"
    with database.connection_context():
        with database.connection_context(), let_go():
            assert database.is_closed()
        assert not database.is_closed()
        with writing(), pytest.raises(OperationalError), let_go():
            raise AssertionError("no network inside a transaction")
        assert Entry.select().count() == 0
    assert database.is_closed()


def test_a_database_of_a_newer_version_is_refused(data: Path) -> None:
    with database.connection_context():
        database.execute_sql(
            "INSERT INTO schema_migration (name, applied) VALUES ('9999_future', '2031-01-01')"
        )
    with pytest.raises(StoreProblem, match="newer Gatehouse"):
        open_store(data)


@pytest.mark.parametrize("statement", ["UPDATE entry SET actor = 'x'", "DELETE FROM entry WHERE id = 1"])
def test_the_log_takes_no_later_change(data: Path, statement: str) -> None:
    rows(1)
    with database.connection_context(), pytest.raises(DatabaseError, match="append-only"):
        database.execute_sql(statement)


@pytest.mark.parametrize(("tampering", "first_bad"), [
    ("UPDATE entry SET actor = 'somebody else' WHERE id = 3", 3),
    ("UPDATE entry SET details = '{}' WHERE id = 2", 2),
    ("DELETE FROM entry WHERE id = 2", 3),
    ("UPDATE entry SET id = 9 WHERE id = 5", 9),
    ("UPDATE entry SET id = CASE id WHEN 2 THEN -3 WHEN 3 THEN -2 ELSE id END; UPDATE entry SET id = abs(id)", 2),
])  # fmt: skip
def test_tampering_is_named_by_its_first_row(data: Path, tampering: str, first_bad: int) -> None:
    rows(5)
    with database.connection_context():
        assert audit.verify().intact and audit.verify().rows == 5
        tamper(*tampering.split(";"))
        assert audit.verify().first_bad == first_bad


def test_a_cut_tail_shows_against_a_head_kept_elsewhere(data: Path) -> None:
    rows(5)
    with database.connection_context():
        head = audit.verify().head
        tamper("DELETE FROM entry WHERE id = 5")
        cut = audit.verify()
        assert cut.intact and cut.head != head


def test_control_characters_stay_out_of_the_log(data: Path) -> None:
    with database.connection_context(), writing():
        audit.append([audit.Row("call", audit.Actor("agent", "a\r\nb\x1b[31m"), "call", tool="t\u202e")])
    with database.connection_context():
        entry = Entry.get()
        assert (entry.actor, entry.tool) == ("a\\x0d\\x0ab\\x1b[31m", "t\\x202e")


def approval(name: str) -> Approval:
    return Approval.create(
        id=name, agent_name="a", catalogue_name="t", arguments=Approval.arguments.seal(name, {"of": name}),
        arguments_digest="", definition_digest="", expires_at=now(),
    )  # fmt: skip


def test_a_secret_opens_only_in_its_own_row(data: Path) -> None:
    with database.connection_context():
        mine, other = approval("one"), approval("two")
        assert Approval.arguments.open("one", mine.arguments) == {"of": "one"}
        with pytest.raises(KeyProblem, match="refused"):
            Approval.arguments.open("one", other.arguments)


def test_another_key_file_opens_nothing_and_says_so(data: Path) -> None:
    with database.connection_context():
        sealed = approval("one").arguments
    (data / "secret.key").unlink()
    open_store(data)
    with pytest.raises(KeyProblem, match="can't be opened with this key file"):
        Approval.arguments.open("one", sealed)


# --- upgrades

OF_OLD = """
from peewee import *
from datetime import datetime

class OfOld(Model):
    at = DateTimeField(null=True)
    blob = BlobField(null=True)
    flag = BooleanField(null=True)
    big = BigIntegerField(null=True)
    real = FloatField(null=True)
    text = TextField(null=True)
    class Meta:
        legacy_table_names = False

def up(migrator, db):
    with db.bind_ctx([OfOld]):
        db.create_tables([OfOld])
        OfOld.create(at=datetime(2026, 2, 3, 4, 5, 6, 700), blob=b"\\x00\\xff", flag=True, big=2**40, real=0.5, text="")
        OfOld.insert_many([{"flag": False}] * 2000).execute()
"""


def test_whose_sign_ins_they_are_is_read_from_the_log(data: Path) -> None:
    """The last word counts, whoever it was; what the log no longer tells stays open."""
    with database.connection_context():
        ann, tom = (
            User.create(email=f"{who}@example.com", password_hash="", role="admin") for who in ("ann", "tom")
        )
        by = {"desk": [ann, tom], "halo": [tom, None], "docs": [ann], "old": []}
        for name, people in by.items():
            row = Integration.create(kind="server", name=name, title=name)
            Connection.create(integration=row, kind="oauth")
            for who in people:
                actor = audit.Actor("user", who.email, who.id) if who else COMMAND
                with writing():
                    audit.record("connection.replaced", actor, integration=name)
        up = runpy.run_path(str(MIGRATIONS / "0026_given_by.py"))["up"]
        up(None, SimpleNamespace(execute_sql=lambda sql: "ALTER" in sql or database.execute_sql(sql)))
        found = {one.integration.name: one.given_by for one in Connection.select()}
        assert found == {"desk": tom, "halo": None, "docs": ann, "old": None}


def older(data: Path, migrations: int, folder: Path) -> list[str]:
    """A database as the first so many migrations left it, with a row of somebody and a key in use."""
    names = [path.name for path in sorted(MIGRATIONS.glob("0*.py"))]
    folder.mkdir()
    for name in names[:migrations]:
        shutil.copy(MIGRATIONS / name, folder)
    data.mkdir(mode=0o700)
    databases.empty(data)
    vault.unlock(data / "secret.key")
    db = databases.store.connect(data, "")
    with db.connection_context():
        Runner(db, str(folder)).up()
        sealed = vault.seal("state:log_key", "00" * 32).decode()
        db.execute_sql(
            "INSERT INTO state (key, value) VALUES ('log_key', " + db.param + ")", (json.dumps(sealed),)
        )
        db.execute_sql("INSERT INTO state (key, value) VALUES ('mark', '\"of old\"')")
    db.let_go()
    return [name.removesuffix(".py") for name in names]


@pytest.mark.parametrize("migrations", [1, 2, 5])
def test_an_older_database_is_copied_before_its_upgrade(tmp_path: Path, migrations: int) -> None:
    names = older(tmp_path / "data", migrations, tmp_path / "migrations")
    open_store(tmp_path / "data")
    with database.connection_context():
        assert not diff_models(database.obj, MODELS) and state("mark") == "of old"
    (copy,) = copies.found_in(tmp_path / "data" / "backups")
    assert copy.occasion == names[migrations] and copy.path.stat().st_mode & 0o777 == 0o600
    open_store(tmp_path / "data")
    assert len(copies.found_in(tmp_path / "data" / "backups")) == 1
    with reading(copy.path) as kept:
        assert applied(kept) == names[:migrations], "as it was"
    open_store(tmp_path / "data", f"sqlite:///{copy.path}", tmp_path / "elsewhere")
    with database.connection_context():
        assert not diff_models(database.obj, MODELS) and state("mark") == "of old"


@contextmanager
def reading(file: Path) -> Iterator[Any]:
    db = CySqliteDatabase(str(file))
    with db.connection_context():
        yield db


def applied(db: Any) -> list[str]:
    return [row[0] for row in db.execute_sql("SELECT name FROM schema_migration ORDER BY name").fetchall()]


def test_without_a_copy_there_is_no_upgrade(tmp_path: Path) -> None:
    names = older(tmp_path / "data", 2, tmp_path / "migrations")
    (tmp_path / "data" / "backups").touch()
    with pytest.raises(StoreProblem, match="could not be copied before its upgrade"):
        open_store(tmp_path / "data")
    with database.connection_context():
        assert applied(database.obj) == names[:2] and state("mark") == "of old"


def test_an_upgrade_that_fails_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = older(tmp_path / "data", 2, tmp_path / "migrations")
    broken = tmp_path / "broken"
    shutil.copytree(MIGRATIONS, broken)
    (broken / "9999_broken.py").write_text("def up(migrator, db):\n    db.execute_sql('no SQL at all')\n")
    monkeypatch.setattr("webapp.store.database.MIGRATIONS", broken)
    for _ in range(2):
        with pytest.raises(DatabaseError):
            open_store(tmp_path / "data")
        assert len(copies.found_in(tmp_path / "data" / "backups")) == 1, "tries must not fill the disk"
    with database.connection_context():
        assert applied(database.obj) == names[:2]
    database.close()
    monkeypatch.undo()
    open_store(tmp_path / "data")
    with database.connection_context():
        assert state("mark") == "of old" and not diff_models(database.obj, MODELS)


@on_postgresql_only
def test_a_copy_before_an_upgrade_has_every_value(tmp_path: Path) -> None:
    """Also of columns and tables that nobody knows any more, and more rows than are read at once."""
    older(tmp_path / "data", 2, tmp_path / "migrations")
    (tmp_path / "migrations" / "0003_of_old.py").write_text(OF_OLD)
    db = databases.store.connect(tmp_path / "data", "")
    with db.connection_context():
        runner = Runner(db, str(tmp_path / "migrations"))
        runner.up()
        paths = [Path(row.path) for row in runner.status()]
        (tmp_path / "copy.db").touch()
        as_file(db, paths, tmp_path / "copy.db")
    db.let_go()
    with reading(tmp_path / "copy.db") as kept:
        assert len(kept.execute_sql("SELECT * FROM of_old").fetchall()) == 2_001
        row = kept.execute_sql("SELECT at, blob, flag, big, real FROM of_old WHERE id = 1").fetchone()
        assert tuple(row) == ("2026-02-03 04:05:06.000700", b"\x00\xff", 1, 2**40, 0.5)
        assert kept.execute_sql("SELECT count(*) FROM of_old WHERE text IS NULL").fetchone()[0] == 2_000


def test_a_fresh_database_needs_no_copy(data: Path) -> None:
    assert not (data / "backups").exists()


@pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 51, 2)])
def test_a_sqlite_that_can_damage_a_shared_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int]
) -> None:
    monkeypatch.setattr("cysqlite.sqlite_version_info", version)
    with pytest.raises(StoreProblem, match="can damage a database"):
        sqlite.Sqlite(tmp_path / "gatehouse.db")
    assert not (tmp_path / "gatehouse.db").exists()


# --- the key file


def test_a_missing_key_is_not_made_anew_beside_a_database_in_use(data: Path) -> None:
    rows(1)
    kept = (data / "secret.key").rename(data / "elsewhere")
    with pytest.raises(KeyProblem, match="is missing, and this database is sealed with it"):
        open_store(data)
    assert not (data / "secret.key").exists()
    kept.rename(data / "secret.key")
    open_store(data)


def test_another_key_than_the_databases_is_refused_at_the_start(data: Path) -> None:
    rows(1)
    write_keys(data / "secret.key", [Fernet.generate_key()])
    with pytest.raises(KeyProblem, match="can't be opened with this key file"):
        open_store(data)


def test_the_right_key_among_several_will_do(data: Path) -> None:
    rows(1)
    keys = read_keys(data / "secret.key")
    write_keys(data / "secret.key", [Fernet.generate_key(), *keys])
    open_store(data)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644])
def test_a_key_file_that_others_may_use_is_refused(data: Path, mode: int) -> None:
    (data / "secret.key").chmod(mode)
    with pytest.raises(KeyProblem, match="can be read by others") as refused:
        open_store(data)
    assert refused.value.next_step.startswith("Run: chmod 600")


@pytest.mark.parametrize(
    ("content", "word"), [(b"", "empty"), (b"\n", "empty"), (b"abc", "damaged"), (b"\xff", "damaged")]
)
def test_a_key_file_that_is_no_key_is_refused(data: Path, content: bytes, word: str) -> None:
    (data / "secret.key").write_bytes(content)
    with pytest.raises(KeyProblem, match=f"is {word}"):
        open_store(data)


@on_sqlite_only
def test_nobody_else_can_read_what_is_kept(tmp_path: Path) -> None:
    """Also in a folder that was there before, with another mode."""
    made, given = tmp_path / "made", tmp_path / "given"
    given.mkdir(mode=0o755)
    for folder in (made, given):
        open_store(folder)
        with database.connection_context(), writing():
            audit.record("user.renamed", COMMAND)
            assert (folder / "gatehouse.db-wal").exists()
            kept = [path for path in folder.iterdir() if path.stat().st_size]
            assert len(kept) >= 3
            assert {path.name: path.stat().st_mode & 0o077 for path in kept} == dict.fromkeys(
                (path.name for path in kept), 0
            )
    assert made.stat().st_mode & 0o777 == 0o700
