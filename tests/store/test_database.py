"""What the store promises: one schema, an append-only log, secrets that open only where they belong."""

from __future__ import annotations

from pathlib import Path

import pytest
from peewee import DatabaseError
from playhouse.schema_diff import diff_models

from tests.databases import tamper
from webapp.services import audit
from webapp.services.audit import COMMAND
from webapp.store.database import StoreProblem, open_store, writing
from webapp.store.fields import now
from webapp.store.models import MODELS, Approval, Entry, database
from webapp.store.secrets import KeyProblem


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
