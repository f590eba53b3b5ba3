"""DKIM (RFC 6376): the public keys with which receivers check the signature on mail."""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import Any

import dns.rdatatype
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from webapp.builtin.network.dmarc import tags
from webapp.builtin.network.names import below, parse_name
from webapp.builtin.network.questions import NameServers
from webapp.builtin.network.verdict import State, Verdict, worst
from webapp.errors import InvalidInput

# What Microsoft 365, Google Workspace and the usual mailing services call theirs.
COMMON = ("selector1", "selector2", "google", "default", "dkim", "mail", "k1", "k2", "s1", "s2")
ED25519_BYTES = 32


@dataclass(frozen=True)
class Key:
    selector: str
    state: State
    text: str
    is_there: bool = True

    def as_json(self) -> dict[str, Any]:
        return {"selector": self.selector, "verdict": self.state, "explanation": self.text}


async def check_dkim(domain: str, selectors: list[str], servers: NameServers) -> Verdict:
    """Without selectors a few common ones are tried: DNS can't list them, so finding none proves nothing."""
    keys = await asyncio.gather(*(_key(domain, selector, servers) for selector in selectors or COMMON))
    shown = [key for key in keys if key.is_there or selectors]
    facts = {"selectors": [key.as_json() for key in shown]}
    if not shown:
        unsure = any(key.state == "unknown" for key in keys)
        return Verdict("unknown", _NOT_ANSWERED if unsure else _NONE_FOUND, facts=facts)
    notes = tuple(f"{key.selector}: {key.text}" for key in shown)
    working = sum(key.is_there for key in shown)
    summary = (
        f"{working} of {len(shown)} given selectors have a key." if selectors else f"Keys found: {working}."
    )
    return Verdict(worst(key.state for key in shown), summary, notes, facts)


_NOT_ANSWERED = "The name server did not answer the questions for common selectors."
_NONE_FOUND = (
    "No key under the common selectors. DKIM may still be in use: look for “s=” in the DKIM-Signature header "
    "of a mail from this domain, and give that selector."
)


async def _key(domain: str, selector: str, servers: NameServers) -> Key:
    try:
        place = below(f"{selector}._domainkey", parse_name(domain, "domain"))
    except InvalidInput as refusal:
        return Key(selector, "problem", refusal.what, is_there=False)
    reply = await servers.ask(place, dns.rdatatype.TXT)
    if reply.status in ("timeout", "failed"):
        return Key(selector, "unknown", reply.in_words(), is_there=False)
    record = next((text for text in reply.texts if "p" in tags(text)), None)
    if record is None:
        return Key(selector, "problem", "there is no key here.", is_there=False)
    return _judged(selector, tags(record))


def _judged(selector: str, known: dict[str, str]) -> Key:
    if not known["p"]:
        return Key(selector, "warning", "the key was withdrawn (empty p=); mail signed with it fails.")
    kind = known.get("k", "rsa").lower()
    state, text = _rsa(known["p"]) if kind == "rsa" else _other(kind, known["p"])
    if "y" in known.get("t", "").lower().split(":"):
        return Key(selector, worst([state, "warning"]), f"{text} It is marked as a test (t=y).")
    return Key(selector, state, text)


def _rsa(encoded: str) -> tuple[State, str]:
    try:
        key = load_der_public_key(_decoded(encoded))
    except (ValueError, UnsupportedAlgorithm):
        return "problem", "the key can't be read; it may have been cut when it was pasted."
    if not isinstance(key, RSAPublicKey):
        return "problem", "the key is not the RSA key that the record promises."
    bits = key.key_size
    if bits < 1024:
        return "problem", f"the RSA key has {bits} bits; receivers ignore keys under 1024."
    if bits < 2048:
        return "warning", f"the RSA key has {bits} bits; 2048 are recommended."
    return "ok", f"a working RSA key with {bits} bits."


def _other(kind: str, encoded: str) -> tuple[State, str]:
    if kind != "ed25519":
        return "problem", "the kind of key (k=) is unknown."
    try:
        size = len(_decoded(encoded))
    except ValueError:
        size = 0
    if size != ED25519_BYTES:
        return "problem", "the Ed25519 key can't be read."
    return "ok", "a working Ed25519 key (not every receiver knows this kind yet; keep an RSA key beside it)."


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
