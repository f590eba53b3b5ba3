"""Questions to the name server, and its answers told apart: records, no such name, nothing, silence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.svcbbase import IPv4HintParam, IPv6HintParam, SVCBBase

from webapp.builtin.network.names import is_public, shown
from webapp.builtin.tool import Context
from webapp.errors import Refused
from webapp.upstream.addresses import plain, standing

Status = Literal["ok", "nxdomain", "no_answer", "timeout", "failed"]
ONE_SERVER_SECONDS = 2.0
ONE_QUESTION_SECONDS = 5.0


@dataclass(frozen=True)
class Reply:
    """`rcode` is set where the name server failed or refused."""

    name: dns.name.Name
    type: dns.rdatatype.RdataType
    status: Status
    records: tuple[dns.rdata.Rdata, ...] = ()
    canonical: dns.name.Name | None = None
    ttl: int = 0
    rcode: str = ""

    @property
    def texts(self) -> list[str]:
        return [joined(record) for record in self.records if isinstance(record, TXT)]

    @property
    def is_private(self) -> bool:
        """Whether an address in it belongs inside a network, as names of offices often do."""
        return any(standing(plain(address)).kind != "public" for address in _addresses(self.records))

    def in_words(self) -> str:
        """Why there are no records, as a sentence; empty where there are some."""
        name, kind = shown(self.name), dns.rdatatype.to_text(self.type)
        match self.status:
            case "ok":
                return ""
            case "nxdomain":
                return f"There is no name {name} in the DNS (NXDOMAIN)."
            case "no_answer":
                return f"{name} exists, but has no {kind} record."
            case "timeout":
                return f"The name server did not answer the question for {name} in time."
            case _:
                return f"The name server could not answer for {name}: {self._failure()}"

    def _failure(self) -> str:
        match self.rcode:
            case "SERVFAIL":
                return (
                    "SERVFAIL. The domain's own name servers may be down, or its signatures (DNSSEC) broken."
                )
            case "REFUSED":
                return "REFUSED. It does not serve this name."
            case _:
                return f"{self.rcode or 'it can not be reached'}."


def joined(record: TXT) -> str:
    """One text: its pieces stand for nothing of their own (RFC 7208 §3.3)."""
    return b"".join(record.strings).decode("utf-8", "replace")


class NameServers:
    """Who answers for one call. An agent can't choose: a server of its own would be a way past the guard."""

    def __init__(self, context: Context) -> None:
        self._resolver = _resolver(context)
        self._seconds = min(ONE_QUESTION_SECONDS, context.seconds / 2)
        self._resolver.timeout = min(ONE_SERVER_SECONDS, self._seconds / 2)
        self._resolver.lifetime = self._seconds

    async def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Reply:
        if not is_public(name):
            return Reply(name, kind, "nxdomain")
        # Not through the guard: the system's name server is usually an address in the own network, is chosen
        # by whoever runs this machine, and gets nothing but the question.
        try:
            # dnspython's own limit leaves out the pauses between its tries.
            async with asyncio.timeout(self._seconds):
                answer = await self._resolver.resolve(name, kind, search=False)
        except TimeoutError:
            return Reply(name, kind, "timeout")
        except dns.exception.DNSException as error:
            return _no_records(name, kind, error)
        ttl = 0 if answer.rrset is None else int(answer.rrset.ttl)
        # Sorted, as servers answer in any order.
        return Reply(name, kind, "ok", tuple(sorted(answer)), answer.canonical_name, ttl)


def _no_records(
    name: dns.name.Name, kind: dns.rdatatype.RdataType, error: dns.exception.DNSException
) -> Reply:
    match error:
        case dns.resolver.NXDOMAIN():
            return Reply(name, kind, "nxdomain")
        case dns.resolver.NoAnswer():
            return Reply(name, kind, "no_answer")
        case dns.exception.Timeout():
            return Reply(name, kind, "timeout")
        case dns.resolver.NoNameservers():
            return Reply(name, kind, "failed", rcode=_rcode(error))
        case _:
            return Reply(name, kind, "failed", rcode=type(error).__name__.upper())


def _resolver(context: Context) -> dns.asyncresolver.Resolver:
    if context.name_servers:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = [dns.nameserver.Do53Nameserver(*place) for place in context.name_servers]
        return resolver
    try:
        return dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise Refused(
            "The machine that Gatehouse runs on knows no name server.",
            next_step="Ask an admin to look at its /etc/resolv.conf.",
        ) from error


def _rcode(error: dns.resolver.NoNameservers) -> str:
    """The last answer's code. The exception's own words hold the addresses of the name servers."""
    attempts = error.kwargs.get("errors", [])
    responses = [attempt[-1] for attempt in attempts if isinstance(attempt[-1], dns.message.Message)]
    return dns.rcode.to_text(responses[-1].rcode()) if responses else ""


def _addresses(records: Iterable[dns.rdata.Rdata]) -> Iterable[str]:
    for record in records:
        if isinstance(record, (A, AAAA)):
            yield record.address
        elif isinstance(record, SVCBBase):
            for hint in record.params.values():
                if isinstance(hint, (IPv4HintParam, IPv6HintParam)):
                    yield from hint.addresses
