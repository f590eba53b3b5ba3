"""Numbers for Prometheus: for whoever has the token, the same from every worker, and right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Config
from tests import databases
from tests.routes.logbook import call, write
from tests.routes.visitors import Visitor
from webapp import create_app
from webapp.services import daily_backups, intents, retention, segments, tallying, turns
from webapp.services.audit import COMMAND
from webapp.services.retention import Retention
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Entry, Worker, database

TOKEN = "a token for the monitoring"
LINE = re.compile(r'(gatehouse_[a-z_]+)(?:\{((?:[a-z]+="[^"\\\n]*",?)+)\})? (-?[0-9.e+]+)')


@pytest.fixture
def app(furnished: str, config: Config) -> Iterator[Flask]:
    databases.copy(furnished, config.data)
    yield create_app(replace(config, metrics_token=TOKEN))
    database.close()


def numbers(client: FlaskClient) -> dict[str, float]:
    """{name and labels: value}; every line has the form that Prometheus takes."""
    reply = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert reply.status_code == 200 and reply.content_type == "text/plain; version=0.0.4; charset=utf-8"
    found, typed = {}, set()
    for line in reply.text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("# HELP "):
            parts = LINE.fullmatch(line)
            assert parts and parts[1] in typed, line
            found[f"{parts[1]} {parts[2]}" if parts[2] else parts[1]] = float(parts[3])
    return found


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"bearer {TOKEN}"},
                                    {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"},
                                    {"Authorization": "Bearer \xff"}])  # fmt: skip
def test_without_the_token_there_are_none(client: FlaskClient, header: dict[str, str]) -> None:
    reply = client.get("/metrics", headers=header)
    assert reply.status_code == 401 and "gatehouse_" not in reply.text
    assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_a_session_is_no_token(app: Flask) -> None:
    assert Visitor.signed_in(app, "admin").browser.get("/metrics").status_code == 401


def test_calls_are_counted_whether_or_not_they_are_counted_ahead(client: FlaskClient) -> None:
    write(call(), call(), call(outcome="failed"))
    before = numbers(client)
    assert before['gatehouse_calls_total outcome="ok"'] == 2
    assert before['gatehouse_calls_total outcome="failed"'] == 1
    while tallying.count_ahead():
        pass
    write(call())
    after = numbers(client)
    assert after['gatehouse_calls_total outcome="ok"'] == 3
    assert after["gatehouse_log_entries_total"] == before["gatehouse_log_entries_total"] + 1


def test_no_count_goes_down_when_the_log_is_shortened(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(call(), call(), call(outcome="failed"))
    later = now() + timedelta(days=100)
    write(call(at=later))
    while tallying.count_ahead():
        pass
    before = numbers(client)
    retention.change(Retention(40), COMMAND)
    for module in (retention, segments, turns):
        monkeypatch.setattr(module, "now", lambda: later)
    assert retention.take()
    while retention.step():
        pass
    assert Entry.select().where(Entry.kind == "call").count() == 1
    after = numbers(client)
    for outcome, count in (("ok", 3), ("failed", 1)):
        name = f'gatehouse_calls_total outcome="{outcome}"'
        assert (before[name], after[name]) == (count, count)
    assert after["gatehouse_log_entries_total"] >= before["gatehouse_log_entries_total"]


def test_workers_backups_and_troubles(client: FlaskClient, config: Config) -> None:
    assert numbers(client)["gatehouse_ready"] == 1
    with writing():
        intents.beat("one")
        long_ago = now() - intents.DEAD_AFTER * 2
        Worker.insert(id="two", started_at=long_ago, seen_at=long_ago).execute()
    made = daily_backups.make() if not databases.SERVER else None
    found = numbers(client)
    assert [name for name in found if "worker" in name] == [
        'gatehouse_worker_start_time_seconds worker="one"'
    ]
    if made:
        assert found["gatehouse_backup_bytes"] == made.size
        assert found["gatehouse_backup_time_seconds"] == made.at.timestamp()
    (config.data / "secret.key").unlink()
    found = numbers(client)
    assert found["gatehouse_ready"] == 1 and found['gatehouse_trouble reason="key_missing"'] == 1


@databases.on_sqlite_only
def test_a_database_that_can_not_be_read_is_a_number_too(client: FlaskClient, config: Config) -> None:
    database.close()
    for name in ("gatehouse.db", "gatehouse.db-wal", "gatehouse.db-shm"):
        (config.data / name).unlink(missing_ok=True)
    (config.data / "gatehouse.db").write_bytes(b"not a database " * 1000)
    found = numbers(client)
    assert found["gatehouse_ready"] == 0 and found['gatehouse_trouble reason="database_damaged"'] == 1


def test_nothing_in_it_is_a_name_that_somebody_gave(client: FlaskClient) -> None:
    assert "example.com" not in client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
