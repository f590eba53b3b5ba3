"""Measures seeding and tool search on real tools: `python -m tests.corpus [--wrong] [FILE.jsonl …]`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import finding, screening
from webapp.services.seeding import Seed, seed

DEFAULT = Path(__file__).resolve().parents[2] / "shared/corpus/tools-dev.jsonl"
Tool = dict[str, Any]
_MISTAKE = {True: "WRITE seeded Auto", False: "read held back   "}


@dataclass(frozen=True)
class Judged:
    tool: Tool
    seed: Seed

    @property
    def is_write(self) -> bool:
        return bool(self.tool["label"] == "write")

    @property
    def wrong(self) -> bool:
        return (self.seed.policy == "auto") is self.is_write

    @property
    def style(self) -> str:
        style = self.tool.get("style") or {}
        case, verb = style.get("case", "other"), style.get("verb", "")
        return f"{case}, {verb}" if verb else str(case)


def load(path: Path) -> list[Tool]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def schema_of(tool: Tool) -> dict[str, Any]:
    """An input schema in miniature: the corpus keeps top-level keys and the values of action parameters."""
    offered = tool.get("action_values") or {}
    keys = [*(tool.get("inputSchema_keys") or []), *offered]
    return {"type": "object", "properties": {k: {"enum": offered[k]} if k in offered else {} for k in keys}}


def judge(tools: Iterable[Tool]) -> list[Judged]:
    return [Judged(t, seed(t["name"], t["description"], t["annotations"], schema_of(t))) for t in tools]


def unsafe_auto(judged: Iterable[Judged]) -> tuple[int, int]:
    writes = [one for one in judged if one.is_write]
    return sum(one.seed.policy == "auto" for one in writes), len(writes)


def read_auto(judged: Iterable[Judged]) -> tuple[int, int]:
    reads = [one for one in judged if not one.is_write]
    return sum(one.seed.policy == "auto" for one in reads), len(reads)


def microseconds_a_tool(tools: list[Tool]) -> float:
    asked = [(t["name"], t["description"], t["annotations"], schema_of(t)) for t in tools]
    best = min(_timed(lambda: [seed(*one) for one in asked]) for _ in range(3))
    return best / max(1, len(asked)) * 1e6


def _timed(work: Callable[[], object]) -> float:
    start = time.process_time()  # of the processor: a busy machine must not count
    work()
    return time.process_time() - start


def _share(part: tuple[int, int]) -> str:
    return f"{part[0]:5}/{part[1]:<5}" + (f"{part[0] / part[1]:8.2%}" if part[1] else "       –")


def _row(title: str, judged: list[Judged]) -> str:
    return f"{title:32} {len(judged):6}   {_share(unsafe_auto(judged))}   {_share(read_auto(judged))}"


def report(judged: list[Judged]) -> str:
    styles: dict[str, list[Judged]] = {}
    for one in judged:
        styles.setdefault(one.style, []).append(one)
    head = f"{'':32} {'tools':>6}   {'unsafe-auto':^19}   {'read-auto':^19}"
    rows = [_row(style, ones) for style, ones in sorted(styles.items(), key=lambda item: -len(item[1]))]
    return "\n".join([head, _row("all", judged), *rows])


def mistakes(judged: Iterable[Judged]) -> str:
    """Writes seeded Auto first: they are the costly ones."""
    wrong = sorted((one for one in judged if one.wrong), key=lambda one: (not one.is_write, one.tool["name"]))
    return "\n".join(f"{_MISTAKE[one.is_write]}  {one.tool['name']}: {one.seed.reason}" for one in wrong)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=[DEFAULT], metavar="FILE.jsonl")
    parser.add_argument("--wrong", action="store_true", help="list misjudged tools and tasks not found")
    asked = parser.parse_args(arguments)
    for path in asked.files:
        if not path.is_file():
            print(f"skipped: {path} is not here")
            continue
        tools = load(path)
        judged = judge(tools)
        print(f"{path}: {microseconds_a_tool(tools):.1f} µs a tool")
        print(report(judged))
        if asked.wrong:
            print(mistakes(judged))
        if path == DEFAULT:
            print("\ntool search: the wanted tool for a task in plain English")
            searched = finding.search(tools)
            print(finding.report(searched))
            if asked.wrong:
                print(finding.misses(searched))
            print("\nscreening: poisoned tools, and tools that mean no harm")
            print(screening.report(tools))
            if asked.wrong:
                print(screening.mistakes(tools))


if __name__ == "__main__":
    main()
