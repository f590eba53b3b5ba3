"""Which names an agent may ask about: those of the public internet, nothing inside a network."""

from __future__ import annotations

import ipaddress
import re
from itertools import takewhile

import dns.exception
import dns.name
import dns.reversename

from webapp.builtin.results import printable
from webapp.errors import EgressDenied, InvalidInput, Unreachable, UpstreamError
from webapp.upstream.addresses import Address, standing

LONGEST_NAME = 253
# RFC 6761, 6762, 8375 and what routers and offices use for names of their own.
_INSIDE = tuple(
    dns.name.from_text(name)
    for name in (
        "localhost", "local", "localdomain", "lan", "home", "corp", "internal", "intranet", "private",
        "home.arpa",
    )
)  # fmt: skip
_REVERSE_4 = dns.reversename.ipv4_reverse_domain
_REVERSE_6 = dns.reversename.ipv6_reverse_domain
_OCTET = re.compile(rb"[0-9]{1,3}")
_NIBBLE = re.compile(rb"[0-9a-fA-F]")


def not_public(name: str) -> str:
    """One sentence for every name inside a network, whatever is or isn't there: agents get no map of it."""
    return (
        f"“{printable(name, LONGEST_NAME)}” can't be checked: there is no public server of that name, or it "
        "can't be looked up. Gatehouse looks at the public internet only."
    )


def parse_name(text: str, field: str) -> dns.name.Name:
    """Raises InvalidInput."""
    try:
        return dns.name.from_text(text.strip(), idna_codec=dns.name.IDNA_2008_Practical)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise InvalidInput(
            f"“{field}” is not a domain name.", field=field, next_step="Write it like example.com."
        ) from error


def below(labels: str, name: dns.name.Name) -> dns.name.Name:
    """Raises InvalidInput where the whole would be too long for a name."""
    try:
        return dns.name.from_text(labels, name)
    except dns.exception.DNSException as error:
        raise InvalidInput(f"{labels}.{shown(name)} is too long for a name in the DNS.") from error


def shown(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)


def is_public(name: dns.name.Name) -> bool:
    """False for names that mean something only inside a network, and for reverse names of such addresses."""
    if name.is_subdomain(_REVERSE_4) or name.is_subdomain(_REVERSE_6):
        return standing(_reversed(name)).kind == "public"
    return len(name.labels) > 2 and not any(name.is_subdomain(suffix) for suffix in _INSIDE)


def _reversed(name: dns.name.Name) -> Address:
    """The first address of a reverse zone: 168.192.in-addr.arpa → 192.168.0.0."""
    if name.is_subdomain(_REVERSE_4):
        octets = [int(label) % 256 for label in _numbers(name, _REVERSE_4, _OCTET)][:4]
        return ipaddress.IPv4Address(bytes(octets + [0] * (4 - len(octets))))
    nibbles = b"".join(_numbers(name, _REVERSE_6, _NIBBLE)[:32])
    return ipaddress.IPv6Address(int(nibbles.ljust(32, b"0"), 16))


def _numbers(name: dns.name.Name, zone: dns.name.Name, form: re.Pattern[bytes]) -> list[bytes]:
    """Labels from the zone downwards as far as they are numbers; RFC 2317 puts other words below them."""
    labels = reversed(name.relativize(zone).labels)
    return list(takewhile(form.fullmatch, labels))


def why_not(error: UpstreamError, host: str) -> str:
    """A failure for an agent: nothing about addresses, and the same for every host that is not public."""
    if isinstance(error, EgressDenied):
        return _denied(error, host)
    if isinstance(error, Unreachable) and error.kind == "dns":
        return not_public(host)
    return " ".join(part for part in (error.what, error.why) if part)


def _denied(error: EgressDenied, host: str) -> str:
    match error.kind:
        case "scheme":
            return "Only addresses that begin with https:// are checked."
        case "port":
            return f"Port {error.port} can't be used here."
        case "url":
            return (
                f"“{printable(host, LONGEST_NAME)}” can't be checked: it is not a plain host name or address."
            )
        case _:
            return not_public(host)
