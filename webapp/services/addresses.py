"""What people type as a Server URL, made into an address; every refusal is a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx2

from webapp.errors import InvalidInput

LONGEST = 2000
EXAMPLE = "Try something like https://mcp.example.com/mcp."
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?!\d+(?:[/?#]|$))")


@dataclass(frozen=True)
class Address:
    """`notes` say what was changed about the typed text."""

    url: str
    host: str
    notes: tuple[str, ...] = ()


def typed(text: str) -> Address:
    """Raises InvalidInput with `field` url."""
    text, notes = text.strip().strip("<>\"'"), []
    _check_text(text)
    if not SCHEME.match(text):
        text = f"https://{text.lstrip('/')}"
        notes.append("https:// was put in front of it.")
    url = _parsed(text)
    if url.fragment or "#" in text:
        url = url.copy_with(fragment=None)
        notes.append("The part after # was left out: it never reaches a server.")
    return Address(str(url), url.host, tuple(notes))


def host_of(url: str) -> str:
    return httpx2.URL(url).host


def _check_text(text: str) -> None:
    if not text:
        raise _refusal("The address is missing.", "Paste the Server URL that the vendor gives for MCP.")
    if len(text) > LONGEST:
        raise _refusal(f"The address is longer than {LONGEST} characters.", "Paste only the Server URL.")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise _refusal("The address has a space or an invisible character.", "Paste only the Server URL.")


def _parsed(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise _refusal("This is not an address.", EXAMPLE) from error
    if url.scheme not in ("https", "http"):
        raise _refusal(
            f"An address that begins with {url.scheme[:20]}: can't be a server on the web.",
            "Gatehouse talks to servers at https:// addresses.",
        )
    if url.userinfo:
        raise _refusal(
            "The address has a user name or password in it.",
            "Leave it out here. The sign-in comes in a later step, where it is kept sealed.",
        )
    if url.port is not None and not 0 < url.port < 65536:
        raise _refusal("This is not an address: there is no such port.", EXAMPLE)
    if not url.host:
        raise _refusal("The address has no host.", EXAMPLE)
    return url


def _refusal(what: str, next_step: str) -> InvalidInput:
    return InvalidInput(what, field="url", next_step=next_step)
