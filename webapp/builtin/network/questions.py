"""Questions to the name server, and its answers told apart: records, no such name, no such record, silence."""

from __future__ import annotations

import ipaddress
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
import dns.rdtypes.svcbbase
import dns.resolver

from webapp.builtin.network.names import shown
from webapp.builtin.tool import Context
from webapp.errors import Unreachable
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
        """TXT records, their pieces put together (RFC 7208 §3.3)."""
        return [b"".join(record.strings).decode("utf-8", "replace") for record in self.records]

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


class NameServers:
    """Who answers for one call. Callers can't choose: an agent's own server would be a way out of the guard."""

    def __init__(self, context: Context) -> None:
        self._resolver = _resolver(context)
        self._resolver.timeout = min(ONE_SERVER_SECONDS, context.seconds / 2)
        self._resolver.lifetime = min(ONE_QUESTION_SECONDS, context.seconds * 0.8)

    async def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Reply:
        # Not through the guard: the system's name server is usually an address in the own network, is chosen
        # by whoever runs this machine, and gets nothing but the question.
        try:
            answer = await self._resolver.resolve(name, kind, search=False)
        except dns.resolver.NXDOMAIN:
            return Reply(name, kind, "nxdomain")
        except dns.resolver.NoAnswer:
            return Reply(name, kind, "no_answer")
        except dns.exception.Timeout:
            return Reply(name, kind, "timeout")
        except dns.resolver.NoNameservers as error:
            return Reply(name, kind, "failed", rcode=_rcode(error))
        except dns.exception.DNSException as error:
            return Reply(name, kind, "failed", rcode=type(error).__name__.upper())
        records = tuple(answer)
        ttl = 0 if answer.rrset is None else int(answer.rrset.ttl)
        return Reply(name, kind, "ok", records, answer.canonical_name, ttl)


def _resolver(context: Context) -> dns.asyncresolver.Resolver:
    if context.name_servers:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = [dns.nameserver.Do53Nameserver(*place) for place in context.name_servers]
        return resolver
    try:
        return dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise Unreachable("This machine knows no name server.", kind="dns") from error


def _rcode(error: dns.resolver.NoNameservers) -> str:
    """The last answer's code. The exception's own words hold the addresses of the name servers."""
    attempts = error.kwargs.get("errors", [])
    responses = [attempt[-1] for attempt in attempts if isinstance(attempt[-1], dns.message.Message)]
    return dns.rcode.to_text(responses[-1].rcode()) if responses else ""


def _addresses(records: Iterable[dns.rdata.Rdata]) -> Iterable[str]:
    for record in records:
        if record.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            yield record.address
        elif isinstance(record, dns.rdtypes.svcbbase.SVCBBase):
            for value in record.params.values():
                if isinstance(value, (dns.rdtypes.svcbbase.IPv4HintParam, dns.rdtypes.svcbbase.IPv6HintParam)):
                    yield from value.addresses


def address_or_none(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None
