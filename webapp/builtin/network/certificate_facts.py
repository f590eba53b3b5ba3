"""What is written in a certificate. It is a stranger's text: every part may be odd."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from webapp.builtin.results import printable

MOST_NAMES = 100


@dataclass(frozen=True)
class Facts:
    subject: str
    issuer: str
    names: tuple[str, ...]
    covers_host: bool
    self_signed: bool
    not_before: datetime
    not_after: datetime
    days_left: int
    key: str
    signature: str
    serial: str
    sha256: str

    def as_json(self) -> dict[str, Any]:
        dates = {"not_before": self.not_before.isoformat(), "not_after": self.not_after.isoformat()}
        return vars(self) | dates | {"names": list(self.names)}


def read(der: bytes, host: str) -> Facts:
    """Raises ValueError for what is no certificate."""
    certificate = x509.load_der_x509_certificate(der)
    names = _names(certificate)
    end = certificate.not_valid_after_utc
    return Facts(
        subject=_written(certificate.subject),
        issuer=_written(certificate.issuer),
        names=tuple(names[:MOST_NAMES]),
        covers_host=any(_covers(name, host) for name in names),
        self_signed=certificate.issuer == certificate.subject,
        not_before=certificate.not_valid_before_utc,
        not_after=end,
        days_left=(end - datetime.now(UTC)).days,
        key=_key(certificate),
        signature=_signature(certificate),
        serial=f"{certificate.serial_number:x}",
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _written(name: x509.Name) -> str:
    return printable(name.rfc4514_string()) or "(empty)"


def _names(certificate: x509.Certificate) -> list[str]:
    """The names that count (RFC 9525): clients no longer look at the subject."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        return []
    names = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    return [printable(str(name), 253) for name in [*names, *addresses]]


def _covers(pattern: str, host: str) -> bool:
    """A star stands for exactly one label, and only for the first."""
    pattern, host = pattern.lower().rstrip("."), _ascii(host).rstrip(".")
    if pattern.startswith("*."):
        return not _is_address(host) and host.partition(".")[2] == pattern[2:]
    return pattern == host


def _ascii(host: str) -> str:
    try:
        return host.strip("[]").lower() if host.isascii() else host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host.lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _key(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return "of an unknown kind"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA, {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"elliptic curve {key.curve.name}"
    return type(key).__name__.strip("_").removesuffix("PublicKey")


def _signature(certificate: x509.Certificate) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "an unknown method"
    return algorithm.name if algorithm else "the key's own method"
