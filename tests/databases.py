"""Which store the tests run on: SQLite, or PostgreSQL where GATEHOUSE_TEST_DATABASE is the address of a server.

On PostgreSQL every data folder has a database of its own there, a copy of one that was migrated once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from webapp.store import database as store
from webapp.store import postgresql
from webapp.store.models import MODELS

SERVER = os.environ.get("GATEHOUSE_TEST_DATABASE", "")
# What `make test-postgres` leaves out, as it can't tell one store from another.
STORELESS = {
    "how servers are spoken to": ["upstream/*", "builtin/*", "load/test_chaos.py"],
    "how others' programs speak to us": ["conformance/*"],
    "how pages look and act; what they say is asked of either store by tests/routes": ["browser/*"],
    "brings a PostgreSQL of its own, wherever it runs": ["load/test_two_instances.py"],
    "functions without a store": [
        f"services/test_{name}.py"
        for name in ("addresses", "browsers", "changes", "counterparts", "export", "passwords", "remedies",
                     "schema_form", "screening", "seeding", "summaries", "tool_search", "visible")
    ],
    "servers and services for tests": ["test_authority.py", "test_practice.py", "test_practice_oauth.py"],
    "how bytes come in and go out": ["test_compression.py", "test_doorway.py"],
    "files, packages, commands": [
        f"test_{name}.py" for name in ("deploy", "layers", "make_run", "sbom", "security_page", "vendor", "version")
    ],
}  # fmt: skip
LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""
on_sqlite_only = pytest.mark.skipif(bool(SERVER), reason="it is about the file that SQLite keeps")
on_postgresql_only = pytest.mark.skipif(not SERVER, reason="it is about what PostgreSQL alone needs")
_of: dict[Path, str] = {}  # data folder → its database
_gone: list[
    str
] = []  # to be dropped. The first drop writes all that is in memory to disk, those after it do not.
DROPPED_TOGETHER = 20


def url(data: Path) -> str:
    """What DATABASE_URL says for this data folder; empty on SQLite."""
    return _url(_named(data)) if SERVER else ""


def is_open(data: Path) -> bool:
    """Whether the database of this data folder is the one that this process has open."""
    opened: str = store.database.database
    return opened == url(data) if SERVER else Path(opened).parent == data


def install() -> None:
    """From now on a store without an address is opened where the tests run."""
    if SERVER and store.connect is not _connect:
        store.connect = _connect


def copy(source: Path, target: Path) -> None:
    """A data folder with its database, which nobody has open."""
    shutil.copytree(source, target)
    if SERVER:
        _of[target.resolve()] = _clone(_named(source))


def migrated(data: Path) -> None:
    """A data folder with a database that has all its tables and nothing else, nor a key."""
    data.mkdir(mode=0o700)
    if not SERVER:
        file = data / store.DATABASE_FILE
        file.touch(mode=0o600)
        file.write_bytes(_file())


def empty(data: Path) -> None:
    """For a data folder that is to begin with no table at all."""
    if SERVER:
        _of[data.resolve()] = _clone("template0")


def forget_under(folder: Path) -> None:
    """The databases of data folders in there are no longer wanted."""
    _gone.extend(_of.pop(data) for data in list(_of) if data.is_relative_to(folder))
    if len(_gone) >= DROPPED_TOGETHER:
        _drop_gone()


def forget_all() -> None:
    forget_under(Path("/"))
    _drop_gone()


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Another program keeps everybody from writing."""
    if SERVER:
        with psycopg.connect(url(data)) as other:
            other.execute("SELECT pg_advisory_lock(%s)", (postgresql.WRITERS,))
            yield
        return
    # Not in this process: two libraries with locks on one file would not see each other's.
    command = [sys.executable, "-c", LOCK, str(data / store.DATABASE_FILE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout and locker.stdout.readline() == b"locked\n"
        yield
        locker.communicate(b"\n")


def can_be_written(data: Path) -> bool:
    """Whether nobody keeps everybody else from writing, for longer than a write takes. Not for the process that has
    it open, see above. What else may be wrong with it is no matter here."""
    if SERVER:
        with psycopg.connect(url(data)) as other:
            other.execute("SET lock_timeout = '500ms'")
            with contextlib.suppress(psycopg.errors.LockNotAvailable):
                other.execute("SELECT pg_advisory_lock(%s)", (postgresql.WRITERS,))
                return True
        return False
    with contextlib.closing(sqlite3.connect(data / store.DATABASE_FILE, timeout=0.5)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            return "locked" not in str(error)
    return True


def tamper(*statements: str) -> None:
    """As somebody who has the database, but not the key: past the triggers that guard the log."""
    guards = (
        "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal"
        if SERVER
        else "SELECT name, '' FROM sqlite_master WHERE type = 'trigger'"
    )
    for name, table in store.fetch(guards):
        store.execute(f"DROP TRIGGER {name}" + (f" ON {table}" if SERVER else ""))
    for statement in statements:
        store.execute(statement)


def damage(data: Path) -> list[str]:
    """What the store itself finds wrong with a database that nobody has open, in words."""
    db = store.connect(data, url(data))
    try:
        with db.connection_context():
            return [*(_damage_there(db) if SERVER else _damage_in_file(db)), *_orphans(db)]
    finally:
        db.let_go()


def _damage_in_file(db: Any) -> list[str]:
    said = [row[0] for row in db.execute_sql("PRAGMA integrity_check")]
    return [] if said == ["ok"] else said


def _damage_there(db: Any) -> list[str]:
    """Each row against each index that should have it. Raises where an index is no longer in order."""
    db.execute_sql("CREATE EXTENSION amcheck")
    here = "relnamespace = current_schema()::regnamespace"
    db.execute_sql(
        f"SELECT bt_index_check(oid, true) FROM pg_class WHERE relkind = 'i' AND {here}"
    ).fetchall()
    said = db.execute_sql(
        f"SELECT oid::regclass, msg FROM pg_class, verify_heapam(oid) WHERE relkind = 'r' AND {here}"
    )
    return [f"{table}: {message}" for table, message in said.fetchall()]


def _orphans(db: Any) -> list[str]:
    """Rows that refer to none."""
    found = []
    for model in MODELS:
        for field in model._meta.refs:
            there = field.rel_model.alias()
            known = there.select(getattr(there, field.rel_field.name))
            count = model.select().where(field.is_null(False), field.not_in(known)).bind(db).count()
            found += (
                [f"{count} of {model._meta.table_name}.{field.column_name} refer to nothing"] if count else []
            )
    return found


def _connect(data: Path, url_: str, real: Any = store.connect) -> Any:
    return real(data, url_ or url(data))


def _named(data: Path) -> str:
    """A process that a test started finds what the test has made by the environment it was given."""
    data = data.resolve()
    if data not in _of:
        _of[data] = _clone(_template())
    return _of[data]


@functools.cache
def _file() -> bytes:
    """Migrated once in this process, by the program's own migrations."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = store.connect(Path(folder), "")
        store.migrate(fresh)
        fresh.let_go()
        return Path(folder, store.DATABASE_FILE).read_bytes()


def _template() -> str:
    """Migrated by whoever comes first; the name says for which process tree, so that none is stale."""
    name = f"migrated_{os.environ.setdefault('GATEHOUSE_TEST_RUN', secrets.token_hex(4))}"
    with _server() as server:
        server.execute("SELECT pg_advisory_lock(77)")
        known = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if not known:
            server.execute(f'CREATE DATABASE "{name}_raw" TEMPLATE template0')
            fresh = store.Postgresql(_url(f"{name}_raw"))
            store.migrate(fresh)
            fresh.close_all()
            server.execute(f'ALTER DATABASE "{name}_raw" RENAME TO "{name}"')
    return name


def _clone(template: str) -> str:
    name = f"test_{secrets.token_hex(8)}"
    with _server() as server:
        gone = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        server.execute(gone, (template,))
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    return name


def _drop_gone() -> None:
    if not _gone:
        return
    with _server() as server:
        while _gone:
            server.execute(f'DROP DATABASE IF EXISTS "{_gone.pop()}" WITH (FORCE)')


def _server() -> psycopg.Connection[Any]:
    return psycopg.connect(SERVER, autocommit=True)


def _url(name: str) -> str:
    return urlsplit(SERVER)._replace(path=f"/{name}").geturl()
