"""What healthy servers' agents notice of broken ones: the same load without and with calls to those beside it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.measure import Run
from tests.load.chaos import TOOLS, Scene, scene
from tests.load.faults import KINDS

RATES = (200, 0)  # calls a second of 32 agents; 0: as fast as they can
PAUSES = (10.0, 4.0, 1.0)  # seconds between two calls of one tool of a broken server; each has two tools


def chaos(rounds: int, seconds: float) -> None:
    """Two workers, as it is shipped; they share the machine with the agents and all servers. How much of what agents
    notice comes from that alone, calls show that go past Gatehouse meanwhile."""
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder)) as here:
        here.healthy(seconds)  # warm
        measures = {
            f"{words}, {f'{rate} calls/s' if rate else 'as fast as they can'}": partial(how, seconds, rate)
            for rate in RATES
            for words, how in (("directly", here.past_it), ("through Gatehouse", here.healthy))
        }
        quiet = [_middle(rounds, measure) for measure in measures.values()]
        here.throw_the_switch()
        loud = {}
        for pause in PAUSES:
            with _calls_to_the_broken(here, pause):
                runs = [_middle(rounds, measure) for measure in measures.values()]
            loud[f"{len(KINDS) * len(TOOLS) / pause:.0f} broken calls/s"] = runs
        print(
            f"\n{f'32 agents, {len(KINDS)} broken servers':<40}{'calls/s':>9}{'p50 ms':>9}{'p95 ms':>9}{'p95 ×':>7}"
        )
        for number, (words, before) in enumerate(zip(measures, quiet, strict=True)):
            _line(words, before, before)
            for what, runs in loud.items():
                _line(f"  with {what}", runs[number], before)
        print(f"calls to broken servers meanwhile: {sum(map(len, here.answers.values())):,}", flush=True)


def _line(words: str, run: Run, before: Run) -> None:
    print(f"{words:<40}{run.rate:>9,.0f}{run.p50:>9.2f}{run.p95:>9.2f}{run.p95 / before.p95:>7.2f}")


def _middle(rounds: int, measure: Callable[[], Run]) -> Run:
    """The round in the middle, by p95."""
    return sorted((measure() for _ in range(rounds)), key=lambda run: run.p95)[rounds // 2]


@contextlib.contextmanager
def _calls_to_the_broken(here: Scene, pause: float) -> Iterator[None]:
    over = threading.Event()
    suffering = threading.Thread(
        target=lambda: asyncio.run(here.suffer(lambda _: not over.is_set(), pause=pause))
    )
    suffering.start()
    try:
        yield
    finally:
        over.set()
        suffering.join()
