"""calculate_subnet: what a network holds, where it begins and ends, and how it splits. Touches no network."""

from __future__ import annotations

import ipaddress
from itertools import islice
from typing import Any

from webapp.builtin.results import said
from webapp.builtin.tool import BuiltinTool, Context
from webapp.errors import InvalidInput
from webapp.upstream.addresses import Address, Network, standing

MOST_SUBNETS = 256

DEFINITION: dict[str, Any] = {
    "name": "calculate_subnet",
    "title": "Calculate a subnet",
    "description": (
        "Gets the facts of an IPv4 or IPv6 network: network and broadcast address, mask, first and last "
        "host, number of hosts. Can also tell whether it contains an address or a smaller network, and list "
        "the subnets it splits into. Pure calculation: reads nothing from any network."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "network": {
                "type": "string",
                "minLength": 1,
                "maxLength": 100,
                "description": "Such as 192.168.1.0/24, 10.0.0.5 255.255.255.0 or 2001:db8::/48.",
            },
            "contains": {
                "type": "string",
                "minLength": 1,
                "maxLength": 100,
                "description": "An address or network: is it inside?",
            },
            "split_prefix": {
                "type": "integer",
                "minimum": 0,
                "maximum": 128,
                "description": "The prefix length of the subnets to split into, such as 26.",
            },
        },
        "required": ["network"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {
            "network": {"type": "string"},
            "version": {"enum": [4, 6]},
            "network_address": {"type": "string"},
            "prefix": {"type": "integer"},
            "netmask": {"type": "string"},
            "wildcard_mask": {"type": "string"},
            "broadcast_address": {"type": "string", "description": "IPv4 only."},
            "first_host": {"type": "string"},
            "last_host": {"type": "string"},
            "addresses": {
                "type": "string",
                "description": "As text: IPv6 counts are too large for a number.",
            },
            "usable_hosts": {"type": "string"},
            "kind": {"enum": ["public", "private", "special"]},
            "contains": {"type": "boolean"},
            "subnet_count": {"type": "string"},
            "subnets": {"type": "array", "items": {"type": "string"}},
        },
        "required": [
            "network",
            "version",
            "network_address",
            "prefix",
            "netmask",
            "addresses",
            "usable_hosts",
        ],
    },
    "annotations": {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False},
}


async def calculate(arguments: dict[str, Any], context: Context) -> dict[str, Any]:
    network = _network(arguments["network"], "network")
    facts = _facts(network)
    lines = _lines(network, facts)
    if "contains" in arguments:
        inner = _network(arguments["contains"], "contains")
        facts["contains"] = _holds(network, inner)
        what = str(inner.network_address) if inner.prefixlen == inner.max_prefixlen else str(inner)
        lines.append(f"{what} is {'inside' if facts['contains'] else 'not inside'} {network}.")
    if "split_prefix" in arguments:
        facts |= _split(network, int(arguments["split_prefix"]))
        shown = len(facts["subnets"])
        rest = "" if facts["subnet_count"] == str(shown) else f" (the first {shown} are listed)"
        lines.append(f"It splits into {facts['subnet_count']} subnets{rest}:")
        lines += facts["subnets"]
    return said("\n".join(lines), facts)


def _network(text: str, field: str) -> Network:
    """Host bits are allowed: 10.0.0.5/24 stands for the network it is in."""
    try:
        if "%" in text:
            raise ValueError("a zone means something on one machine only")
        return ipaddress.ip_network("/".join(text.replace("/", " ").split()), strict=False)
    except ValueError as error:
        raise InvalidInput(
            f"“{field}” is not a network.",
            field=field,
            next_step="Write it like 192.168.1.0/24 or 2001:db8::/48.",
        ) from error


def _facts(network: Network) -> dict[str, Any]:
    first, last = _hosts(network)
    facts: dict[str, Any] = {
        "network": str(network),
        "version": network.version,
        "network_address": str(network.network_address),
        "prefix": network.prefixlen,
        "netmask": str(network.netmask),
        "wildcard_mask": str(network.hostmask),
        "first_host": str(first),
        "last_host": str(last),
        "addresses": str(network.num_addresses),
        "usable_hosts": str(int(last) - int(first) + 1),
        "kind": _kind(network),
    }
    if network.version == 4:
        facts["broadcast_address"] = str(network.broadcast_address)
    return facts


def _hosts(network: Network) -> tuple[Address, Address]:
    """Two addresses (RFC 3021, RFC 6164) or one leave nothing to set aside; IPv6 has no broadcast."""
    first, last = network.network_address, network.broadcast_address
    if network.num_addresses <= 2:
        return first, last
    return first + 1, last - 1 if network.version == 4 else last


def _kind(network: Network) -> str:
    kinds = {standing(network.network_address), standing(network.broadcast_address)}
    if {one.kind for one in kinds} == {"public"}:
        return "public"
    return "private" if network.is_private and "never" not in {one.kind for one in kinds} else "special"


def _lines(network: Network, facts: dict[str, Any]) -> list[str]:
    broadcast = [f"Broadcast {facts['broadcast_address']}"] if "broadcast_address" in facts else []
    return [
        f"{network} (IPv{network.version}, {facts['kind']})",
        f"Mask {facts['netmask']}, wildcard {facts['wildcard_mask']}",
        f"Hosts {facts['first_host']} to {facts['last_host']}: {facts['usable_hosts']} usable "
        f"of {facts['addresses']} addresses",
        *broadcast,
    ]


def _holds(network: Network, inner: Network) -> bool:
    return (
        network.version == inner.version
        and inner.network_address in network
        and inner.prefixlen >= network.prefixlen
    )


def _split(network: Network, prefix: int) -> dict[str, Any]:
    if not network.prefixlen <= prefix <= network.max_prefixlen:
        raise InvalidInput(
            f"“split_prefix” must be from {network.prefixlen} to {network.max_prefixlen} for {network}.",
            field="split_prefix",
        )
    subnets = islice(network.subnets(new_prefix=prefix), MOST_SUBNETS)
    return {
        "subnet_count": str(1 << (prefix - network.prefixlen)),
        "subnets": [str(subnet) for subnet in subnets],
    }


TOOL = BuiltinTool(DEFINITION, calculate)
