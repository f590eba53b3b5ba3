"""What agents say beside their calls is kept sealed, for a minute, and not without number."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests import databases
from webapp.services import words
from webapp.store import generation
from webapp.store.database import open_store, writing
from webapp.store.fields import now
from webapp.store.models import Agent, LogLevel, Word, database

SAID = {"result": {"action": "accept", "content": {"password": "canary-4711"}}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    databases.migrated(tmp_path / "data")
    open_store(tmp_path / "data")
    with database.connection_context():
        for name in ("claude", "cursor"):
            Agent.create(name=name, key_prefix=name, key_hash=name)
        yield tmp_path / "data"


def leave(agent: int, about: str, said: object = None) -> None:
    with writing():
        words.leave(agent, "", "answer", about, said)


def test_what_was_said_is_read_in_its_order_and_gone_once_taken(store: Path) -> None:
    before = generation.read()
    leave(1, "a", SAID)
    leave(2, "b")
    found = words.after(0)
    assert [(word.agent_id, word.about, words.said_in(word)) for word in found] == [
        (1, "a", SAID),
        (2, "b", None),
    ]
    assert generation.read() == before + 2, "whom it concerns comes to look"
    assert generation.touched(before, before + 2) == set(), "and nobody reads the tools again"
    with writing():
        words.taken([word.number for word in found])
    leave(1, "c")
    assert [word.about for word in words.after(found[-1].number)] == ["c"], "numbers are not used again"


def test_answers_lie_sealed_on_disk(store: Path) -> None:
    leave(1, "a", SAID)
    assert not any(b"canary-4711" in path.read_bytes() for path in store.iterdir() if path.is_file())


def test_a_flood_of_one_agent_is_cut_off_and_hinders_no_other(store: Path) -> None:
    for number in range(words.MOST_PER_AGENT + 10):
        leave(1, str(number))
    leave(2, "mine")
    assert Word.select().where(Word.agent == 1).count() == words.MOST_PER_AGENT
    assert Word.select().where(Word.agent == 2).count() == 1


def test_nothing_is_kept_for_longer_than_a_minute(store: Path) -> None:
    leave(1, "old")
    Word.update(at=now() - timedelta(seconds=61)).execute()
    leave(2, "new")
    assert [word.about for word in words.after(0)] == ["new"]


def test_a_level_is_set_for_one_session_and_forgotten_after_a_week(store: Path) -> None:
    for agent, session, level in [(1, "x", "debug"), (1, "x", "error"), (1, "y", "info"), (2, "x", "alert")]:
        with writing():
            words.set_level(agent, session, level)
    assert words.levels() == {(1, "x"): "error", (1, "y"): "info", (2, "x"): "alert"}
    LogLevel.update(at=now() - timedelta(days=8)).where(LogLevel.agent == 1).execute()
    with writing():
        words.set_level(2, "z", "debug")
    assert words.levels() == {(2, "x"): "alert", (2, "z"): "debug"}


def test_a_level_that_is_set_again_makes_nobody_look(store: Path) -> None:
    def after_setting(level: str) -> int:
        with writing():
            words.set_level(1, "session", level)
        return generation.read()

    first = after_setting("info")
    assert after_setting("info") == first
    assert after_setting("debug") == first + 1
    assert words.levels() == {(1, "session"): "debug"}
