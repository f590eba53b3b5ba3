"""Verbs in all their clothes: "listing", "updated" and "applies" are found under "list", "update", "apply"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from webapp.services.seeding import words


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
    (Role.CHANGE, words.CHANGE),
    (Role.LOOK, words.LOOK | words.COMPUTE),
    (Role.LOOK_OR_THING, words.LOOK_OR_THING),
    (Role.CHANGE_WHEN_LEADING, words.CHANGE_WHEN_LEADING),
    (Role.EITHER, words.EITHER),
    (Role.CHANGE_OR_THING, words.CHANGE_OR_THING),
)

IRREGULAR_PAST = {
    "send": "sent", "resend": "resent", "write": "written", "rewrite": "rewritten", "find": "found", "get": "got",
    "build": "built", "rebuild": "rebuilt", "buy": "bought", "sell": "sold", "pay": "paid", "begin": "begun",
    "make": "made", "do": "done", "see": "seen", "show": "shown", "tell": "told", "teach": "taught", "leave": "left",
    "forget": "forgotten", "undo": "undone", "withdraw": "withdrawn", "hide": "hidden", "run": "run", "set": "set",
    "reset": "reset", "put": "put", "cut": "cut", "read": "read", "seek": "sought", "go": "gone", "draw": "drawn",
    "think": "thought", "wake": "woken", "spin": "spun",
}  # fmt: skip

VOWELS = "aeiou"


def _doubles(verb: str) -> bool:
    """Whether the last letter is doubled before -ing and -ed: "stop", "tag", "get", but not "open" or "show"."""
    if len(verb) < 3 or verb[-1] in VOWELS + "wxy" or verb[-2] not in VOWELS or verb[-3] in VOWELS:
        return False
    syllables = sum(a not in VOWELS and b in VOWELS for a, b in zip(" " + verb, verb, strict=False))
    return syllables == 1 or verb.endswith(("set", "mit", "fer", "run", "ban", "pin", "map", "tag", "get", "cel"))


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
    for role, verbs in GROUPS:
        for verb in verbs:
            table.setdefault(verb, Verb(verb, role, Form.BARE))
    for verb in [v for v in table.values() if len(v.bare) > 1]:
        for text, form in _forms(verb.bare):
            table.setdefault(text, Verb(verb.bare, verb.role, form))
    return table


VERBS = _dressed()
"""Every form of every verb, to what it is; a bare verb wins over another verb's form."""
