"""PostgreSQL, for those who outgrow one box: several programs on one database, and the same promises as on SQLite.

Writers take turns, as they do on SQLite: a write transaction begins with one advisory lock that all programs of the
database share. So whatever is read inside a write transaction stays true until its commit, and the log has one order.
Readers wait for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from peewee import ImproperlyConfigured, OperationalError, PostgresqlDatabase, fn
from playhouse.pool import PooledPostgresqlDatabase

from webapp.store.following import CHANNEL, Follower
from webapp.store.problems import StoreProblem

OLDEST = 140000
# Any two numbers that no other program on this database uses for its own advisory locks.
WRITERS, MIGRATION = 0x6761746501, 0x6761746502
# As long as SQLite waits for its lock. A program that stands still in its turn is thrown out by the server.
OPTIONS = (
    "-c lock_timeout=10s -c idle_in_transaction_session_timeout=10s -c statement_timeout=120s -c timezone=UTC"
)
# Pages, background work and the writer of one worker together stay well below this.
MOST_CONNECTIONS = 40
IDLE_SECONDS = 300


class Postgresql(PooledPostgresqlDatabase):  # type: ignore[misc]
    DAY_OF_ROW = """date_trunc('day', "at")"""
    QUARTER_OF_ROW = """date_bin('15 minutes', "at", TIMESTAMP '2001-01-01')"""

    def __init__(self, url: str) -> None:
        super().__init__(
            url, prefer_psycopg3=True, max_connections=MOST_CONNECTIONS, stale_timeout=IDLE_SECONDS, timeout=10,
            options=OPTIONS, connect_timeout=5, keepalives_idle=10, keepalives_interval=5, keepalives_count=3,
            application_name="gatehouse",
        )  # fmt: skip
        self._follower = Follower(self._line)
        self._refuse_unfit()

    def let_go(self) -> None:
        """Another database takes its place in this process."""
        self.close_all()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A write transaction. Each of its statements sees what the writers before it have committed."""
        outermost = not self.in_transaction()
        with self.atomic():
            if outermost:
                self.execute_sql("SELECT pg_advisory_xact_lock(%s)", (WRITERS,))
            yield

    def in_turn(self) -> bool:
        """Always: what failed in a savepoint ends with that savepoint."""
        return True

    def refuse_unwritable(self) -> None:
        """Its server says so at the first write."""

    def snapshot(self) -> Any:
        return self.atomic("REPEATABLE READ")

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self.connection_context():
            self.execute_sql("SELECT pg_advisory_lock(%s)", (MIGRATION,))
            try:
                yield
            finally:
                self.execute_sql("SELECT pg_advisory_unlock(%s)", (MIGRATION,))

    def all_or_nothing(self) -> Any:
        """All migrations or none."""
        return self.atomic()

    def after_migration(self) -> None:
        """Texts of any length, as on SQLite: what a server or a browser calls itself is cut where it comes in."""
        limited = self.execute_sql(
            """SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()
            AND data_type = 'character varying' AND character_maximum_length IS NOT NULL"""
        ).fetchall()
        for table, column in limited:
            self.execute_sql(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" TYPE varchar')

    def follow(self) -> None:
        """From now on `known_generation` knows. Ends with `unfollow`."""
        self._follower.start()

    def unfollow(self) -> None:
        self._follower.stop()

    def announce(self) -> None:
        """The generation has been raised: others hear of it at the commit."""
        self.execute_sql("SELECT pg_notify(%s, '')", (CHANNEL,))
        self.after_commit(self._follower.doubt)

    def known_generation(self) -> int | None:
        return self._follower.known()

    def latest_of(self, moments: Iterable[Any]) -> Any:
        """The largest of several columns, of which some may be null."""
        return fn.GREATEST(*moments)

    def _line(self) -> Any:
        """Outside the pool."""
        return PostgresqlDatabase._connect(self)

    def _refuse_unfit(self) -> None:
        try:
            with self.connection_context():
                (encoding,) = self.execute_sql("SHOW server_encoding").fetchone()
                version = self.server_version
        except ImproperlyConfigured as error:
            raise StoreProblem(
                "The driver for PostgreSQL is not installed.",
                next_step="Run: .venv/bin/pip install --require-hashes -r requirements-postgres.lock",
            ) from error
        except OperationalError as error:
            raise StoreProblem(
                "The PostgreSQL server of DATABASE_URL can't be reached.",
                why=str(error).partition("\n")[0],
                next_step="Check the address, the name and the password, and whether the server runs.",
            ) from error
        if version < OLDEST or encoding != "UTF8":
            raise StoreProblem(
                f"This database can't hold Gatehouse: PostgreSQL {version // 10000}, encoding {encoding}.",
                next_step=f"Use PostgreSQL {OLDEST // 10000} or newer, and a database with the encoding UTF8.",
            )
