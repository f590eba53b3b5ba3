"""inspect_certificate: whom a server's certificate is for, who vouches for it, and how long it lasts."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any

from webapp.builtin.network.certificate_facts import Facts, read
from webapp.builtin.network.names import LONGEST_NAME, why_not
from webapp.builtin.results import failed, printable, said
from webapp.builtin.tool import BuiltinTool, Context
from webapp.errors import EgressDenied, Unreachable
from webapp.upstream.egress import Egress

PORTS = frozenset({443, 465, 636, 853, 993, 995, 8443})
SOON_DAYS = 21
# Servers with old versions only often hang up without a word.
_TLS_TROUBLE = {"tls", "closed"}
_OLD = {"SSLv3", "TLSv1", "TLSv1.1"}

DEFINITION: dict[str, Any] = {
    "name": "inspect_certificate",
    "title": "Inspect a TLS certificate",
    "description": (
        "Gets the TLS certificate of a public server: whether it is trusted and covers the name, issuer, "
        "names, first and last day, days left, key and TLS version. Shows the facts of an expired or "
        "untrusted certificate too, with the reason. Reads only; nothing but the greeting is exchanged."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "host": {
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_NAME,
                "description": "The server's name, such as mail.example.com.",
            },
            "port": {
                "type": "integer",
                "enum": sorted(PORTS),
                "default": 443,
                "description": "443 and 8443 web, 465 SMTP, 636 LDAP, 853 DNS, 993 IMAP, 995 POP3.",
            },
        },
        "required": ["host"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {
            "host": {"type": "string"},
            "port": {"type": "integer"},
            "trusted": {"type": "boolean", "description": "What a careful client would say."},
            "problems": {"type": "array", "items": {"type": "string"}},
            "tls_version": {"type": "string"},
            "cipher": {"type": "string"},
            "subject": {"type": "string"},
            "issuer": {"type": "string"},
            "names": {"type": "array", "items": {"type": "string"}},
            "covers_host": {"type": "boolean"},
            "self_signed": {"type": "boolean"},
            "not_before": {"type": "string"},
            "not_after": {"type": "string"},
            "days_left": {"type": "integer"},
            "key": {"type": "string"},
            "signature": {"type": "string"},
            "serial": {"type": "string"},
            "sha256": {"type": "string"},
        },
        "required": ["host", "port", "trusted", "problems", "tls_version", "names", "not_after", "days_left"],
    },
    "annotations": {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": True},
}


@dataclass(frozen=True)
class Greeting:
    """What one handshake showed; `doubt` is why it can't be trusted."""

    certificate: bytes
    version: str
    cipher: str
    doubt: str = ""


async def inspect(arguments: dict[str, Any], context: Context) -> dict[str, Any]:
    host, port = arguments["host"].strip(), int(arguments.get("port", 443))
    try:
        greeting = await _greet(context.egress, host, port, context.seconds * 0.4)
    except (EgressDenied, Unreachable) as error:
        return failed(why_not(error, host))
    try:
        facts = read(greeting.certificate, host)
    except ValueError:
        return failed(f"{host} sent a certificate that can't be read.")
    return _told(host, port, greeting, facts)


async def _greet(egress: Egress, host: str, port: int, seconds: float) -> Greeting:
    """First as a careful client; where that fails because of TLS, once more believing all, to look at it."""
    try:
        _, writer = await egress.open_connection(host, port, ssl=True, timeout=seconds)
        return await _look(writer)
    except Unreachable as error:
        if error.kind not in _TLS_TROUBLE:
            raise
        _, writer = await egress.open_connection(host, port, ssl=_believing_all(), timeout=seconds)
        return await _look(writer, doubt=error.what)


async def _look(writer: asyncio.StreamWriter, doubt: str = "") -> Greeting:
    try:
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        cipher = connection.cipher()
        return Greeting(
            certificate=connection.getpeercert(binary_form=True) or b"",
            version=connection.version() or "",
            cipher=cipher[0] if cipher else "",
            doubt=doubt,
        )
    finally:
        # No parting words: some servers would take the rest of our time to answer them.
        writer.transport.abort()
        await asyncio.sleep(0)


def _believing_all() -> ssl.SSLContext:
    """For looking only: also takes old versions and weak ciphers, so that the answer can name them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _told(host: str, port: int, greeting: Greeting, facts: Facts) -> dict[str, Any]:
    problems = _problems(host, greeting, facts)
    head = f"The certificate of {host}:{port} is {'not trusted' if greeting.doubt else 'trusted'}."
    text = "\n".join([head, *(f"- {problem}" for problem in problems), *_lines(greeting, facts)])
    structured = {
        "host": host,
        "port": port,
        "trusted": not greeting.doubt,
        "problems": problems,
        "tls_version": greeting.version,
        "cipher": greeting.cipher,
    }
    return said(text, structured | facts.as_json())


def _problems(host: str, greeting: Greeting, facts: Facts) -> list[str]:
    problems = [greeting.doubt] if greeting.doubt else []
    if facts.days_left < 0:
        problems.append(f"It expired {-facts.days_left} days ago.")
    elif facts.days_left < SOON_DAYS:
        problems.append(f"It ends in {facts.days_left} days: see that it is renewed.")
    if not facts.covers_host:
        problems.append(f"It does not cover the name {host}.")
    if greeting.version in _OLD:
        problems.append(f"The server only speaks {greeting.version}, which is no longer safe.")
    return problems


def _lines(greeting: Greeting, facts: Facts) -> list[str]:
    return [
        f"For: {', '.join(facts.names) or printable(facts.subject)}",
        f"Issued by: {facts.issuer}{' (itself)' if facts.self_signed else ''}",
        f"Valid: {facts.not_before:%Y-%m-%d} to {facts.not_after:%Y-%m-%d} ({facts.days_left} days left)",
        f"Key: {facts.key}, signed with {facts.signature}",
        f"Connection: {greeting.version}, {greeting.cipher}",
        f"SHA-256: {facts.sha256}",
    ]


TOOL = BuiltinTool(DEFINITION, inspect)
