"""Gives a tool its first policy, with the reason: what surely reads is Auto, all else needs approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from webapp.services.seeding.cutting import cut
from webapp.services.seeding.description import opening_of, read_description
from webapp.services.seeding.finding import Finding, Says
from webapp.services.seeding.name import read_name
from webapp.services.seeding.schema import names_a_destination, raw_parameter, read_schema
from webapp.services.seeding.statements import hands_over, reads_only, takes_raw_language
from webapp.services.seeding.things import STATE, THINGS
from webapp.services.seeding.verbs import EMPTY_VERBS, HANDS_OVER

Policy = Literal["auto", "approval", "disabled"]
Kind = Literal["read", "write", "unknown"]


@dataclass(frozen=True, slots=True)
class Seed:
    policy: Policy
    reason: str
    kind: Kind


def seed(name: object, description: object, annotations: object = None, input_schema: object = None) -> Seed:
    """Never raises: what isn't text, or not a mapping, is simply no evidence."""
    words = cut(name) if isinstance(name, str) else []
    text = description if isinstance(description, str) else ""
    named, said, offered = read_name(words), read_description(text), read_schema(input_schema)
    return (
        _says_write(annotations, named, said, offered)
        or _unsure(words, named, offered, text, input_schema)
        or _says_read(words, named, said, offered, text)
        or _in_doubt(words, named)
    )


def _says_write(annotations: object, named: Finding, said: Finding, offered: Finding) -> Seed | None:
    """Any one of four witnesses is enough."""
    if hint := _tightening_hint(annotations):
        return _write(hint)
    if offered.says is Says.WRITE:
        return _write(offered.word)
    if named.says is Says.WRITE and not (offered.says is Says.READ and named.word in EMPTY_VERBS):
        return _write(f"the name says “{named.word}”")
    if said.says is Says.WRITE:
        return _write(f"the description says “{said.word}”")
    return None


def _unsure(
    words: list[str], named: Finding, offered: Finding, text: str, input_schema: object
) -> Seed | None:
    """What would run any code or SQL it is given, and files that may land on a disk."""
    if not words:
        return _unknown("the name can't be read")
    if offered.says is Says.EITHER and named.says is not Says.READ:
        return _unknown(f"what its “{offered.word}” can be is not listed")
    if (raw := _runs_raw(words, named, text, input_schema)) and not reads_only(text):
        return _unknown(f"it runs what it is given as “{raw}”")
    if named.says is Says.EITHER and named.word in HANDS_OVER:
        if not hands_over(text) or names_a_destination(input_schema):
            return _unknown(f"“{named.word}” may put it in a file")
    return None


def _runs_raw(words: list[str], named: Finding, text: str, input_schema: object) -> str:
    """The parameter or language in which it is told what to run; what surely looks is told no such thing."""
    if named.says is Says.READ and "query" not in words:
        return ""
    raw = raw_parameter(input_schema)
    return raw or ("query" if named.word == "query" and takes_raw_language(opening_of(text)) else "")


def _says_read(words: list[str], named: Finding, said: Finding, offered: Finding, text: str) -> Seed | None:
    if offered.says is Says.READ:
        return _read(offered.word)
    if named.says is Says.READ:
        return _read(f"the name says “{named.word}”")
    if said.says is Says.READ:
        return _read(f"the description says “{said.word}”")
    if named.says is Says.EITHER and named.word in HANDS_OVER:
        return _read(f"it hands over what it can “{named.word}”")
    if named.says is said.says is Says.NOTHING and _asks_for_a_state(words):
        return _read(f"the name asks for “{words[-1]}”")
    return None


def _asks_for_a_state(words: list[str]) -> bool:
    """ "server_status"; a word that isn't known could be a verb that isn't known."""
    return words[-1] in STATE and all(word in THINGS or word in STATE for word in words)


def _in_doubt(words: list[str], named: Finding) -> Seed:
    if named.says is Says.EITHER:
        return _unknown(f"“{named.word}” can be a read or a write")
    return _unknown("nothing says that it only reads")


def _tightening_hint(annotations: object) -> str:
    if not isinstance(annotations, Mapping):
        return ""
    if annotations.get("destructiveHint") is True:
        return "the server marks it as destructive"
    if annotations.get("readOnlyHint") is False:
        return "the server marks it as not read-only"
    return ""


def _read(reason: str) -> Seed:
    return Seed("auto", reason, "read")


def _write(reason: str) -> Seed:
    return Seed("approval", reason, "write")


def _unknown(reason: str) -> Seed:
    return Seed("approval", reason, "unknown")
