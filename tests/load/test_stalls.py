"""The store locked by another program, and a worker that stands still, for longer than it takes to be thought
dead: late answers, but every call runs once and has one true row."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests import databases
from tests.load.test_crash import clean_desk, connected, desk, logged, notes, practice
from tests.serving import gatehouse
from tests.waiting import until
from webapp.services.intents import DEAD_AFTER

__all__ = ["clean_desk", "practice"]
LONG = DEAD_AFTER.total_seconds() + 3


def test_a_store_locked_by_another_program_delays_and_loses_nothing(tmp_path: Path, practice: str) -> None:
    with gatehouse(tmp_path) as running:
        house = running.house
        key = connected(house, practice)
        house.run("set-policy", "mcp:desk:run_diagnostics", "auto")

        def diagnose(seconds: int) -> dict[str, Any]:
            return house.call(key, "desk__run_diagnostics", {"device_id": "HD-PR-002", "seconds": seconds})

        with ThreadPoolExecutor() as pool:
            under_way = [pool.submit(diagnose, seconds) for seconds in (1, 2, 3)]
            while desk(practice)["calls"].get("run_diagnostics", 0) < 3:
                threading.Event().wait(0.02)
            with databases.locked(house.data):
                threading.Event().wait(LONG)
            assert not any(call.result()["result"].get("isError") for call in under_way)
        rows = house.listed("activity", "--tool", "mcp:desk:run_diagnostics", "--limit", "1000")
        assert [row["outcome"] for row in rows if row["kind"] == "call"] == ["ok"] * 3
        assert desk(practice)["calls"]["run_diagnostics"] == 3
        assert house.listed("intents") == []


def test_a_worker_that_stands_still_runs_nothing_twice(tmp_path: Path, practice: str) -> None:
    with gatehouse(tmp_path, HOLD_SECONDS=0.2) as running:
        house = running.house
        key = connected(house, practice)
        texts = [f"stalled {n}" for n in range(12)]
        asked = [
            house.call(key, "desk__add_ticket_note", {"ticket_id": "T-1041", "text": text})["result"]
            for text in texts
        ]
        for number, answer in enumerate(asked):
            house.run("decide", answer["structuredContent"]["approval_id"], "approve")
            if number == 4:
                running.halt(running.workers()[0])
        threading.Event().wait(LONG + 4)
        running.kill(0, signal.SIGCONT)
        until(lambda: not house.listed("approvals") and sum(notes(practice).values()) >= len(texts))
        until(lambda: all("ok" in outcomes for outcomes in logged(house).values()))
        threading.Event().wait(3)  # for what would run a second time
        assert max(notes(practice).values()) == 1
        rows = logged(house)
        assert all(sorted(rows[text]) in (["ok", "waiting"], ["ok", "unknown", "waiting"]) for text in texts)
        assert "whole" in house.run("verify-log").stdout
