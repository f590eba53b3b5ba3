"""The guard on the way out: every connection to another machine is decided here, per server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import TypeVar

import httpcore2
import httpx2

from webapp.errors import EgressDenied
from webapp.upstream.addresses import Address, Network, Standing, around, parse_host, plain, standing
from webapp.upstream.failures import cannot_connect, explain
from webapp.upstream.names import Resolver, look_up, system_resolver
from webapp.upstream.transport import CONNECT_SECONDS, GuardedTransport

__all__ = ["Allowance", "Egress", "Resolver", "explain", "private_offer", "tls_context"]

T = TypeVar("T")

MIB = 1024 * 1024
DEFAULT_PORTS = {"https": 443, "http": 80}
MOST_ADDRESSES_TRIED = 4
OWN_NETWORK = "If this is a server in your own network, an admin can allow exactly this address."


@dataclass(frozen=True)
class Allowance:
    """One server's exception: exactly this host, port and network (a CIDR, or several with commas)."""

    host: str
    port: int
    network: str
    cleartext: bool = False

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(
            ip_network(cidr.strip(), strict=False) for cidr in self.network.split(",") if cidr.strip()
        )


class Egress:
    """The guard of one server row. An exception for one server opens nothing for the documents of another."""

    def __init__(
        self,
        allowances: Iterable[Allowance] = (),
        *,
        resolver: Resolver | None = None,
        ports: frozenset[int] = frozenset({443}),
        ca_file: str | None = None,
    ) -> None:
        self._networks: dict[tuple[str, int], tuple[Network, ...]] = {}
        self._cleartext: set[tuple[str, int]] = set()
        for allowance in allowances:
            self._add(allowance)
        self._resolver = resolver or system_resolver
        self._ports = ports
        self._ca_file = ca_file

    def _add(self, allowance: Allowance) -> None:
        place = (parse_host(allowance.host)[0], allowance.port)
        self._networks[place] = self._networks.get(place, ()) + allowance.networks
        if allowance.cleartext:
            self._cleartext.add(place)

    def check_url(self, url: str | httpx2.URL) -> None:
        """All that can be said without a look-up. Raises EgressDenied."""
        parsed = _parse(url)
        host, literal = parse_host(parsed.raw_host.decode("ascii"))
        port = DEFAULT_PORTS[parsed.scheme] if parsed.port is None else parsed.port
        if literal:
            try:
                self._judge(host, port, [literal])
            except EgressDenied as denied:
                denied.cleartext = parsed.scheme == "http"
                raise
        if parsed.scheme == "http" and (host, port) not in self._cleartext:
            raise EgressDenied(
                f"The address of {host} begins with http://: what is sent there can be read on the way.",
                kind="scheme",
                host=host,
                port=port,
                next_step=f"Use https://. {OWN_NETWORK}",
            )
        self._judge_port(host, port, [literal] if literal else [])

    async def addresses(self, host: str, port: int, timeout: float = CONNECT_SECONDS) -> list[str]:
        """The addresses to connect to: one look-up, every answer checked, one bad answer refuses the name.

        Raises EgressDenied, or Unreachable with kind `dns`.
        """
        name, literal = parse_host(host)
        answers = [literal] if literal else await look_up(self._resolver, name, port, timeout)
        self._judge(name, port, answers)
        self._judge_port(name, port, answers)
        return [str(address) for address in answers]

    async def open_connection(
        self,
        host: str,
        port: int,
        *,
        ssl: ssl.SSLContext | bool | None = None,
        server_hostname: str | None = None,
        timeout: float = CONNECT_SECONDS,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A checked stream for protocols other than HTTP; `ssl=True` verifies as we do for HTTP.

        Raises EgressDenied or Unreachable.
        """
        context = self.tls if ssl is True else ssl or None
        name = (server_hostname or host) if context else None

        async def attempt(address: str, seconds: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            async with asyncio.timeout(seconds):
                return await asyncio.open_connection(address, port, ssl=context, server_hostname=name)

        return await self.connect(host, port, timeout, attempt)

    async def connect(
        self, host: str, port: int, timeout: float, attempt: Callable[[str, float], Awaitable[T]]
    ) -> T:
        """`attempt` on the checked addresses in turn, `timeout` seconds in all.

        Raises EgressDenied, or Unreachable for what the last attempt met.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        addresses = (await self.addresses(host, port, timeout))[:MOST_ADDRESSES_TRIED]
        while True:
            address = addresses.pop(0)
            share = (deadline - clock()) / (len(addresses) + 1)
            try:
                return await attempt(address, max(share, 0.001))
            except (OSError, httpcore2.NetworkError, httpcore2.TimeoutException) as error:
                if not addresses:
                    raise cannot_connect(error, host, port) from error

    def http(
        self,
        *,
        max_bytes: int = 8 * MIB,
        total_seconds: float = 60.0,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.AsyncClient:
        """A client that can only go where this guard lets it. Follows no redirect, reads no environment.

        Our own refusals come through as they are, other failures as httpx2 exceptions: see `explain`.
        One request may ask for other limits through `extensions`: `max_bytes` and `total_seconds`.
        """
        return httpx2.AsyncClient(
            transport=self.transport(max_bytes, total_seconds),
            headers=headers,
            timeout=httpx2.Timeout(total_seconds, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=False,
        )

    @property
    def has_exceptions(self) -> bool:
        return bool(self._networks)

    @property
    def tls(self) -> ssl.SSLContext:
        return tls_context(self._ca_file)

    def transport(self, max_bytes: int, total_seconds: float) -> GuardedTransport:
        """For a client class of somebody else's, such as Authlib's."""
        return GuardedTransport(self, self.tls, max_bytes, total_seconds)

    def _judge(self, host: str, port: int, answers: list[Address]) -> None:
        standings = [(address, standing(address)) for address in answers]
        if refused := [pair for pair in standings if pair[1].kind == "never"]:
            raise _refusal("never", host, port, refused, "Use the server's public address.")
        private = [pair for pair in standings if pair[1].kind == "private"]
        if any(not self._allowed(host, port, address) for address, _ in private):
            raise _refusal("private", host, port, private, OWN_NETWORK)

    def _judge_port(self, host: str, port: int, answers: list[Address]) -> None:
        """An unusual port is opened for the allowed network only, not for wherever the name leads later."""
        if port in self._ports:
            return
        if (host, port) in self._networks and all(self._allowed(host, port, address) for address in answers):
            return
        usual = " and ".join(str(usual) for usual in sorted(self._ports))
        raise EgressDenied(
            f"{host} is to be reached on port {port}; without an exception only port {usual} may be used.",
            kind="port",
            host=host,
            port=port,
            address=_listed(answers),
            next_step="If the server really listens there, an admin can allow exactly this address and port.",
        )

    def _allowed(self, host: str, port: int, address: Address) -> bool:
        networks = self._networks.get((host, port), ())
        return any(network.version == address.version and address in network for network in networks)


def private_offer(error: EgressDenied, *, cleartext: bool) -> Allowance | None:
    """The exception an admin could confirm after this refusal, or None where nobody may.

    Covers the /24 or /64 around each address: a server may get another address in its network tomorrow.
    Another port is offered for public servers too, http:// never: their traffic crosses the internet.
    """
    if error.kind not in (("private",) if cleartext else ("private", "port")) or not error.address:
        return None
    networks = dict.fromkeys(str(around(plain(address))) for address in error.address.split(", "))
    return Allowance(error.host, error.port, ", ".join(networks), cleartext)


@lru_cache(maxsize=8)
def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """One per process and CA bundle, as it takes 20 ms: the system's authorities, and those of `ca_file`."""
    context = httpx2.create_ssl_context(trust_env=False)
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


def _parse(url: str | httpx2.URL) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise EgressDenied(
            f"This is not a usable address: {error}.",
            kind="url",
            next_step="Check the spelling of the address.",
        ) from error
    if parsed.scheme not in DEFAULT_PORTS:
        raise EgressDenied(
            "The address does not begin with https://.",
            kind="scheme",
            host=parsed.host,
            next_step="Use the server's https:// address.",
        )
    if parsed.userinfo:
        raise EgressDenied(
            f"The address of {parsed.host} has a user name or password in it.",
            kind="url",
            host=parsed.host,
            next_step="Leave it out of the address and enter it under Sign in.",
        )
    return parsed


def _refusal(
    kind: str, host: str, port: int, answers: list[tuple[Address, Standing]], next_step: str
) -> EgressDenied:
    listed = _listed([address for address, _ in answers])
    words = answers[0][1].words
    what = f"{host} is {words}." if listed == host else f"{host} points to {listed}, {words}."
    return EgressDenied(what, kind=kind, host=host, port=port, address=listed, next_step=next_step)


def _listed(addresses: list[Address]) -> str:
    return ", ".join(str(address) for address in addresses)
