"""Which IP addresses we may talk to: public ones, private ones an admin allows, and some never."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import httpx2

from webapp.errors import EgressDenied

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Kind = Literal["public", "private", "never"]

# The keys finish the sentence "psa.lan points to 10.0.0.5, …". `ipaddress.is_global` is no help: on Python
# 3.11 it calls NAT64, 6to4, site-local, multicast and some clouds' metadata addresses global.
_NEVER = {
    "an address of a cloud's own machinery, where passwords of machines are kept": (
        "169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 192.0.0.192 fd00:ec2::254 fd20:ce::254"
    ),
    "a link-local address, which belongs to no server": "169.254.0.0/16 fe80::/10",
    "a multicast address, which belongs to no server": "224.0.0.0/4 ff00::/8",
    "an address that belongs to no server": "0.0.0.0/8 240.0.0.0/4 ::/128",
    "an address that hides another one inside it": "64:ff9b:1::/48",
}
_PRIVATE = {
    "this machine itself": "127.0.0.0/8 ::1/128",
    "an address in your own network": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10",
    "an address inside a carrier's network or a VPN such as Tailscale": "100.64.0.0/10",
    "an address of an IPv6 transition network": "64:ff9b::/96 2002::/16 2001::/32 192.88.99.0/24",
    "an address set aside for special use": (
        "192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.175.48.0/24 198.18.0.0/15 "
        "198.51.100.0/24 203.0.113.0/24 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 "
        "2620:4f:8000::/48 3fff::/20 5f00::/16"
    ),
}
_IPV6_IN_USE = ipaddress.IPv6Network("2000::/3")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


def _rows(table: dict[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple(
        (ipaddress.ip_network(cidr), words) for words, cidrs in table.items() for cidr in cidrs.split()
    )


_NEVER_ROWS = _rows(_NEVER)
_PRIVATE_ROWS = _rows(_PRIVATE)


@dataclass(frozen=True)
class Standing:
    """What we make of an address; `words` finish a sentence, `block` is the listed network around it."""

    kind: Kind
    words: str = ""
    block: Network | None = None


def standing(address: Address) -> Standing:
    if row := _row(address, _NEVER_ROWS):
        return Standing("never", row[1], row[0])
    if any(standing(inner).kind != "public" for inner in _embedded(address)):
        return Standing("never", "an address that hides another one inside it")
    if row := _row(address, _PRIVATE_ROWS):
        return Standing("private", row[1], row[0])
    if address.version == 6 and address not in _IPV6_IN_USE:
        return Standing("never", "an address that belongs to no server")
    return Standing("public")


def _row(address: Address, rows: tuple[tuple[Network, str], ...]) -> tuple[Network, str] | None:
    return next((row for row in rows if row[0].version == address.version and address in row[0]), None)


def _embedded(address: Address) -> Iterator[Address]:
    """The IPv4 addresses inside an IPv6 one: compatible, translated, NAT64 (RFC 6052), 6to4 and Teredo."""
    if isinstance(address, ipaddress.IPv4Address) or int(address) <= 1:
        return
    prefix = int(address) >> 32
    if prefix in (0, 0xFFFF0000, 0x0064FF9B << 64):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo


def plain(address: str) -> Address:
    """The address an answer stands for: one mapped into IPv6 is the IPv4 address. Raises ValueError."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return (isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped) or parsed


def parse_host(host: str) -> tuple[str, Address | None]:
    """One spelling per host, and its address where the host is one. Raises EgressDenied for disguises.

    Everything a resolver would read as a number (`2130706433`, `0x7f.1`, `0177.0.0.1`, `127.1`) is refused
    rather than decoded: a reader must see where a URL leads.
    """
    name = _ascii(host).lower().removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        address = plain(name)
    except ValueError:
        address = None
    if address is not None and "%" not in name:
        return str(address), address
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise EgressDenied(
            f"“{host}” is a disguised way to write an IP address.",
            kind="url",
            host=host,
            next_step="Write it in its usual form, four numbers from 0 to 255, or use the server's name.",
        )
    if not _NAME.fullmatch(name):
        raise EgressDenied(
            f"“{host}” is not a host name.",
            kind="url",
            host=host,
            next_step="Check the spelling of the address.",
        )
    return name, None


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        return httpx2.URL(f"https://{host}/").raw_host.decode("ascii")
    except httpx2.InvalidURL as error:
        raise EgressDenied(
            f"“{host}” is not a host name.",
            kind="url",
            host=host,
            next_step="Check the spelling of the address.",
        ) from error


def _no_host_name(host: str) -> EgressDenied:
    return EgressDenied(
        f"“{host}” is not a host name.",
        kind="url",
        host=host,
        next_step="Check the spelling of the address.",
    )


def around(address: Address) -> Network:
    """The network an admin is asked to allow: the /24 or /64 around an address, inside its listed block."""
    block = standing(address).block
    width = 24 if address.version == 4 else 64
    if address.is_loopback:
        width = address.max_prefixlen
    if block is not None:
        width = max(width, block.prefixlen)
    return ipaddress.ip_network((address, width), strict=False)
