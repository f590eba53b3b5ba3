"""lookup_dns: what the DNS says about a name."""

from __future__ import annotations

import ipaddress
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype
import dns.reversename
from dns.rdtypes.ANY.TXT import TXT

from webapp.builtin.network.names import LONGEST_NAME, is_public, not_public, parse_name, shown
from webapp.builtin.network.questions import NameServers, Reply, joined
from webapp.builtin.results import failed, printable, said
from webapp.builtin.tool import BuiltinTool, Context
from webapp.errors import InvalidInput

MOST_RECORDS = 100
LONGEST_RECORD = 4_000

DEFINITION: dict[str, Any] = {
    "name": "lookup_dns",
    "title": "Look up DNS records",
    "description": (
        "Gets the DNS records of one type for a public name: A, AAAA, CNAME, MX, TXT, NS, SOA, SRV, CAA, DS, "
        "HTTPS and all others. For PTR, give an IP address as the name. Says in words when the name does not "
        "exist (NXDOMAIN), has no such record, or the name server does not answer. Names and addresses "
        "inside a private network are not looked up."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_NAME,
                "description": "The name, such as example.com; for PTR also an IP address.",
            },
            "type": {
                "type": "string",
                "minLength": 1,
                "maxLength": 20,
                "default": "A",
                "description": "The record type, such as A, AAAA, MX, TXT, NS, CNAME, SOA, SRV, CAA or PTR.",
            },
        },
        "required": ["name"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "The name that was asked for."},
            "type": {"type": "string"},
            "status": {"enum": ["ok", "nxdomain", "no_answer", "timeout", "failed"]},
            "explanation": {"type": "string"},
            "canonical_name": {"type": "string", "description": "Where aliases (CNAME) led to."},
            "ttl_seconds": {"type": "integer", "description": "How long others may keep the answer."},
            "records": {"type": "array", "items": {"type": "string"}},
            "more_records": {"type": "integer", "description": "Records beyond those listed."},
        },
        "required": ["name", "type", "status", "explanation", "records"],
    },
    "annotations": {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": True},
}


async def look_up(arguments: dict[str, Any], context: Context) -> dict[str, Any]:
    kind = _type(arguments.get("type", "A"))
    name = _name(arguments["name"], kind)
    if not is_public(name):
        return failed(not_public(arguments["name"]))
    reply = await NameServers(context).ask(name, kind)
    if reply.is_private:
        return failed(not_public(arguments["name"]))
    return _told(reply)


def _type(text: str) -> dns.rdatatype.RdataType:
    try:
        kind = dns.rdatatype.from_text(text.strip().upper())
    except (dns.exception.DNSException, ValueError) as error:
        raise InvalidInput(
            "“type” is not a DNS record type.", field="type", next_step="Use one such as A, MX or TXT."
        ) from error
    if dns.rdatatype.is_metatype(kind):
        raise InvalidInput(
            "“type” must be one record type; whole zones and “any” can't be asked for.", field="type"
        )
    return kind


def _name(text: str, kind: dns.rdatatype.RdataType) -> dns.name.Name:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return parse_name(text, "name")
    if kind != dns.rdatatype.PTR:
        raise InvalidInput(
            "“name” is an IP address.", field="name", next_step="Give a name, or ask for the type PTR."
        )
    return dns.reversename.from_address(str(address).partition("%")[0])


def _told(reply: Reply) -> dict[str, Any]:
    records = [_value(record) for record in reply.records[:MOST_RECORDS]]
    more = len(reply.records) - len(records)
    explanation = reply.in_words() or _summary(reply)
    lines = [explanation, *records, *([f"… and {more} more."] if more else [])]
    structured: dict[str, Any] = {
        "name": shown(reply.name),
        "type": dns.rdatatype.to_text(reply.type),
        "status": reply.status,
        "explanation": explanation,
        "records": records,
    }
    if reply.canonical is not None:
        structured |= {
            "canonical_name": shown(reply.canonical),
            "ttl_seconds": reply.ttl,
            "more_records": more,
        }
    return said("\n".join(lines), structured)


def _summary(reply: Reply) -> str:
    count, kind = len(reply.records), dns.rdatatype.to_text(reply.type)
    alias = (
        f" (an alias of {shown(reply.canonical)})"
        if reply.canonical and reply.canonical != reply.name
        else ""
    )
    many = "" if count == 1 else "s"
    return (
        f"{shown(reply.name)}{alias} has {count} {kind} record{many}, valid for {reply.ttl} seconds at most:"
    )


def _value(record: dns.rdata.Rdata) -> str:
    return printable(joined(record) if isinstance(record, TXT) else record.to_text(), LONGEST_RECORD)


TOOL = BuiltinTool(DEFINITION, look_up)
