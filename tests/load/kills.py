"""`kill -9` at random moments, over and over, of one of four workers or of everything, while agents write.

`python -m tests.load.kills [times]` says what it found; it fails when a row was lost, a write ran twice, the log's
chain or the database's file is damaged, or the store was ever busy for longer than it waits.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.load.test_crash import NOTES, connected, logged, notes, settle, write
from tests.serving import Gatehouse, gatehouse, practice_server
from webapp.store.database import DATABASE_FILE

TIMES = 100
WORKERS = 4
AGENTS = 8
EVERYTHING = 0.1  # of the kills
PAUSES = 0.05, 0.6  # seconds between two kills


def kills(served: Gatehouse, practice: str, times: int) -> list[str]:
    house, over = served.house, threading.Event()
    key = connected(house, practice)
    house.run("set-policy", NOTES, "auto")
    numbers, answers = itertools.count(), dict[str, str]()

    def agent() -> None:
        while not over.is_set():
            text = f"note {next(numbers)}"
            answers[text] = write(house, key, text)

    with ThreadPoolExecutor(AGENTS) as pool:
        agents = [pool.submit(agent) for _ in range(AGENTS)]
        try:
            everything = _kill(served, times)
        finally:
            over.set()
        for one in agents:
            one.result()
    served.wait_ready()
    settle(house)
    answered = sum(map(bool, answers.values()))
    print(
        f"{times} kills, {everything} of them of everything; {len(answers):,} writes, {answered:,} answered"
    )
    found = _lost_or_twice(answers, logged(house), notes(practice))
    if "whole" not in house.run("verify-log").stdout:
        found.append("the log's chain is broken")
    return found


def _kill(served: Gatehouse, times: int) -> int:
    """How often it was everything."""
    chance, pause, everything = random.Random(11), threading.Event(), 0
    for _ in range(times):
        pause.wait(chance.uniform(*PAUSES))
        if chance.random() < EVERYTHING:
            everything += 1
            served.kill("all")
            served.up()
        else:
            served.wait_ready()
            served.kill(chance.randrange(WORKERS))
    return everything


def _lost_or_twice(answers: dict[str, str], rows: dict[str, list[str]], ran: dict[str, int]) -> list[str]:
    found = [f"{text} ran {times} times" for text, times in ran.items() if times > 1]
    for text, answer in answers.items():
        if answer.startswith("Note") and rows.get(text) != ["ok"]:
            found.append(f"{text} was answered, its rows are {rows.get(text)}")
        elif ran.get(text) and len(rows.get(text, [])) != 1:
            found.append(f"{text} ran, its rows are {rows.get(text)}")
    return found


def _damage(folder: Path) -> list[str]:
    """Once nobody has it open."""
    with sqlite3.connect(folder / "data" / DATABASE_FILE) as store:
        said = [row[0] for row in store.execute("PRAGMA integrity_check")]
    return [] if said == ["ok"] else [f"integrity: {line}" for line in said]


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    with tempfile.TemporaryDirectory() as name, practice_server(Path(name)) as practice:
        folder = Path(name)
        with gatehouse(folder, workers=WORKERS) as served:
            found = kills(served, practice, times)
            if "database is locked" in served.said():
                found.append("the server's log says: database is locked")
        found += _damage(folder)
    sys.exit("\n".join(found[:40]) or 0)


if __name__ == "__main__":
    main()
