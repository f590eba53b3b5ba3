"""MX: where mail for a domain is delivered, and whether anybody is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dns.name
import dns.rdatatype
from dns.rdtypes.ANY.MX import MX

from webapp.builtin.network.names import parse_name, shown
from webapp.builtin.network.questions import NameServers, Reply
from webapp.builtin.network.verdict import Verdict

MOST_SERVERS = 5
MOST_SHOWN = 20
Server = tuple[int, dns.name.Name]


async def check_mx(domain: str, servers: NameServers) -> Verdict:
    reply = await servers.ask(parse_name(domain, "domain"), dns.rdatatype.MX)
    if reply.status in ("timeout", "failed"):
        return Verdict("unknown", reply.in_words(), facts={"servers": []})
    found = sorted((r.preference, r.exchange) for r in reply.records if isinstance(r, MX))
    if not found:
        return Verdict(
            "warning", "There is no MX record; mail goes to the domain's own address, if it has one.",
            facts={"servers": []},
        )  # fmt: skip
    facts = {"servers": [f"{preference} {shown(name)}" for preference, name in found[:MOST_SHOWN]]}
    if [name for _, name in found] == [dns.name.root]:
        return Verdict("ok", "The domain takes no mail at all (null MX).", facts=facts)
    problems = await _without_address(found[:MOST_SERVERS], servers)
    first = shown(found[0][1])
    many = "One mail server" if len(found) == 1 else f"{len(found)} mail servers, {first} first"
    summary = f"{many}." if len(found) > 1 else f"{many}, {first}."
    return Verdict("problem" if problems else "ok", summary, tuple(problems), facts)


async def _without_address(found: Sequence[Server], servers: NameServers) -> list[str]:
    problems = await asyncio.gather(*(_problem(name, servers) for _, name in found))
    return [problem for problem in problems if problem]


async def _problem(name: dns.name.Name, servers: NameServers) -> str:
    kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
    replies: list[Reply] = list(await asyncio.gather(*(servers.ask(name, kind) for kind in kinds)))
    if any(reply.status in ("timeout", "failed") for reply in replies):
        return ""
    if not any(reply.records and not reply.is_private for reply in replies):
        return f"{shown(name)} has no public address, so mail can't reach it."
    if any(reply.canonical not in (None, name) for reply in replies):
        return f"{shown(name)} is an alias (CNAME), which an MX record may not point to."
    return ""
