"""Measures tool search: is the wanted tool of a hundred plain tasks among the first five?"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webapp.services.tool_search import Described, Index

TASKS = Path(__file__).parent / "tasks.json"
FIRST = 5


@dataclass(frozen=True)
class Task:
    """`any_of`: server/tool. Those held back were written with the others and left alone while the ranking was made."""

    task: str
    any_of: Sequence[str]
    held_back: bool = False


@dataclass(frozen=True)
class Searched:
    task: Task
    place: int | None  # of the first tool that will do, from 1; None: not among those shown
    milliseconds: float


def tasks() -> list[Task]:
    return [Task(**one) for one in json.loads(TASKS.read_text(encoding="utf-8"))]


def described(tool: dict[str, Any]) -> Described:
    """The corpus keeps the names of parameters and the values of those that choose an action."""
    offered = [value for values in (tool.get("action_values") or {}).values() for value in values]
    parameters = [*(tool.get("inputSchema_keys") or []), *map(str, offered)]
    return Described(
        tool["name"], tool["server"], tool["title"] or "", tool["description"] or "", tuple(parameters)
    )


def search(tools: list[dict[str, Any]]) -> list[Searched]:
    index = Index([described(tool) for tool in tools])
    names = [f"{tool['server']}/{tool['name']}" for tool in tools]
    found = []
    for task in tasks():
        if missing := set(task.any_of) - set(names):
            raise ValueError(f"not in the corpus: {sorted(missing)}")
        best = [names[number] for number in index.search(task.task, 20)]
        places = [place for place, name in enumerate(best, 1) if name in task.any_of]
        took = min(_milliseconds(index, task.task) for _ in range(3))
        found.append(Searched(task, places[0] if places else None, took))
    return found


def _milliseconds(index: Index, task: str) -> float:
    start = time.process_time()  # of the processor: a busy machine must not count
    index.search(task, FIRST)
    return (time.process_time() - start) * 1000


def hits(searched: list[Searched], within: int) -> int:
    return sum(one.place is not None and one.place <= within for one in searched)


def report(searched: list[Searched]) -> str:
    parts = {
        "all tasks": searched,
        "known while ranking": [one for one in searched if not one.task.held_back],
        "held back": [one for one in searched if one.task.held_back],
    }
    rows = [
        f"{title:22}{len(ones):6}{_share(ones, 1):>16}{_share(ones, FIRST):>16}"
        for title, ones in parts.items()
    ]
    took = sorted(one.milliseconds for one in searched)
    speed = f"a search: {statistics.median(took):.1f} ms in the middle, {took[-1]:.1f} ms at most"
    return "\n".join([f"{'':22}{'tasks':>6}{'first':>16}{'first five':>16}", *rows, speed])


def misses(searched: list[Searched]) -> str:
    """Without those held back: who tunes by them has no measure left."""
    missed = [one for one in searched if not one.task.held_back and (one.place is None or one.place > FIRST)]
    return "\n".join(f"{one.place or '–':>3}  {one.task.task}  ({one.task.any_of[0]})" for one in missed)


def _share(searched: list[Searched], within: int) -> str:
    count = hits(searched, within)
    return f"{count}/{len(searched)} {count / len(searched):6.1%}" if searched else "–"
