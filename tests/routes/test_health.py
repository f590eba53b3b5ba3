"""What machines ask: is it up, can it work, what did a browser refuse."""

from __future__ import annotations

import logging

import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Config
from tests.databases import on_sqlite_only
from webapp.store.models import Entry, database


def test_up_and_ready(client: FlaskClient) -> None:
    assert (client.get("/healthz").status_code, client.get("/healthz").json) == (200, {"status": "ok"})
    assert (client.get("/readyz").status_code, client.get("/readyz").json) == (200, {"status": "ready"})


def test_up_but_not_ready_without_its_tables(client: FlaskClient) -> None:
    database.execute_sql("ALTER TABLE state RENAME TO gone")
    assert client.get("/healthz").status_code == 200
    reply = client.get("/readyz")
    assert (reply.status_code, reply.json) == (503, {"status": "not ready", "reasons": ["database_missing"]})


@on_sqlite_only
def test_up_but_not_ready_without_a_usable_database(client: FlaskClient, config: Config) -> None:
    database.close()
    for name in ("gatehouse.db", "gatehouse.db-wal", "gatehouse.db-shm"):
        (config.data / name).unlink(missing_ok=True)
    (config.data / "gatehouse.db").write_bytes(b"not a database " * 1000)
    assert client.get("/healthz").status_code == 200
    assert client.get("/static/app.css", buffered=True).status_code == 200
    reply = client.get("/readyz")
    assert (reply.status_code, reply.json) == (503, {"status": "not ready", "reasons": ["database_damaged"]})
    page = client.get("/login")
    assert page.status_code == 503 and "The database is damaged." in page.text and "restore PATH" in page.text


def test_up_but_not_ready_with_a_key_that_others_can_read(client: FlaskClient, config: Config) -> None:
    (config.data / "secret.key").write_bytes((config.data / "secret.key").read_bytes())
    (config.data / "secret.key").chmod(0o644)
    assert client.get("/healthz").status_code == 200
    reply = client.get("/readyz")
    assert (reply.status_code, reply.json) == (503, {"status": "not ready", "reasons": ["key_open"]})


def test_nobody_learns_anything_else(client: FlaskClient) -> None:
    for path in ("/healthz", "/readyz"):
        assert len(client.get(path).text) < 40


def test_a_report_becomes_one_line_in_the_log(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    report = {
        "violated-directive": "img-src",
        "blocked-uri": "https://evil.test/\nfaked line",
        "document-uri": "/x",
    }
    reply = client.post("/csp-report", json={"csp-report": report | {"more": "x" * 5000}})
    assert reply.status_code == 204 and not reply.data
    (record,) = [record for record in caplog.records if "content security policy" in record.getMessage()]
    assert "img-src https://evil.test/\\nfaked line on /x" in record.getMessage()
    assert "\n" not in record.getMessage() and len(record.getMessage()) < 600


def test_reports_are_no_way_into_the_log_of_gatehouse(app: Flask, client: FlaskClient) -> None:
    before = Entry.select().count()
    client.post("/csp-report", data=b"x" * 10_000)
    assert Entry.select().count() == before


def test_without_a_token_in_the_settings_there_are_no_metrics(client: FlaskClient) -> None:
    reply = client.get("/metrics", headers={"Authorization": "Bearer "})
    assert reply.status_code == 404 and "There is no such page." in reply.text
