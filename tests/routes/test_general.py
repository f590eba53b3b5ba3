"""Settings → General: how long the log is kept, what went, and the files of it; a fresh key."""

from __future__ import annotations

import gzip
import json
import re
from datetime import timedelta

import pytest
from flask import Flask

from config import Config
from tests import databases
from tests.databases import on_sqlite_only
from tests.routes.logbook import call, write
from tests.routes.visitors import Visitor, text_of
from tests.services.sealed import keep as keep_secret
from tests.services.sealed import opened
from webapp.services import audit, keys, retention, segments
from webapp.services.retention import Retention
from webapp.store.fields import now
from webapp.store.models import Entry, Segment
from webapp.store.postgresql import Postgresql


def keep(visitor: Visitor, **form: str) -> str:
    reply = visitor.post("/settings/general/retention", **form)
    return reply.text if reply.status_code == 200 else f"{reply.status_code} {reply.text}"


def settle() -> None:
    assert retention.take()
    while retention.step():
        pass


def test_the_log_is_kept_for_ever_at_first(admin: Visitor, technician: Visitor) -> None:
    assert "How long the log is kept Entries are kept for ever." in text_of(admin.get("/settings/general"))
    assert 'name="days"' in admin.get("/settings/general")
    assert 'name="days"' not in technician.get("/settings/general")


def test_what_removes_nothing_is_simply_saved_and_logged(admin: Visitor) -> None:
    assert keep(admin, days="90", files="yes").startswith("303")
    assert "The log is kept for 90 days." in admin.get("/settings/general")
    entry = Entry.get(Entry.action == "log.kept")
    assert json.loads(entry.details) == {"days": 90, "files": True, "before": 0}
    assert "admin@example.com let the log be kept for 90 days" in text_of(admin.get(f"/activity/{entry.id}"))
    keep(admin, days="")
    assert retention.current() == Retention(0, files=False)


def test_what_removes_rows_is_asked_first(admin: Visitor) -> None:
    write(call(at=now() - timedelta(days=100)), call(at=now() - timedelta(days=95)))
    asked = keep(admin, days="90", files="yes")
    assert "2 entries are older than 90 days and would be removed, after a copy" in text_of(asked)
    assert retention.current().days == 0
    assert "2 entries" in keep(admin, days="90", confirmed="100")  # a yes to another question
    assert keep(admin, days="90", files="yes", confirmed="90").startswith("303")
    assert retention.current() == Retention(90, files=True)


@pytest.mark.parametrize("days", ["34", "-90", "1e3", "ninety", "99999", "٩٠", "9" * 400])
def test_a_number_of_days_that_can_not_be_is_refused(admin: Visitor, days: str) -> None:
    reply = admin.post("/settings/general/retention", days=days)
    assert reply.status_code == 422
    assert "35 to 3,650 days" in reply.text
    assert retention.current().days == 0


def test_a_removed_entry_says_why_it_is_not_there(app: Flask, admin: Visitor, technician: Visitor) -> None:
    last = write(call())[-1]
    retention.change(Retention(90), audit.COMMAND)
    later = now() + timedelta(days=91)
    with pytest.MonkeyPatch.context() as patch:
        for module in (retention, segments):
            patch.setattr(module, "now", lambda: later)
        write(call(at=later))
        settle()
    assert "This entry was removed from the log." in admin.get(f"/activity/{last}", status=404)
    assert "Older entries were removed" in text_of(admin.get("/activity"))
    assert audit.verify().intact
    segment = Segment.get()
    page = admin.get("/settings/general")
    assert f"1–{segment.last_id}" in page
    assert "kept" in technician.get("/settings/general")
    assert technician.post(f"/settings/general/log/{segment.id}").status_code == 403
    reply = admin.post(f"/settings/general/log/{segment.id}")
    rows = gzip.decompress(reply.data).decode().splitlines()
    reply.close()
    assert len(rows) == segment.count
    assert json.loads(rows[-1])["id"] == segment.last_id
    assert Entry.select().where(Entry.action == "log.exported").count() == 1
    assert re.search(r"\d+ rows, after \d+ that were sealed", admin.post("/settings/general/log-check").text)


@pytest.mark.parametrize("number", ["0", "999", "9" * 30])
def test_a_file_that_is_not_there_is_not_found(admin: Visitor, number: str) -> None:
    assert admin.post(f"/settings/general/log/{number}").status_code == 404


def test_a_changed_row_stops_the_removal_and_everybody_sees_it(admin: Visitor, viewer: Visitor) -> None:
    retention._note_problem("The log does not fit from row 2 on: nothing is removed from it.")
    for path in ("/settings/general", "/"):
        assert "does not fit from row 2" in viewer.get(path), path


# --- the key


@on_sqlite_only
def test_the_key_is_rotated_by_a_button(admin: Visitor, technician: Visitor, config: Config) -> None:
    keep_secret("one")
    file = config.data / "secret.key"
    before = file.read_text()
    assert "Rotate key" in admin.get("/settings/general")
    assert "Rotate key" not in technician.get("/settings/general")
    assert technician.post("/settings/general/key").status_code == 403 and file.read_text() == before
    assert admin.post("/settings/general/key").status_code == 303
    after = file.read_text()
    assert after != before and len(after.split()) == 1 and opened("one") == "canary-one"
    page = admin.get("/settings/general")
    assert "sealed with a new key. Keep a new copy of the key file." in text_of(page)
    assert before.strip() not in page and after.strip() not in page
    assert Entry.get(Entry.action == "key.rotated").actor == "admin@example.com"


@on_sqlite_only
def test_a_key_that_is_being_rotated_is_not_rotated_again(admin: Visitor, config: Config) -> None:
    with keys._alone(config.data / "secret.key"):
        reply = admin.post("/settings/general/key")
    assert reply.status_code == 409 and "The key is being rotated already." in text_of(reply.text)


def test_where_other_machines_may_have_key_files_no_page_rotates_the_key(
    admin: Visitor, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not databases.SERVER:  # as if it were there
        monkeypatch.setattr(keys, "Sqlite", Postgresql)
    before = (config.data / "secret.key").read_text()
    page = admin.get("/settings/general")
    assert "Rotate key" not in page and "by the command only" in page
    reply = admin.post("/settings/general/key")
    assert reply.status_code == 409 and "docs/postgresql.md" in reply.text
    assert (config.data / "secret.key").read_text() == before
