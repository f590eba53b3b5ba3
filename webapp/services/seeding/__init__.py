"""Gives a tool its first policy, with the reason: what surely reads is Auto, everything else waits for approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from webapp.services.seeding.cutting import cut
from webapp.services.seeding.description import hands_over, read_description, reads_only
from webapp.services.seeding.finding import Finding, Says
from webapp.services.seeding.name import read_name
from webapp.services.seeding.schema import names_a_destination, raw_parameter, read_schema
from webapp.services.seeding.words import EMPTY_VERBS, HANDS_OVER, STATE

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
    named, said = read_name(words), read_description(text)
    if hint := _tightening_hint(annotations):
        return _write(hint)
    offered = read_schema(input_schema)
    if offered.says is Says.WRITE:
        return _write(offered.word)
    if offered.says is Says.READ and (named.says is not Says.WRITE or named.word in EMPTY_VERBS):
        if said.says is not Says.WRITE:
            return _read(offered.word)
    if (raw := raw_parameter(input_schema)) and (named.says is not Says.READ or "query" in words):
        if not reads_only(text):
            return _unknown(f"it runs what it is given as “{raw}”")
    if named.says is Says.EITHER and named.word in HANDS_OVER and said.says in (Says.EITHER, Says.READ):
        if hands_over(text) and not names_a_destination(input_schema):
            return _read(f"it hands over what it can “{named.word}”")
        return _unknown(f"“{named.word}” may put it in a file")
    return _weigh(words, named, said)


def _weigh(words: list[str], named: Finding, said: Finding) -> Seed:
    if named.says is Says.WRITE:
        return _write(f"the name says “{named.word}”")
    if said.says is Says.WRITE:
        return _write(f"the description says “{said.word}”")
    if not words:
        return _unknown("the name can't be read")
    if named.says is Says.READ:
        return _read(f"the name says “{named.word}”")
    if said.says is Says.READ:
        return _read(f"the description says “{said.word}”")
    if named.says is Says.NOTHING and said.says is Says.NOTHING and words[-1] in STATE:
        return _read(f"the name asks for “{words[-1]}”")
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
