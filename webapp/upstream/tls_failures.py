"""Failures of encryption in words: certificates, handshakes, and ports that don't encrypt at all."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass

import anyio

from webapp.errors import Unreachable

CA_ADVICE = "Give it a certificate from a known authority, or put that authority into the file of CA_FILE."

_OLD_TLS = {
    "UNSUPPORTED_PROTOCOL",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "WRONG_SSL_VERSION",
    "DH_KEY_TOO_SMALL",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "NO_PROTOCOLS_AVAILABLE",
}
_CLIENT_CERTIFICATE = {"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE"}
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "HTTPS_PROXY_REQUEST",
}


@dataclass(frozen=True)
class _Words:
    what: str
    why: str = ""
    next_step: str = ""


# OpenSSL's X509_V_ERR_* numbers (openssl/x509_vfy.h).
_CERTIFICATE = {
    9: _Words(
        "The certificate of {host} is not valid yet.",
        "Its first day lies ahead, or a clock is wrong.",
        "Check the clock of this machine and of the server.",
    ),
    10: _Words(
        "The certificate of {host} has expired.",
        "Its renewal seems to have failed.",
        "Renew the certificate on the server.",
    ),
    18: _Words(
        "The certificate of {host} is self-signed: nobody else vouches for it.",
        "Servers in an own network often make their own.",
        CA_ADVICE,
    ),
    19: _Words(
        "The certificate of {host} comes from a private authority that this machine does not know.",
        "Companies often run their own authority, and some firewalls put theirs in between.",
        CA_ADVICE,
    ),
    20: _Words(
        "The certificate of {host} comes from an authority that this machine does not know.",
        "The authority is private, or the server leaves out its intermediate certificate.",
        CA_ADVICE,
    ),
    23: _Words("The certificate of {host} was revoked.", "", "Replace the certificate on the server."),
    62: _Words(
        "The certificate of {host} is for another host name.",
        "The address is an alias of the server, or leads to the wrong machine.",
        "Use the name that the certificate was made for.",
    ),
}
_CERTIFICATE[21] = _CERTIFICATE[20]
_CERTIFICATE[64] = _CERTIFICATE[62]


def explain_tls(chain: Iterable[BaseException], host: str, port: int, sent: bool) -> Unreachable | None:
    chain = list(chain)
    for link in chain:
        if isinstance(link, ssl.SSLCertVerificationError):
            unknown = _Words(
                f"The certificate of {{host}} can't be trusted: {link.verify_message}.", "", CA_ADVICE
            )
            return _tls_refusal(_CERTIFICATE.get(link.verify_code, unknown), host, sent)
    for link in chain:
        if isinstance(link, ssl.SSLError) and not isinstance(link, ssl.SSLZeroReturnError):
            return _tls_refusal(_handshake_words(link, port), host, sent)
    if not sent and any(isinstance(link, (anyio.EndOfStream, ssl.SSLEOFError)) for link in chain):
        return _tls_refusal(_CUT_SHORT, host, sent)
    return None


_CUT_SHORT = _Words(
    "{host} closed the connection before it was encrypted.",
    "Another program may be listening on this port, or a firewall stands in between.",
    "Check the port, and whether the address should begin with https://.",
)


def _handshake_words(error: ssl.SSLError, port: int) -> _Words:
    reason = error.reason or ""
    if reason in _NOT_TLS or "record layer failure" in str(error):
        return _Words(
            f"{{host}} does not speak https on port {port}.",
            "This looks like a port for plain http.",
            "Check the port, or begin the address with http:// if the server is in your own network.",
        )
    if reason in _CLIENT_CERTIFICATE:
        return _Words("{host} asks for a client certificate.", "", "Use an address without one.")
    if reason in _OLD_TLS:
        return _Words(
            "{host} and Gatehouse found no kind of encryption that both accept.",
            "The server may only know TLS older than 1.2.",
            "Switch on TLS 1.2 or newer on the server.",
        )
    if isinstance(error, ssl.SSLEOFError):
        return _CUT_SHORT
    return _Words(
        f"The encrypted connection to {{host}} failed: {reason or 'no reason given'}.",
        next_step="Try again; if it fails again, look into the log of the server.",
    )


def _tls_refusal(words: _Words, host: str, sent: bool) -> Unreachable:
    return Unreachable(
        words.what.replace("{host}", host), kind="tls", why=words.why, next_step=words.next_step, sent=sent
    )
