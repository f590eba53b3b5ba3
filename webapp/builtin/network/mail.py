"""check_mail_domain: whether mail for and from a domain is set up well."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

import dns.rdatatype

from webapp.builtin.network.dkim import check_dkim
from webapp.builtin.network.dmarc import check_dmarc
from webapp.builtin.network.mx import check_mx
from webapp.builtin.network.names import LONGEST_NAME, is_public, not_public, parse_name, shown
from webapp.builtin.network.questions import NameServers
from webapp.builtin.network.spf import check_spf
from webapp.builtin.network.verdict import STATES, Verdict, worst
from webapp.builtin.results import failed, said
from webapp.builtin.tool import BuiltinTool, Context
from webapp.errors import InvalidInput

_DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)+\.?")
_SELECTOR = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_PART = {
    "type": "object",
    "properties": {"verdict": STATES, "explanation": {"type": "string"}},
    "required": ["verdict", "explanation"],
}

DEFINITION: dict[str, Any] = {
    "name": "check_mail_domain",
    "title": "Check a mail domain",
    "description": (
        "Checks how mail is set up for a public domain: MX (where mail arrives), SPF (who is allowed as "
        "sender, with the number of DNS look-ups it costs), DKIM keys and the DMARC policy. Each part gets a "
        "verdict (ok, warning, problem or unknown) and a plain explanation. Reads public DNS records only."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "domain": {
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_NAME,
                "description": "The part after the @, such as example.com.",
            },
            "dkim_selectors": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 63},
                "minItems": 1,
                "maxItems": 10,
                "description": "DKIM selectors (“s=” in a mail's DKIM-Signature). Common ones if left out.",
            },
        },
        "required": ["domain"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {
            "domain": {"type": "string"},
            "verdict": STATES,
            "explanation": {"type": "string"},
            "mx": _PART,
            "spf": _PART,
            "dkim": _PART,
            "dmarc": _PART,
        },
        "required": ["domain", "verdict", "explanation"],
    },
    "annotations": {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": True},
}


async def check(arguments: dict[str, Any], context: Context) -> dict[str, Any]:
    domain, selectors = _domain(arguments["domain"]), _selectors(arguments.get("dkim_selectors", []))
    name = parse_name(domain, "domain")
    if not is_public(name):
        return failed(not_public(domain))
    domain = shown(name)
    servers = NameServers(context)
    reply = await servers.ask(name, dns.rdatatype.SOA)
    if reply.status in ("nxdomain", "timeout", "failed"):
        state = "problem" if reply.status == "nxdomain" else "unknown"
        return said(reply.in_words(), {"domain": domain, "verdict": state, "explanation": reply.in_words()})
    parts = {
        "mx": check_mx(domain, servers),
        "spf": check_spf(domain, servers),
        "dkim": check_dkim(domain, selectors, servers),
        "dmarc": check_dmarc(domain, servers),
    }
    # Every part has its own end, a little before the tool's: one slow part does not cost the others.
    verdicts = await asyncio.gather(*(_in_time(part, context.seconds * 0.5) for part in parts.values()))
    return _told(domain, dict(zip(parts, verdicts, strict=True)))


async def _in_time(part: Coroutine[Any, Any, Verdict], seconds: float) -> Verdict:
    try:
        async with asyncio.timeout(seconds):
            return await part
    except InvalidInput as refusal:
        return Verdict("problem", refusal.what)
    except TimeoutError:
        return Verdict("unknown", "The name server did not answer all questions in time.")


def _told(domain: str, parts: dict[str, Verdict]) -> dict[str, Any]:
    state = worst(verdict.state for verdict in parts.values())
    wrong = [name.upper() for name, verdict in parts.items() if verdict.state in ("warning", "problem")]
    explanation = f"Look at {', '.join(wrong)}." if wrong else "Nothing wrong was found."
    lines = [f"{name.upper()} ({verdict.state}): {verdict.explanation}" for name, verdict in parts.items()]
    text = "\n".join([f"Mail set-up of {domain}: {state}. {explanation}", *lines])
    structured = {"domain": domain, "verdict": state, "explanation": explanation}
    return said(text, structured | {name: verdict.as_json() for name, verdict in parts.items()})


def _domain(text: str) -> str:
    domain = text.strip()
    if not _DOMAIN.fullmatch(domain):
        raise InvalidInput(
            "“domain” is not a mail domain.",
            field="domain",
            next_step="Write the part after the @, like example.com.",
        )
    return domain


def _selectors(wanted: list[str]) -> list[str]:
    for selector in wanted:
        if not _SELECTOR.fullmatch(selector):
            raise InvalidInput(
                "“dkim_selectors” has an entry that is no selector.",
                field="dkim_selectors",
                next_step="Selectors are words such as selector1.",
            )
    return list(dict.fromkeys(wanted))


TOOL = BuiltinTool(DEFINITION, check)
