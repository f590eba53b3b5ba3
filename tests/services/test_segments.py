"""Old rows go in sealed segments: the chain stays checkable, and nobody can hide a change behind a seal."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path

import pytest
from peewee import DatabaseError

from config import Config
from tests.databases import tamper
from webapp.services import audit, retention, segments
from webapp.services.audit import COMMAND, Actor, Row
from webapp.services.retention import Retention
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Entry, Segment, State, Tally, database


@pytest.fixture
def data(store: None, tmp_path: Path) -> Path:
    retention.configure(Config(data=tmp_path / "data"))
    return tmp_path / "data"


def write(*ages: int) -> None:
    """A row of each age, in days."""
    with writing():
        audit.append(
            Row(
                "call",
                Actor("agent", "Claude"),
                "call",
                "desk",
                "mcp:desk:get",
                at=now() - timedelta(days=age),
            )
            for age in ages
        )


def keep(days: int, *, files: bool = False) -> None:
    retention.change(Retention(days, files), COMMAND)
    assert retention.take()
    assert any(not retention.step() for _ in range(100)), "it never ends"


def ids() -> list[int]:
    return [id for (id,) in Entry.select(Entry.id).order_by(Entry.id).tuples()]


def test_old_rows_go_and_the_rest_is_still_whole(data: Path) -> None:
    write(90, 80, 70, 10, 5)
    head = bytes(Entry.get_by_id(3).digest)
    keep(60)
    assert ids()[:2] == [4, 5]
    found = audit.verify()
    assert found.intact
    assert (found.sealed, found.rows) == (3, len(ids()))
    segment = Segment.get()
    assert (segment.first_id, segment.last_id, segment.count, bytes(segment.digest)) == (1, 3, 3, head)
    sealed = Entry.get(Entry.action == "log.sealed")
    assert json.loads(sealed.details)["head"] == head.hex()
    assert sealed.actor_kind == "system"


def test_the_log_is_kept_for_ever_until_somebody_says_otherwise(data: Path) -> None:
    write(5000)
    assert retention.current() == Retention(0, True)
    assert not retention.step()
    assert ids() == [1]


def test_one_segment_after_another_in_whatever_bites(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MOST_ROWS", 4)
    monkeypatch.setattr(segments, "BITE", 3)
    write(*range(100, 90, -1), 1)
    keep(40)
    assert [(one.first_id, one.last_id) for one in Segment.in_order()] == [(1, 4), (5, 8), (9, 10)]
    assert audit.verify().intact and audit.verify().sealed == 10
    write(80, 1)
    keep(40)  # the row of 80 days came after younger ones: nothing is skipped to reach it
    assert audit.verify().sealed == 10


def test_a_row_of_a_wrong_clock_holds_nothing_back_and_loses_nothing(data: Path) -> None:
    write(90, -4000, 80, 10, 9000, 5)  # once ten years ahead, once long behind
    keep(60)
    assert ids()[:3] == [4, 5, 6]
    assert audit.verify().intact


def test_a_stop_between_seal_and_removal_is_made_good_the_next_time(data: Path) -> None:
    write(90, 80, 10)
    assert segments.seal_before(now() - timedelta(days=60), COMMAND, None)
    assert ids()[:3] == [1, 2, 3]
    assert audit.verify().intact
    with writing():
        Entry.delete().where(Entry.id == 1).execute()
    assert audit.verify().intact  # half removed
    keep(60)
    assert ids()[0] == 3
    assert audit.verify().intact


def test_only_what_is_sealed_can_be_deleted_and_no_seal_at_all(data: Path) -> None:
    write(90, 10, 5)
    segments.seal_before(now() - timedelta(days=60), COMMAND, None)
    for statement in (
        "DELETE FROM entry WHERE id = 2",
        "DELETE FROM segment",
        "UPDATE segment SET last_id = 2",
    ):
        with pytest.raises(DatabaseError, match="append-only"):
            database.execute_sql(statement)


@pytest.mark.parametrize(
    ("tampering", "first_bad"),
    [
        (["UPDATE entry SET actor = 'x' WHERE id = 6"], 6),
        (["DELETE FROM entry WHERE id = 5"], 6),
        (["DELETE FROM segment WHERE last_id = 4"], 5),  # a seal torn off
        (["DELETE FROM segment WHERE last_id = 2"], 3),
        (["UPDATE segment SET last_id = 5 WHERE last_id = 4", "DELETE FROM entry WHERE id = 5"], 3),
        (["UPDATE segment SET first_at = '2020-01-01' WHERE last_id = 4"], 3),
        (["UPDATE segment SET digest = (SELECT digest FROM entry WHERE id = 6), last_id = 6 WHERE last_id = 4",
          "DELETE FROM entry WHERE id < 7"], 3),
    ],
)  # fmt: skip
def test_tampering_around_a_seal_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch, tampering: list[str], first_bad: int
) -> None:
    monkeypatch.setattr(segments, "MOST_ROWS", 2)
    write(90, 89, 88, 87, 10, 9, 8)
    keep(60)
    assert audit.verify().intact
    tamper(*tampering)
    assert audit.verify().first_bad == first_bad


def test_a_changed_row_is_never_sealed_over(data: Path) -> None:
    write(90, 80, 70, 10)
    tamper("UPDATE entry SET actor = 'somebody else' WHERE id = 2")
    keep(60)
    assert ids()[:4] == [1, 2, 3, 4]
    assert "from row 2 on" in retention.problem()
    assert not Segment.select().exists()


def test_a_copy_of_what_goes_is_whole_and_closed_to_others(data: Path) -> None:
    write(90, 80, 10)
    digests = [bytes(Entry.get_by_id(id).digest).hex() for id in (1, 2)]
    keep(60, files=True)
    (path,) = (data / "log").iterdir()
    assert path.name == "log-000000001-000000002.jsonl.gz"
    assert path.stat().st_mode & 0o777 == 0o600
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    assert [row["digest"] for row in rows] == digests
    assert rows[0]["at"].endswith("Z")


def test_what_can_not_be_copied_stays(data: Path) -> None:
    write(90, 10)
    (data / "log").write_text("in the way")
    keep(60, files=True)
    assert ids()[0] == 1
    assert retention.problem()
    (data / "log").unlink()
    keep(60, files=True)
    assert ids()[0] == 2
    assert not retention.problem()


def test_one_worker_a_day_looks(data: Path) -> None:
    assert retention.take()
    assert not retention.take()
    State.update(value=(now() - timedelta(seconds=1)).isoformat()).where(
        State.key == "retention_due"
    ).execute()
    assert retention.take()
    assert not retention.take()


def test_of_two_workers_that_look_at_once_one_goes_on(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert retention.take()
    due = (now() - timedelta(seconds=1)).isoformat()
    State.update(value=due).where(State.key == "retention_due").execute()
    monkeypatch.setattr(retention, "state", lambda *asked: due)  # both have read the same
    assert [retention.take(), retention.take()] == [True, False]


def test_counted_figures_go_with_their_rows(data: Path) -> None:
    from webapp.services import tallying

    write(90, 10)
    tallying.count_ahead()
    keep(60)
    assert not Tally.select().where(Tally.last_id == 1).exists()
    assert Tally.select().where(Tally.first_id == 2).exists()
