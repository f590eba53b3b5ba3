"""What is other in a definition than in the one that a person knows, word by word, for whoever reviews it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from webapp.upstream.listing import more_in

TEXTS = {"name": "Name", "title": "Title", "description": "Description"}
OBJECTS = {"inputSchema": "Input schema", "outputSchema": "Output schema", "annotations": "Annotations"}
MORE = "Other fields"  # for programs; `_meta` is among them
# Lists that mean a set, as in the digest: their order is no change.
SETS = frozenset({"required", "enum", "type"})
WORD = re.compile(r"\s*[^\W_]+|\s*.|\s+", re.S)
# Comparing can grow with the square of the words. What is longer is compared line by line, then not at all.
MOST_WORDS = 800
MOST_LINES = 800
LONGEST_KNOWN = 240
LONGEST_IN_LOG = 4000

Piece = tuple[str, str]  # (same, added or removed; the text)


@dataclass(frozen=True)
class Change:
    """One value that differs. `path` is empty for a text that is a part by itself."""

    path: str
    pieces: list[Piece]


@dataclass(frozen=True)
class Part:
    title: str
    changes: list[Change]


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[Part]:
    parts = [Part(title, _of_text(before.get(key), after.get(key))) for key, title in TEXTS.items()]
    parts += [Part(title, _of_object(before.get(key), after.get(key))) for key, title in OBJECTS.items()]
    parts.append(Part(MORE, _of_object(more_in(before), more_in(after))))
    return [part for part in parts if part.changes]


def in_short(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, str]]:
    """For the log: [-what went-] and {+what came+}, as git's word difference has it."""
    parts = compare(before, after)
    return [{"part": part.title, "difference": _marked(part.changes)[:LONGEST_IN_LOG]} for part in parts]


def names_of_parts(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, str]]:
    """The same without the words, where so much changed at once that comparing it would take long."""
    titles = (TEXTS | OBJECTS).items()
    named = [{"part": title} for key, title in titles if before.get(key) != after.get(key)]
    return named + ([{"part": MORE}] if more_in(before) != more_in(after) else [])


def pieces_of(before: str, after: str) -> list[Piece]:
    """All of both texts in order; what is the same comes once."""
    old, new = WORD.findall(before), WORD.findall(after)
    if max(len(old), len(new)) <= MOST_WORDS:
        return list(_joined(_opcodes(old, new), old, new))
    return _by_lines(before.splitlines(keepends=True), after.splitlines(keepends=True))


def folded(pieces: list[Piece]) -> list[Piece]:
    """Long stretches that are the same are cut to their ends: nobody reviews what has not changed."""
    return [_cut(number, piece, len(pieces)) for number, piece in enumerate(pieces)]


def _cut(number: int, piece: Piece, count: int) -> Piece:
    kind, text = piece
    if kind != "same" or len(text) <= LONGEST_KNOWN:
        return piece
    half = LONGEST_KNOWN // 2
    head = text[:half].rsplit(" ", 1)[0] if number else ""
    tail = text[-half:].split(" ", 1)[-1] if number < count - 1 else ""
    return kind, f"{head} … {tail}"


def _of_text(before: Any, after: Any) -> list[Change]:
    old, new = (value if isinstance(value, str) else "" for value in (before, after))
    return [Change("", folded(pieces_of(old, new)))] if old != new else []


def _of_object(before: Any, after: Any) -> list[Change]:
    old, new = dict(_leaves(before)), dict(_leaves(after))
    changed = [path for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path)]
    return [Change(path, folded(pieces_of(old.get(path, ""), new.get(path, "")))) for path in changed]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, value as text) of everything in a JSON value; what is empty is a value too."""
    name = path.rpartition(" › ")[2]
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path} › {key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for number, inner in enumerate(value, 1):
            yield from _leaves(inner, f"{path} › {number}")
    elif isinstance(value, list):
        texts = [_plain(item) for item in value]
        yield path, ", ".join(sorted(texts) if name in SETS else texts)
    elif path:
        yield path, _plain(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _by_lines(old: list[str], new: list[str]) -> list[Piece]:
    if max(len(old), len(new)) > MOST_LINES:
        return [("removed", "".join(old)), ("added", "".join(new))]
    return list(_joined(_opcodes(old, new), old, new))


def _opcodes(old: list[str], new: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """With `autojunk`, which leaves frequent words out of the comparing: without, 1,400 words that a hostile server
    chooses well take 9 seconds."""
    return SequenceMatcher(None, old, new, autojunk=True).get_opcodes()


def _joined(
    opcodes: Sequence[tuple[str, int, int, int, int]], old: list[str], new: list[str]
) -> Iterator[Piece]:
    for tag, a, b, c, d in opcodes:
        if tag == "equal":
            yield "same", "".join(old[a:b])
            continue
        if b > a:
            yield "removed", "".join(old[a:b])
        if d > c:
            yield "added", "".join(new[c:d])


def _marked(changes: list[Change]) -> str:
    signs = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}
    lines = []
    for change in changes:
        text = "".join(signs[kind][0] + words + signs[kind][1] for kind, words in change.pieces)
        lines.append(f"{change.path}: {text}" if change.path else text)
    return "\n".join(lines)
