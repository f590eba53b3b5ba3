"""The error codes of sign-in services in words: what a person can do about each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from webapp.errors import SignInRefused

LONGEST_QUOTE, LONGEST_CODE = 200, 60
BEGIN_AGAIN = "Begin the sign-in again."
# RFC 6749 §4.1.2.1 and §5.2, RFC 8707 §2, RFC 7591 §3.2.2, OpenID Connect Core §3.1.2.6: why, and what to do.
_WORDS: dict[str, tuple[str, str]] = {
    "access_denied": (
        "Somebody pressed Cancel there, or the account may not give this access.",
        "Sign in again and allow the access, or use another account.",
    ),
    "invalid_grant": (
        "The sign-in there has ended: it ran out, was revoked, or was used a second time.",
        "Sign in again.",
    ),
    "invalid_client": (
        "The service does not know our client id, or the secret is wrong or has run out.",
        "Check the client id and secret, then sign in again.",
    ),
    "unauthorized_client": (
        "The app registered there may not sign people in this way.",
        "Allow the authorization code grant for the app at the vendor.",
    ),
    "invalid_scope": (
        "The service does not know one of the permissions that were asked for.",
        "Look at the extra scopes under Advanced, then begin again.",
    ),
    "invalid_target": (
        "The service does not accept the name of this server as the resource.",
        "Under Advanced, leave the resource out or give the name that the service knows, then begin again.",
    ),
    "invalid_redirect_uri": (
        "The service does not accept our return address.",
        "Set PUBLIC_URL to an https:// address, or register an app there by hand.",
    ),
    "server_error": ("The service had a fault.", "Try again later."),
    "temporarily_unavailable": ("The service is busy or being restarted.", "Try again later."),
}
_UNKNOWN = ("", BEGIN_AGAIN)


def of_token_endpoint(host: str, code: str, description: object) -> SignInRefused:
    return _refusal(f"The sign-in service {host} refused", code, description)


def of_page(host: str, code: str, description: object) -> SignInRefused:
    """What came back with the browser (RFC 6749 §4.1.2.1): anybody may have written it."""
    return _refusal(f"{host} sent you back without a sign-in", code, description)


def of_registration(host: str, status: int, said: Mapping[str, Any]) -> SignInRefused:
    refusal = _refusal(
        f"{host} refused to register us", str(said.get("error", status)), said.get("error_description")
    )
    refusal.next_step = "Register an app there by hand and enter its client id."
    return refusal


def without(secrets: Iterable[str], text: str) -> str:
    """A service may quote what it was sent, also as it came: form-encoded."""
    for secret in filter(None, secrets):
        for written in (
            secret,
            quote_plus(secret, errors="replace"),
            quote(secret, safe="", errors="replace"),
        ):
            text = text.replace(written, "•••")
    return text


def _refusal(what: str, code: str, description: object) -> SignInRefused:
    why, next_step = _WORDS.get(code, _UNKNOWN)
    quoted, named = _one_line(description, LONGEST_QUOTE), _one_line(code, LONGEST_CODE)
    said = f"{named}: {quoted}" if quoted else named
    return SignInRefused(f"{what} ({said}).", code=named, why=why, next_step=next_step)


def _one_line(text: object, longest: int) -> str:
    """Without what steers terminals and log readers."""
    printable = "".join(letter if letter.isprintable() else " " for letter in str(text or "")[: longest * 8])
    return " ".join(printable.split())[:longest]
