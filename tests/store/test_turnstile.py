"""Processes that write one SQLite file stand in line for it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from config import ROOT
from tests.databases import on_sqlite_only
from tests.waiting import until
from webapp.services import audit
from webapp.services.audit import COMMAND
from webapp.store.database import open_store, writing
from webapp.store.models import Entry, database
from webapp.store.turnstile import Turnstile

HOLD = """
import sys, time
from pathlib import Path
from webapp.store.turnstile import Turnstile
with Turnstile(Path(sys.argv[1])).passed():
    print("in", flush=True)
    time.sleep(600)
"""


def until_somebody_waits(folder: Path) -> None:
    """The line is held by whoever is next."""

    def is_held() -> bool:
        with (folder / "turn.line").open() as line:
            try:
                fcntl.flock(line, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    until(is_held, "somebody stands in line")


def beside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_who_has_just_been_goes_after_who_waits(tmp_path: Path) -> None:
    turnstile, went = Turnstile(tmp_path, patience=60), []

    def go(name: str) -> None:
        with turnstile.passed():
            went.append(name)

    with turnstile.passed():
        other = beside(lambda: go("the one that waited"))
        until_somebody_waits(tmp_path)
    go("the one that had just been")
    other.join()
    assert went == ["the one that waited", "the one that had just been"]


def test_a_turn_ends_with_its_process(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == b"in\n"
        through: list[bool] = []

        def wait() -> None:
            with Turnstile(tmp_path, patience=60).passed():
                through.append(True)

        waiting = beside(wait)
        until_somebody_waits(tmp_path)
        assert not through
        holder.kill()
        waiting.join()
    assert through


def test_one_that_stands_still_stops_nobody(tmp_path: Path) -> None:
    turnstile = Turnstile(tmp_path, patience=0.05)
    with turnstile.passed(), turnstile.passed():
        pass  # a lock that waits for itself would never come here


def test_where_it_has_no_files_one_goes_on_without(tmp_path: Path) -> None:
    with Turnstile(tmp_path / "nowhere").passed():
        assert not (tmp_path / "nowhere").exists()


@on_sqlite_only
def test_the_store_stands_in_line_and_once_only(tmp_path: Path) -> None:
    open_store(tmp_path)

    def write() -> None:
        with database.connection_context(), writing(), writing():
            audit.record("user.renamed", COMMAND)

    with Turnstile(tmp_path).passed():
        other = beside(write)
        until_somebody_waits(tmp_path)
    other.join()
    with database.connection_context():
        assert Entry.select().count() == 1
