"""SPF (RFC 7208): which servers may send mail for a domain, and where the record defeats itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import dns.rdatatype

from webapp.builtin.network.names import parse_name
from webapp.builtin.network.questions import NameServers, Reply
from webapp.builtin.network.verdict import State, Verdict, worst
from webapp.builtin.results import printable
from webapp.errors import InvalidInput

LOOKUP_LIMIT = 10  # RFC 7208 §4.6.4: a receiver gives up beyond it.
COUNT_AT_MOST = 20  # We count on a little, so that the figure says how far off the record is.
MOST_TERMS_SHOWN = 50

_TERM = re.compile(r"([-+~?]?)(all|include|ip4|ip6|a|mx|ptr|exists)([:/].*)?", re.IGNORECASE)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)
_COSTS_A_LOOKUP = {"include", "a", "mx", "ptr", "exists", "redirect"}
_QUALIFIERS = {"+": "may send", "-": "may not send", "~": "are suspicious", "?": "are left undecided"}
_ENDINGS: dict[str, tuple[State, str]] = {
    "+": ("problem", "“+all” lets the whole world send mail in the name of this domain."),
    "?": ("warning", "“?all” says nothing about other senders, so forged mail is not stopped."),
    "~": ("ok", "All other senders are marked as suspicious (~all)."),
    "-": ("ok", "All other senders are refused (-all)."),
}


@dataclass(frozen=True)
class Term:
    text: str
    qualifier: str
    name: str
    value: str

    @property
    def meaning(self) -> str:
        host = "the domain itself" if self.value[:1] in ("", "/") else self.value
        who = {
            "all": "all others",
            "include": f"those that {self.value} allows",
            "a": f"the addresses of {host}",
            "mx": f"the mail servers of {host}",
            "ip4": f"the address or network {self.value}",
            "ip6": f"the address or network {self.value}",
            "ptr": "hosts whose reverse name is in the domain (no longer recommended)",
            "exists": f"those for whom the name {self.value} exists",
            "redirect": f"the record of {self.value} counts in place of this one",
        }.get(self.name, "a note that changes nothing")
        return who if self.qualifier == "" else f"{who} {_QUALIFIERS[self.qualifier]}"


def parse(record: str) -> tuple[list[Term], list[str]]:
    """The terms of a record, and those that nobody can read."""
    terms: list[Term] = []
    unreadable: list[str] = []
    for text in record.split()[1:]:
        if found := _TERM.fullmatch(text):
            value = (found[3] or "").removeprefix(":")
            terms.append(Term(text, found[1] or "+", found[2].lower(), value))
        elif found := _MODIFIER.fullmatch(text):
            terms.append(Term(text, "", found[1].lower(), found[2]))
        else:
            unreadable.append(text)
    return terms, unreadable


def records_in(reply: Reply) -> list[str]:
    return [text for text in reply.texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]


@dataclass
class _Walk:
    """One pass over a record and all it includes, as a receiver makes it."""

    servers: NameServers
    lookups: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)

    async def ending(self, record: str, path: tuple[str, ...]) -> str:
        """The qualifier of the `all` that decides in the end; empty where there is none."""
        terms, unreadable = parse(record)
        if unreadable:
            shown = printable(unreadable[0], 80)
            self.problems.append(
                f"“{shown}” in the record of {path[-1]} is not valid; receivers reject it all."
            )
        for term in terms:
            if term.name == "all":
                return term.qualifier
            await self._follow(term, path)
        redirect = next((term for term in terms if term.name == "redirect"), None)
        return await self._included(redirect, path) if redirect else ""

    async def _follow(self, term: Term, path: tuple[str, ...]) -> None:
        if term.name == "include":
            await self._included(term, path)
        elif term.name in _COSTS_A_LOOKUP and term.name != "redirect":
            self.lookups += 1
        if term.name == "ptr":
            self.warnings.append("“ptr” is slow and no longer recommended.")

    async def _included(self, term: Term, path: tuple[str, ...]) -> str:
        self.lookups += 1
        target = printable(term.value.lower().rstrip("."), 253)
        if "%" in target or self.lookups > COUNT_AT_MOST:
            return ""
        if target in path:
            self.problems.append(f"{path[-1]} includes {target}, which leads back to itself.")
            return ""
        record = await self._record(target)
        return await self.ending(record, (*path, target)) if record else ""

    async def _record(self, target: str) -> str:
        try:
            reply = await self.servers.ask(parse_name(target, "include"), dns.rdatatype.TXT)
        except InvalidInput:
            self.problems.append(f"“{target}” is not a name that can be included.")
            return ""
        if reply.status in ("timeout", "failed"):
            self.unsure.append(f"{reply.in_words()} So its look-ups are not counted.")
            return ""
        found = records_in(reply)
        if len(found) != 1:
            many = "no SPF record" if not found else "more than one SPF record"
            self.problems.append(f"{target} is included, but has {many}; receivers reject the whole record.")
        return found[0] if len(found) == 1 else ""


async def check_spf(domain: str, servers: NameServers) -> Verdict:
    reply = await servers.ask(parse_name(domain, "domain"), dns.rdatatype.TXT)
    if reply.status in ("timeout", "failed"):
        return Verdict("unknown", reply.in_words())
    found = records_in(reply)
    if not found:
        return Verdict(
            "problem", "There is no SPF record: receivers can't tell real senders from forged ones."
        )
    if len(found) > 1:
        return Verdict(
            "problem", f"There are {len(found)} SPF records; with more than one, receivers ignore them all."
        )
    walk = _Walk(servers)
    return _judged(found[0], await walk.ending(found[0], (domain,)), walk)


def _judged(record: str, ending: str, walk: _Walk) -> Verdict:
    state, summary = _ENDINGS.get(
        ending, ("warning", "The record ends without “all”, so forged mail is not stopped.")
    )
    if walk.lookups > LOOKUP_LIMIT:
        count = f"{'more than ' if walk.lookups > COUNT_AT_MOST else ''}{min(walk.lookups, COUNT_AT_MOST)}"
        walk.problems.append(
            f"It needs {count} DNS look-ups; receivers stop at {LOOKUP_LIMIT} and treat the record as broken."
        )
    found: list[tuple[State, list[str]]] = [
        ("problem", walk.problems),
        ("warning", walk.warnings),
        ("unknown", walk.unsure),
    ]
    states = [state, *(kind for kind, sentences in found if sentences)]
    notes = tuple(dict.fromkeys(walk.problems + walk.warnings + walk.unsure))
    return Verdict(worst(states), summary, notes, _facts(record, walk.lookups))


def _facts(record: str, lookups: int) -> dict[str, Any]:
    terms = [
        {"term": printable(term.text), "meaning": printable(term.meaning)}
        for term in parse(record)[0][:MOST_TERMS_SHOWN]
    ]
    return {"record": printable(record, 2_000), "lookups": lookups, "terms": terms}
