"""The read that shows what a write would change: `get_ticket` for `update_ticket`, by names and schemas alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from webapp.services.approvals.wording import says_which, words_of
from webapp.services.seeding.inflection import VERBS

# Verbs of reads that answer with one thing.
LOOKS = frozenset("get show read describe view fetch retrieve lookup find inspect load".split())
MAKERS = frozenset("create add new insert make register provision".split())
# Words of a name that say nothing about the thing.
FILLERS = frozenset(
    "by id the a an of in on to for from with single one details detail info data full".split()
)
# Where a thing is, when its own id is not enough: a repository's owner, a tenant.
PLACES = frozenset(
    "owner repo repository org organization organisation project workspace account tenant team site zone "
    "branch ref database collection table index bucket namespace region client company customer".split()
)


@dataclass(frozen=True)
class Shape:
    """A tool as far as its name and its input schema go. `properties`: name → declared type, or empty."""

    name: str
    properties: Mapping[str, str]
    required: frozenset[str] = frozenset()

    @classmethod
    def of(cls, name: str, schema: Any) -> Shape:
        schema = schema if isinstance(schema, dict) else {}
        properties, required = schema.get("properties"), schema.get("required")
        return cls(
            name,
            {key: _type(value) for key, value in properties.items()} if isinstance(properties, dict) else {},
            frozenset(key for key in required if isinstance(key, str))
            if isinstance(required, list)
            else frozenset(),
        )


@dataclass(frozen=True)
class Match:
    """`arguments`: what the read is given → the write's argument that it is taken from."""

    read: str
    arguments: Mapping[str, str]


def counterpart(write: Shape, reads: Iterable[Shape]) -> Match | None:
    """The read that fits best, or None. Only what surely points at the same thing is taken."""
    found: list[tuple[tuple[int, int], Match]] = []
    for read in reads:
        looked_at = _looked_at(read.name)
        thing = _thing(write.name, looked_at)
        if not looked_at or not _is_part(looked_at, thing) or _makes(write.name, looked_at):
            continue
        arguments = _arguments(write, read, looked_at[-1])
        if arguments and not _means_another(write, thing[-1], looked_at[-1], set(arguments.values())):
            closeness = (len(looked_at), -len(read.properties))
            found.append((closeness, Match(read.name, arguments)))
    return max(found, key=lambda pair: (pair[0], pair[1].read))[1] if found else None


def _thing(name: str, looked_at: list[str]) -> list[str]:
    """What a tool deals with: its name without its verb, which may also be last."""
    words = [_singular(word) for word in words_of(name) if word not in FILLERS]
    verb = next((word for word in words if word in VERBS and word not in looked_at), "")
    return [word for word in words if word != verb]


def _looked_at(name: str) -> list[str]:
    """The thing of a read that answers with one of it; empty for everything else."""
    words = words_of(name)
    verb = next((word for word in words if word in LOOKS), "")
    things = [word for word in words if word != verb and word not in FILLERS]
    if not verb or not things or _is_plural(things[-1]):
        return []
    return [_singular(word) for word in things]


def _makes(name: str, looked_at: list[str]) -> bool:
    """A thing that is yet to be made can't be looked at; what it becomes a part of can."""
    words = words_of(name)
    made = [_singular(word) for word in words if word not in MAKERS and word not in FILLERS]
    return bool(MAKERS.intersection(words)) and made == looked_at


def _means_another(write: Shape, last: str, thing: str, passed_on: set[str]) -> bool:
    """The last thing of the name has an id of its own, which the read would not be given: "page_id" of
    "delete site page", for a read of sites. Or the read would be given the plain "id", which is the page's."""
    if last != thing and any(len(words_of(name)) == 1 and _own_id(name, thing) for name in passed_on):
        return True
    for name in set(write.properties) - passed_on:
        words = [_singular(word) for word in words_of(name)]
        if len(words) > 1 and words[-2] == last and says_which(name):
            return True
    return False


def _is_part(small: list[str], large: list[str]) -> bool:
    """In this order, though not side by side: "ticket" of "add ticket note"."""
    rest = iter(large)
    return all(word in rest for word in small)


def _arguments(write: Shape, read: Shape, thing: str) -> dict[str, str]:
    """How the read is asked with what the write is given; empty when that can't be said."""
    given: dict[str, str] = {}
    for name in read.properties:
        source = _source(name, write, thing)
        if source and _may_be_same(read.properties[name], write.properties[source]):
            given[name] = source
        elif name in read.required or (_points(name, thing) and words_of(name)[-2:-1] == [thing]):
            return {}
    return given if any(_points(name, thing) for name in given) else {}


def _source(name: str, write: Shape, thing: str) -> str:
    """The write's argument that means the same: of the same name, or "id" for "ticket_id" and the other way round."""
    if not (_points(name, thing) or words_of(name)[-1:] and words_of(name)[-1] in PLACES):
        return ""
    for other in write.properties:
        if words_of(other) == words_of(name):
            return other
    mine = _own_id(name, thing)
    return next((other for other in write.properties if mine and _own_id(other, thing) == mine), "")


def _own_id(name: str, thing: str) -> str:
    """ "id", "ticket_id", "ticketId" are all the ticket's id; empty for what is not."""
    words = [_singular(word) for word in words_of(name)]
    if words[:1] == [thing] and len(words) == 2:
        words = words[1:]
    return words[0] if len(words) == 1 and says_which(words[0]) else ""


def _points(name: str, thing: str) -> bool:
    return says_which(name) or words_of(name) == [thing]


def _may_be_same(one: str, other: str) -> bool:
    return not one or not other or one == other


def _type(schema: Any) -> str:
    kind = schema.get("type") if isinstance(schema, dict) else None
    return kind if isinstance(kind, str) else ""


def _is_plural(word: str) -> bool:
    return _singular(word) != word


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
