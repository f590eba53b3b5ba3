"""Finding a tool by plain words: BM25 over the parts of a tool's definition, each with its weight."""

from __future__ import annotations

import heapq
import math
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from webapp.services.wording import CHANGES, DEEDS, FIRST_MEANS, IGNORED, OBJECTS, PHRASES, SYNONYMS, stem

# What a match in each part counts, in proportion to one in the description.
WEIGHTS = {"name": 4.0, "server": 2.5, "title": 2.0, "lead": 1.6, "rest": 0.5, "parameters": 0.6}
LENGTH_COUNTS = {"name": 0.4, "server": 0.0, "title": 0.4, "lead": 0.4, "rest": 0.6, "parameters": 0.6}
SATURATION = 2.0
SYNONYM_COUNTS = 0.7
PREFIX_COUNTS = 0.6
PAIR_COUNTS = 0.5
COVERAGE_COUNTS = 0.6
DEED_COUNTS = 4.0
EXACT = 100.0
UNASKED_COUNTS = 0.85  # for a tool that changes something when nobody spoke of that change
LONGEST_TEXT = 3000  # characters of a description; what comes after tells the model how, not what
MOST_PARAMETERS = 300
LONGEST_QUERY = 60  # words
MOST_PREFIXED = 12
WORD = re.compile(r"[A-Z]+[0-9]*(?![a-z])|[A-Z]?[a-z]+[0-9]*[a-z]?|[0-9]+|[^\W\d_a-zA-Z]+")
RUN = re.compile(r"[^\W_]+")
SENTENCE = re.compile(r"(?<=[.!?:])\s|\n")


@dataclass(frozen=True)
class Described:
    """What there is to go by. `server`: all it is called; `parameters`: their names and the values they offer."""

    name: str
    server: str
    title: str = ""
    description: str = ""
    parameters: Sequence[str] = ()
    wire_name: str = ""


def described(name: str, server: str, definition: dict[str, Any], wire_name: str = "") -> Described:
    annotations = definition.get("annotations")
    hint = annotations.get("title") if isinstance(annotations, dict) else None
    title = definition.get("title") or hint or ""
    return Described(name, server, str(title), str(definition.get("description") or ""),
                     tuple(islice(_parameters(definition.get("inputSchema")), MOST_PARAMETERS)), wire_name)  # fmt: skip


def _parameters(schema: object) -> Iterable[str]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, about in properties.items() if isinstance(properties, dict) else ():
        yield str(name)
        offered = about.get("enum") if isinstance(about, dict) else None
        if isinstance(offered, list):
            yield from (value for value in offered if isinstance(value, str))


def words(text: str) -> list[str]:
    """Stems in order, with one word for each known phrase. createTicket is create and ticket; HaloPSA is halopsa
    besides halo and psa."""
    found: list[str] = []
    for run in RUN.findall(text):
        parts = [part.lower() for part in WORD.findall(run)]
        if len(parts) > 1:
            found.append(stem("".join(parts)))
        found += map(stem, parts)
    return _shortened(found)


def _shortened(found: list[str]) -> list[str]:
    short: list[str] = []
    place = 0
    while place < len(found):
        for length in (3, 2):
            if meaning := _meaning(tuple(found[place : place + length])):
                short.append(meaning)
                place += length
                break
        else:
            short.append(found[place])
            place += 1
    return short


def _meaning(phrase: tuple[str, ...]) -> str | None:
    """Also of a verb that its object has cut in two: turn it off, sign them out."""
    if len(phrase) == 3 and phrase[1] in OBJECTS:
        return PHRASES.get((phrase[0], phrase[2]))
    return PHRASES.get(phrase)


def _with_pairs(found: list[str]) -> list[str]:
    """Neighbours too: "access key" counts for more than both of its words."""
    telling = [word for word in found if word not in IGNORED]
    return found + [f"{first} {second}" for first, second in zip(telling, telling[1:], strict=False)]


class Wanted(NamedTuple):
    """One thing asked for: the words that mean it, each with its worth."""

    meanings: dict[str, float]
    rarity: float
    is_pair: bool = False


class Index:
    """Made once for a set of tools; `search` reads only."""

    def __init__(self, tools: Sequence[Described]) -> None:
        parts = [_parts(tool) for tool in tools]
        usual = {
            part: max(1.0, sum(len(one[part]) for one in parts) / max(1, len(parts))) for part in WEIGHTS
        }
        self._names = [{tool.name.lower(), tool.wire_name.lower()} for tool in tools]
        self._changes = [CHANGES.intersection(one["name"]) for one in parts]
        self._found_in: dict[str, list[tuple[int, float]]] = {}
        for number, one in enumerate(parts):
            for word, weight in _weighed(one, usual).items():
                self._found_in.setdefault(word, []).append((number, weight / (weight + SATURATION)))
        self._vocabulary = sorted(self._found_in)

    def search(self, query: str, limit: int, among: Collection[int] | None = None) -> list[int]:
        """Numbers of the tools that fit best, the best first, at most `limit`, only of those in `among`."""
        asked = self._asked(query)
        scores: dict[int, float] = {}
        covered: dict[int, float] = {}
        for one in asked:
            worth = one.rarity * (PAIR_COUNTS if one.is_pair else 1.0)
            for number, strength in self._hits(one.meanings).items():
                scores[number] = scores.get(number, 0.0) + worth * strength
                if not one.is_pair:
                    covered[number] = covered.get(number, 0.0) + one.rarity
        total = sum(one.rarity for one in asked if not one.is_pair)
        spoken = {word for one in asked for word in one.meanings}
        exactly = query.strip().lower()
        ranked: list[tuple[float, int]] = []
        for number, score in scores.items():
            if among is None or number in among:
                score *= 1 - COVERAGE_COUNTS + COVERAGE_COUNTS * covered.get(number, 0.0) / total
                if self._changes[number] and self._changes[number].isdisjoint(spoken):
                    score *= UNASKED_COUNTS
                ranked.append((score + (EXACT if exactly in self._names[number] else 0.0), -number))
        return [-number for _, number in heapq.nlargest(limit, ranked)]

    def _asked(self, query: str) -> list[Wanted]:
        found = self._joined(words(query)[:LONGEST_QUERY])
        asked: dict[str, Wanted] = {}
        telling = [word for word in found if word not in IGNORED]
        for word in [FIRST_MEANS[word] for word in telling[:1] if word in FIRST_MEANS] + telling:
            if meanings := self._meanings(word):
                asked[word] = Wanted(meanings, self._rarity(meanings, word))
        for pair in _with_pairs(found)[len(found) :]:
            if pair in self._found_in:
                asked[pair] = Wanted({pair: 1.0}, self._rarity({pair: 1.0}), is_pair=True)
        return list(asked.values())

    def _joined(self, found: list[str]) -> list[str]:
        """IT Glue is itglue where a server is called so, and a time sheet a timesheet."""
        joined: list[str] = []
        for word in found:
            together = joined[-1] + word if joined else ""
            if together in self._found_in:
                joined[-1] = together
            else:
                joined.append(word)
        return joined

    def _meanings(self, word: str) -> dict[str, float]:
        meanings = {word: 1.0} | {other: SYNONYM_COUNTS for other in SYNONYMS.get(word, ())}
        known = {one: worth for one, worth in meanings.items() if one in self._found_in}
        return known or (self._beginning_with(word) if len(word) > 2 else {})

    def _beginning_with(self, word: str) -> dict[str, float]:
        start = bisect_left(self._vocabulary, word)
        near = self._vocabulary[start : start + MOST_PREFIXED]
        return {other: PREFIX_COUNTS for other in near if other.startswith(word)}

    def _rarity(self, meanings: dict[str, float], word: str = "") -> float:
        """Of the word itself; of the commonest that means it where it is not known at all."""
        best = max(meanings.values())
        seen = max(len(self._found_in[word]) for word, worth in meanings.items() if worth == best)
        rarity = math.log(1 + (len(self._names) - seen + 0.5) / (seen + 0.5))
        return max(rarity, DEED_COUNTS) if word in DEEDS else rarity

    def _hits(self, meanings: dict[str, float]) -> dict[int, float]:
        """The word itself comes first and mostly stands alone, so that needs no look at each tool."""
        first, *others = meanings
        worth = meanings[first]
        hits = dict(self._found_in[first])
        if worth != 1.0:
            hits = {number: worth * strength for number, strength in hits.items()}
        for word in others:
            worth = meanings[word]
            for number, strength in self._found_in[word]:
                if worth * strength > hits.get(number, 0.0):
                    hits[number] = worth * strength
        return hits


def _parts(tool: Described) -> dict[str, list[str]]:
    description = tool.description[:LONGEST_TEXT].strip()
    lead, *rest = SENTENCE.split(description, maxsplit=1)
    return {
        "name": _with_pairs(words(tool.name)),
        "server": _with_pairs(words(tool.server)),
        "title": _with_pairs(words(tool.title)),
        "lead": _with_pairs(words(lead)),
        "rest": words(" ".join(rest)),
        "parameters": _with_pairs(words(" ".join(tool.parameters))),
    }


def _weighed(parts: dict[str, list[str]], usual: dict[str, float]) -> dict[str, float]:
    weighed: dict[str, float] = {}
    for part, found in parts.items():
        share = LENGTH_COUNTS[part]
        worth = WEIGHTS[part] / (1 - share + share * len(found) / usual[part])
        for word in found:
            weighed[word] = weighed.get(word, 0.0) + worth
    return weighed
