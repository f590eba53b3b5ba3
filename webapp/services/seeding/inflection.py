"""Verbs in all their clothes: "listing", "updated", "applies" are found under "list", "update", "apply"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from webapp.services.seeding import verbs


class Role(Enum):
    """What a verb does; the order is that of precedence where a word is in more than one group."""

    CHANGE = "changes, wherever it stands"
    LOOK = "only looks"
    LOOK_OR_THING = "only looks, or is a thing"
    CHANGE_WHEN_LEADING = "changes when it leads"
    EITHER = "may do either"
    CHANGE_OR_THING = "a thing, sometimes a verb"


class Form(Enum):
    BARE = "list"
    THIRD = "lists"
    ING = "listing"
    PAST = "listed"


@dataclass(frozen=True, slots=True)
class Verb:
    bare: str
    role: Role
    form: Form


GROUPS = (
    (Role.CHANGE, verbs.CHANGE),
    (Role.LOOK, verbs.LOOK | verbs.COMPUTE),
    (Role.LOOK_OR_THING, verbs.LOOK_OR_THING),
    (Role.CHANGE_WHEN_LEADING, verbs.CHANGE_WHEN_LEADING),
    (Role.EITHER, verbs.EITHER),
    (Role.CHANGE_OR_THING, verbs.CHANGE_OR_THING),
)

IRREGULAR = """
begin:begun build:built rebuild:rebuilt buy:bought cut:cut do:done draw:drawn find:found forget:forgotten
get:got go:gone hide:hidden leave:left make:made pay:paid put:put read:read reset:reset rewrite:rewritten
run:run see:seen seek:sought sell:sold send:sent resend:resent set:set show:shown teach:taught undo:undone
think:thought wake:woken withdraw:withdrawn write:written
"""
IRREGULAR_PAST = dict(pair.split(":") for pair in IRREGULAR.split())

VOWELS = "aeiou"
STRESSED_ENDS = ("ban", "cel", "fer", "get", "map", "mit", "pin", "run", "set", "tag")


def _doubles(verb: str) -> bool:
    """Whether the last letter is doubled before -ing and -ed: "stop", "tag", not "open" or "show"."""
    if len(verb) < 3 or verb[-1] in VOWELS + "wxy" or verb[-2] not in VOWELS or verb[-3] in VOWELS:
        return False
    syllables = sum(a not in VOWELS and b in VOWELS for a, b in zip(" " + verb, verb, strict=False))
    return syllables == 1 or verb.endswith(STRESSED_ENDS)


def _stem(verb: str) -> str:
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1]
    return verb + verb[-1] if _doubles(verb) else verb


def _third(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")


def _past(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ied"
    return IRREGULAR_PAST.get(verb) or _stem(verb) + "ed"


def _forms(verb: str) -> Iterator[tuple[str, Form]]:
    yield _third(verb), Form.THIRD
    yield _stem(verb) + "ing", Form.ING
    yield _past(verb), Form.PAST
    if _doubles(verb) or verb.endswith("el"):  # both spellings are about: cancelled, canceled
        yield verb + "ing", Form.ING
        yield verb + "ed", Form.PAST
        yield verb + verb[-1] + "ing", Form.ING
        yield verb + verb[-1] + "ed", Form.PAST


def _dressed() -> dict[str, Verb]:
    table: dict[str, Verb] = {}
    for role, bare in GROUPS:
        for verb in sorted(bare):
            table.setdefault(verb, Verb(verb, role, Form.BARE))
    for known in list(table.values()):
        for text, form in _forms(known.bare):
            table.setdefault(text, Verb(known.bare, known.role, form))
    return table


VERBS = _dressed()
"""Every form of every verb, to what it is; a bare verb wins over another verb's form."""
