"""A name server on loopback that knows what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, list[str]]
"""“example.com MX” → records as in a zone file. A CNAME answers for every type, with its target's records."""


@dataclass
class NameServer:
    """`silent` names are never answered, `broken` ones with SERVFAIL. `asked` holds “name TYPE”."""

    zone: Zone
    silent: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    port: int = 0
    asked: list[str] = field(default_factory=list)
    over_tcp: int = 0

    @property
    def place(self) -> tuple[tuple[str, int], ...]:
        return (("127.0.0.1", self.port),)

    def answer(self, query: bytes, room: int) -> bytes | None:
        question = dns.message.from_wire(query)
        name = question.question[0].name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        self.asked.append(f"{name} {kind}")
        if name in self.silent:
            return None
        response = dns.message.make_response(question)
        response.flags |= dns.flags.RA
        if name in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif not self._fill(response, name, kind) and not self._knows(name):
            response.set_rcode(dns.rcode.NXDOMAIN)
        wire = response.to_wire()
        if len(wire) > room:
            response.answer.clear()
            response.flags |= dns.flags.TC
            wire = response.to_wire()
        return wire

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> bool:
        target = self.zone.get(f"{name} CNAME")
        found = "CNAME" if target else kind
        records = target or self.zone.get(f"{name} {kind}", [])
        if records:
            response.answer.append(dns.rrset.from_text(f"{name}.", 300, dns.rdataclass.IN, found, *records))
        if target:
            self._fill(response, target[0].removesuffix("."), kind)
        return bool(records)

    def _knows(self, name: str) -> bool:
        return any(key.split()[0] == name or key.split()[0].endswith(f".{name}") for key in self.zone)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (answer := self._server.answer(data, 1232)) is not None:
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def name_server(zone: Zone, *, silent: str = "", broken: str = "") -> AsyncIterator[NameServer]:
    server = NameServer(zone, frozenset(silent.split()), frozenset(broken.split()))

    async def over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        server.over_tcp += 1
        answer = server.answer(query, 65535) or b""
        writer.write(len(answer).to_bytes(2) + answer)
        await writer.drain()
        writer.close()

    streams = await asyncio.start_server(over_tcp, "127.0.0.1", 0)
    server.port = streams.sockets[0].getsockname()[1]
    datagrams, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(server), local_addr=("127.0.0.1", server.port)
    )
    try:
        yield server
    finally:
        datagrams.close()
        streams.close()
        await asyncio.sleep(0)
