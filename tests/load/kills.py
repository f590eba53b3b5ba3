"""`kill -9` at random moments, over and over, of one of four workers or of everything, while agents write.

`python -m tests.load.kills [times]` says what it found on SQLite, the same after `python -m tests.postgres` on
PostgreSQL. It fails when a row was lost, a write ran twice, a counter is not what the rows say, the log's chain or the
database is damaged, or the store was ever busy for longer than it waits.
"""

from __future__ import annotations

import itertools
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from tests import databases
from tests.load.test_crash import NOTES, connected, desk, logged, notes, settle, write
from tests.serving import Gatehouse, gatehouse, practice_server

TIMES = 100
WORKERS = 4
AGENTS = 8
EVERYTHING = 0.1  # of the kills
PAUSES = 0.05, 0.6  # seconds between two kills
TOKEN = "a token for the monitoring"
COUNTED = re.compile(r'gatehouse_calls_total\{outcome="(\w+)"\} (\d+)')
# What either store says, or its driver, when somebody waited too long, or for ever.
BUSY = (
    "database is locked",
    "lock timeout",
    "deadlock detected",
    "too many clients",
    "connections in the pool",
    "InFailedSqlTransaction",
)


def kills(served: Gatehouse, practice: str, times: int) -> list[str]:
    house, over = served.house, threading.Event()
    key = connected(house, practice)
    house.run("set-policy", NOTES, "auto")
    numbers, answers, began = itertools.count(), dict[str, str](), time.monotonic()

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
    rows = logged(house)
    ran = Counter({text: times for text, times in notes(practice).items() if text in answers})
    print(
        f"{times} kills, {everything} of them of everything, in {time.monotonic() - began:.0f} s; "
        f"{len(answers):,} writes, {answered:,} answered, {sum(ran.values()):,} ran, {len(rows):,} logged"
    )
    found = _lost_or_twice(answers, rows, ran) + _miscounted(served, practice, rows, ran)
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


def _lost_or_twice(answers: dict[str, str], rows: dict[str, list[str]], ran: Counter[str]) -> list[str]:
    found = [f"{text} ran {times} times" for text, times in ran.items() if times > 1]
    for text, answer in answers.items():
        if f'"text": "{text}"' in answer and rows.get(text) != ["ok"]:
            found.append(f"{text} was answered, its rows are {rows.get(text)}")
        elif ran.get(text) and len(rows.get(text, [])) != 1:
            found.append(f"{text} ran, its rows are {rows.get(text)}")
    return found


def _miscounted(served: Gatehouse, practice: str, rows: dict[str, list[str]], ran: Counter[str]) -> list[str]:
    """What Gatehouse counts is what its log has, and what the server counts is what arrived there."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    said = httpx2.get(f"{served.url}/metrics", headers=headers, timeout=60, trust_env=False).text
    counted = {outcome: int(count) for outcome, count in COUNTED.findall(said) if int(count)}
    there = Counter(itertools.chain.from_iterable(rows.values()))
    found = [] if counted == there else [f"counted are {counted}, the log has {dict(there)}"]
    done = desk(practice)["done"]["add_ticket_note"]
    return (
        found
        if done == sum(ran.values())
        else [*found, f"the server did {done}, and has {sum(ran.values())}"]
    )


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    with tempfile.TemporaryDirectory() as name, practice_server(Path(name)) as practice:
        folder = Path(name)
        with gatehouse(folder, workers=WORKERS, METRICS_TOKEN=TOKEN) as served:
            found = kills(served, practice, times)
            found += [f"the server's log says: {words}" for words in BUSY if words in served.said()]
        found += databases.damage(folder / "data")
    sys.exit("\n".join(found[:40]) or 0)


if __name__ == "__main__":
    main()
