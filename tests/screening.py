"""Measures screening: what it misses of poisoned tools, and what it finds in tools that mean no harm."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webapp.services.screening import Flag, Neighbours, screen

SAMPLES = Path(__file__).with_name("poisoned.json")
KNOWN = [("get_ticket", "desk"), ("get_user", "people"), ("send_email", "mail"), ("create_issue", "tracker")]
Tool = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    kind: str
    held_back: bool
    tool: Tool
    flags: list[Flag]


def samples() -> list[Judged]:
    """Whether it is found at all counts; `held_back` ones were not looked at while the rules were made."""
    return [
        Judged(one["kind"], one["held_back"], one["tool"], screen(one["tool"], Neighbours("evil", KNOWN)))
        for one in json.loads(SAMPLES.read_text())["poisoned"]
    ]


def harmless() -> list[Judged]:
    texts = json.loads(SAMPLES.read_text())["benign"]
    tools = [{"name": "get_ticket", "description": text} for text in texts]
    return [Judged("benign", False, tool, screen(tool)) for tool in tools]


def alarms(tools: Iterable[Tool]) -> list[Judged]:
    """Real tools as the corpus keeps them: of their schemas only the keys. Whether a name looks like that of another
    server's tool is asked nowhere: nobody has these sixty servers at once."""
    made = [
        {"name": one["name"], "title": one["title"] or "", "description": one["description"] or "",
         "inputSchema": {"properties": dict.fromkeys(one.get("inputSchema_keys") or [], {})}}
        for one in tools
    ]  # fmt: skip
    return [Judged("real", False, one, flags) for one in made if (flags := screen(one))]


def shadows(tools: list[Tool]) -> list[Judged]:
    """Real tools that are said to speak of another server's, with all of the corpus connected at once."""
    everything = {(one["name"], one["server"]) for one in tools}
    known = {of: _around(of, everything) for of in {one["server"] for one in tools}}
    made = [({"name": one["name"], "description": one["description"] or ""}, one["server"]) for one in tools]
    found = [Judged("real", False, one, screen(one, known[of])) for one, of in made]
    return [one for one in found if any(flag.kind == "shadow" for flag in one.flags)]


def _around(server: str, everything: set[tuple[str, str]]) -> Neighbours:
    others = [(name, of) for name, of in everything if of != server]
    return Neighbours(server, others, [name for name, of in everything if of == server])


def report(tools: list[Tool]) -> str:
    poisoned, benign, false = samples(), harmless(), alarms(tools)
    tuned = [one for one in poisoned if not one.held_back]
    held = [one for one in poisoned if one.held_back]
    lines = [
        f"{words:34} {sum(not one.flags for one in ones):5}/{len(ones)}"
        for words, ones in (("misses, poisoned", tuned), ("misses, poisoned and held back", held))
    ]
    lines.append(
        f"{'false alarms, written to mislead':34} {sum(bool(one.flags) for one in benign):5}/{len(benign)}"
    )
    lines.append(
        f"{'false alarms, real tools':34} {len(false):5}/{len(tools)}  {len(false) / len(tools):.2%}"
    )
    lines.append(f"{'false alarms, other servers’ tools':34} {len(shadows(tools)):5}/{len(tools)}")
    return "\n".join(lines)


def mistakes(tools: list[Tool]) -> str:
    missed = [f"missed  {one.kind}: {one.tool['description'][:100]}" for one in samples() if not one.flags]
    wrong = [one for one in harmless() + alarms(tools) + shadows(tools) if one.flags]
    missed += [
        f"alarm   {one.tool['name']}: {one.flags[0].kind}: {one.flags[0].quote[:120]}" for one in wrong
    ]
    return "\n".join(missed)
