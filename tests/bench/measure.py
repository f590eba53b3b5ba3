"""What a running process costs, and how a load runs against it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import ROOT

TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
# The thing under test has the first core, those who ask and answer share the last.
FRONT, BACK = {CORES[0]}, {CORES[-1]}


@dataclass(frozen=True)
class Run:
    rate: float  # calls/s
    p50: float  # ms
    p99: float  # ms
    cpu: float  # µs of the measured processes per call; 0 where none were
    calls: int
    p95: float = 0.0  # ms


@contextlib.contextmanager
def program(module: str, *arguments: object, cores: set[int] = BACK) -> Iterator[tuple[int, int]]:
    """`python -m module …`, which prints its port; yields (port, process id)."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        os.sched_setaffinity(running.pid, cores)
        try:
            yield int(running.stdout.readline()), running.pid
        finally:
            running.terminate()


def load(url: str, *, agents: int, seconds: float, pids: Iterable[int] = (), **options: str) -> Run:
    """Raises AssertionError when an answer was wrong: a fast wrong answer is no result."""
    wish = [f"--agents={agents}", f"--seconds={seconds}", *(f"--{k}={v}" for k, v in options.items())]
    before = cpu_seconds(pids)
    command = [sys.executable, "-m", "tests.bench.load", url, *wish]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, preexec_fn=lambda: _pin(BACK)
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    assert not found["wrong"], found["wrong"]
    cpu = (cpu_seconds(pids) - before) / found["calls"] * 1e6
    return Run(found["rate"], found["p50_ms"], found["p99_ms"], cpu, found["calls"], found["p95_ms"])


def _pin(cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)


def pin(pids: Iterable[int], cores: set[int]) -> None:
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), cores)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes so far."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(field[11]) + int(field[12]) for field in fields) / TICKS


def megabytes(pid: int) -> float:
    """Proportional set size: memory shared with others counts in parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024
