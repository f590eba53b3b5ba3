"""Whether a call costs the same in a large house: 10,000 tools, 1,000 agents, a million rows in the log.

Each large house stands beside a small one in the same run, and the two are asked in turns.
`python -m tests.bench.flat FOLDER --agents 1000 --rows 1000000` furnishes a store and prints a key.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from config import ROOT, Config
from tests.bench.measure import FRONT, Run, load, pin, program
from tests.load.million import fill
from tests.serving import gatehouse
from webapp import create_app
from webapp.services import agents, tallying
from webapp.services.audit import COMMAND
from webapp.store.models import database


@dataclass(frozen=True)
class Size:
    tools: int = 10
    agents: int = 1
    rows: int = 0


SMALL = Size()
LARGE = {
    "10,000 tools": Size(tools=10_000),
    "1,000 agents": Size(agents=1_000),
    "1,000,000 log rows": Size(rows=1_000_000),
}


@contextlib.contextmanager
def _house(port: int, size: Size) -> Iterator[tuple[str, str, list[int]]]:
    """Address, key and workers."""
    with tempfile.TemporaryDirectory() as folder:
        key = _furnished(Path(folder) / "data", size)
        with gatehouse(Path(folder), workers=1) as served:
            url = f"http://127.0.0.1:{port}/t/{size.tools}/mcp"
            served.house.run("add-server", url, "--name", "ten", "--allow-private")
            pin(served.workers(), FRONT)
            yield f"{served.url}/mcp", key, served.workers()


def _furnished(data: Path, size: Size) -> str:
    """In a process of its own: only one store is open in a process."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.flat",
        str(data),
        f"--agents={size.agents}",
        f"--rows={size.rows}",
    ]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def furnish(data: Path, count: int, rows: int) -> str:
    """The key of the agent in the middle."""
    create_app(Config(data=data))
    if rows:
        fill(rows)
    with database.connection_context():
        while tallying.count_ahead():  # as it would have been while they came
            pass
        keys = [agents.create(f"Agent {number}", COMMAND)[1] for number in range(count)]
    return keys[count // 2]


def flat(rounds: int, seconds: float) -> None:
    print(f"\n{'one agent':<28}{'p50 ms':>9}{'small':>9}{'×':>8}{'CPU µs':>9}{'small':>8}")
    with program("tests.bench.upstream") as (port, _), _house(port, SMALL) as small:
        for words, size in LARGE.items():
            with _house(port, size) as large:
                turns = [(_asked(large, seconds), _asked(small, seconds)) for _ in range(2 * rounds + 1)]
                _line(words, *zip(*turns, strict=True))


def _asked(house: tuple[str, str, list[int]], seconds: float) -> Run:
    url, key, workers = house
    return load(url, agents=1, seconds=seconds, pids=workers, key=key, tool="ten__get_item_7")


def _line(words: str, large: tuple[Run, ...], small: tuple[Run, ...]) -> None:
    ours, base = median(run.p50 for run in large), median(run.p50 for run in small)
    cpu, cpu_base = median(run.cpu for run in large), median(run.cpu for run in small)
    print(f"{words:<28}{ours:>9.3f}{base:>9.3f}{ours / base:>8.2f}{cpu:>9.0f}{cpu_base:>8.0f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--agents", type=int, default=1)
    parser.add_argument("--rows", type=int, default=0)
    wish = parser.parse_args()
    print(furnish(wish.folder, wish.agents, wish.rows))
