"""The way to a server: its address, the network it is in, and the encryption up to it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from webapp.errors import EgressDenied, Unreachable
from webapp.upstream.addresses import plain, standing
from webapp.upstream.exchange import shown_url
from webapp.upstream.findings import Finding
from webapp.upstream.visit import Visit

DAYS_TO_WARN = 14
_PLAIN_HTTP = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


async def approach(visit: Visit) -> None:
    _tidy(visit)
    addresses = await _resolve(visit)
    await _encrypt(
        visit, in_own_network=all(standing(plain(address)).kind == "private" for address in addresses)
    )


def _tidy(visit: Visit) -> None:
    if "://" not in visit.url:
        visit.url = f"https://{visit.url}"
        visit.say(
            "address",
            "note",
            "The address had no https:// in front; it was added.",
            seen=shown_url(visit.url),
        )
    visit.url = visit.url.partition("#")[0]


async def _resolve(visit: Visit) -> list[str]:
    cleartext_refused: EgressDenied | None = None
    try:
        visit.egress.check_url(visit.url)
    except EgressDenied as error:
        if error.kind not in ("scheme", "port") or not error.port:
            raise
        cleartext_refused = error if error.kind == "scheme" else None
    host, port = _place(visit.url)
    addresses = await visit.egress.addresses(host, port, visit.seconds)
    if cleartext_refused is not None:
        return await _without_cleartext(visit, cleartext_refused, addresses)
    kind = standing(plain(addresses[0])).words or "a public address"
    shown = f"{host} is {kind}." if addresses[0] == host else f"{host} is {addresses[0]}, {kind}."
    visit.say("address", "ok", shown, seen=", ".join(addresses))
    return addresses


async def _without_cleartext(visit: Visit, refused: EgressDenied, addresses: list[str]) -> list[str]:
    """http:// is for one's own network, when an admin says so. Elsewhere the same host is tried with https://."""
    if any(standing(plain(address)).kind == "private" for address in addresses):
        raise EgressDenied(
            refused.what,
            kind="private",
            host=refused.host,
            port=refused.port,
            address=", ".join(addresses),
            next_step=refused.next_step,
        )
    parts = urlsplit(visit.url)
    visit.url = urlunsplit(parts._replace(scheme="https", netloc=parts.netloc.removesuffix(":80")))
    visit.say("address", "note", "The address began with http://; it was tried with https:// instead.")
    return await _resolve(visit)


async def _encrypt(visit: Visit, *, in_own_network: bool) -> None:
    if urlsplit(visit.url).scheme != "https":
        visit.say(
            "tls",
            "note",
            "The connection is not encrypted.",
            why="The address begins with http://, so whoever sits in between can read and change everything.",
        )
        return
    host, port = _place(visit.url)
    try:
        _, writer = await visit.egress.open_connection(host, port, ssl=True, timeout=visit.seconds)
    except Unreachable as error:
        if in_own_network and _is_plain_http(error):
            visit.way_out = f"http{visit.url.removeprefix('https')}"
        raise
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert()
    finally:
        writer.transport.abort()
    visit.add(_validity(certificate))


def _is_plain_http(error: Unreachable) -> bool:
    cause = error.__cause__
    return isinstance(cause, ssl.SSLError) and cause.reason in _PLAIN_HTTP


def _validity(certificate: dict[str, Any]) -> Finding:
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    days = (until - datetime.now(UTC)).days
    day = f"{until.day} {until:%B %Y}"
    if days < DAYS_TO_WARN:
        return Finding(
            "tls",
            "note",
            f"The connection is encrypted, but the certificate runs out on {day}.",
            next_step="Tell whoever runs the server; most renew theirs by themselves.",
        )
    return Finding("tls", "ok", f"The connection is encrypted; the certificate is valid until {day}.")


def _place(url: str) -> tuple[str, int]:
    parsed = httpx2.URL(url)
    return parsed.host, parsed.port or (80 if parsed.scheme == "http" else 443)
