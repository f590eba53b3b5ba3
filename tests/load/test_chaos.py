"""Servers broken in every way we know, beside healthy ones: each call is answered and on record, and nobody else
notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.load.chaos import CALL_SECONDS, KINDS, TOOLS, Scene, kind_of, scene
from tests.serving import alive

ROUNDS = 4  # of a read and a write at a time; a server is left alone after five failures
LEFT_ALONE = "unreachable"


def test_broken_servers_harm_nobody_else(tmp_path: Path) -> None:
    assert len(KINDS) >= 24
    with scene(tmp_path) as here:
        workers = here.served.workers()
        here.throw_the_switch()
        with ThreadPoolExecutor(1) as pool:
            healthy = pool.submit(here.healthy, 5 * CALL_SECONDS, 200)
            asyncio.run(here.suffer(lambda so_far: so_far < ROUNDS))
            calls = healthy.result().calls
        assert here.served.workers() == workers and all(map(alive, workers))
        assert unforeseen(here) == {}
        assert logged(here) == {"ten:get_item_0": calls} | {
            f"{server}:{tool}": ROUNDS for server in KINDS for tool in TOOLS
        }
        assert not here.served.house.listed("intents")
        assert "whole" in here.served.house.run("verify-log").stdout
        assert "Traceback" not in here.served.said()


def unforeseen(here: Scene) -> dict[str, list[str]]:
    """What agents were told by tool, where it is not what such a server deserves."""
    told = {name: [kind_of(answer) for answer in answers] for name, answers in here.answers.items()}
    return {
        name: kinds
        for name, kinds in told.items()
        if not set(kinds) <= {*KINDS[name.partition("__")[0]], LEFT_ALONE}
    }


def logged(here: Scene) -> Counter[str]:
    rows: list[dict[str, Any]] = here.served.house.listed("activity", "--limit", "1000000")
    return Counter(row["tool"].removeprefix("mcp:") for row in rows if row["kind"] == "call")
