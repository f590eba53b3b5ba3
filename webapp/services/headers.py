"""The request headers a person types for a server's sign-in: names, templates and secrets, checked."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from webapp.errors import InvalidInput

PLACE = "{secret}"
MOST = 10
LONGEST_SECRET = 16 * 1024
# RFC 9110 §5.6.2
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# What HTTP or MCP itself sets: a value of ours would break the request, or smuggle another one.
OURS = frozenset(
    "accept accept-charset accept-encoding cache-control connection date expect host keep-alive "
    "last-event-id proxy-authenticate proxy-authorization proxy-connection te trailer "
    "transfer-encoding upgrade".split()
)
OUR_PREFIXES = ("content-", "mcp-", "sec-")
# Servers shorten a token they quote; a shorter piece than this could be an ordinary word.
SHORTEST_SCRUBBED = 4


@dataclass(frozen=True)
class Header:
    name: str
    template: str
    secret: str = field(repr=False)

    def with_secret(self, secret: str) -> Header:
        return replace(self, secret=secret)

    @property
    def value(self) -> str:
        return self.template.replace(PLACE, self.secret, 1)


def bearer(token: str) -> tuple[str, str, str]:
    """The row for a bearer token; people copy the word Bearer along with it."""
    return ("Authorization", f"Bearer {PLACE}", re.sub(r"(?i)^\s*(authorization:\s*)?bearer\s+", "", token))


def basic(user: str, password: str) -> tuple[str, str, str]:
    """RFC 7617. Raises InvalidInput: the user name can't have a colon."""
    if ":" in user:
        raise InvalidInput("A user name can't have a colon in it.", field="user")
    return ("Authorization", f"Basic {PLACE}", base64.b64encode(f"{user}:{password}".encode()).decode())


def checked(rows: Iterable[tuple[str, str, str]]) -> list[Header]:
    """Raises InvalidInput with the sentence for the first row that can't be sent."""
    found = [_checked(*row) for row in rows]
    if len(found) > MOST:
        raise InvalidInput(f"More than {MOST} headers are too many.", field="name")
    names = [header.name.lower() for header in found]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InvalidInput(f"The header {twice} is there twice.", field="name")
    return found


def filled(headers: Iterable[Header]) -> dict[str, str]:
    return {header.name: header.value for header in headers}


def scrubbed(text: str, headers: Iterable[Header]) -> str:
    """`text` without the secrets, whole or as they were sent."""
    for header in headers:
        for secret in (header.value, header.secret):
            if len(secret) >= SHORTEST_SCRUBBED:
                text = text.replace(secret, "•••")
    return text


def _checked(name: str, template: str, secret: str) -> Header:
    name, template, secret = name.strip(), template.strip() or PLACE, secret.strip()
    _check_name(name)
    if template.count(PLACE) != 1:
        raise InvalidInput(
            f"The form of the value for {name} must contain {PLACE} once.",
            field="template",
            next_step=f"For example Token token={PLACE}, or leave it empty.",
        )
    _check_value(name, template)
    _check_value(name, secret)
    return Header(name, template, secret)


def _check_name(name: str) -> None:
    if not TOKEN.fullmatch(name):
        raise InvalidInput(
            f"“{name[:100]}” can't be the name of a header."
            if name
            else "The name of the header is missing.",
            field="name",
            next_step="A name is letters, digits and dashes, such as X-API-Key.",
        )
    if name.lower() in OURS or name.lower().startswith(OUR_PREFIXES):
        raise InvalidInput(
            f"The header {name} is set by Gatehouse itself.",
            field="name",
            next_step="Use the header that the vendor's documentation names for its key.",
        )


def _check_value(name: str, value: str) -> None:
    if len(value) > LONGEST_SECRET:
        raise InvalidInput(f"The value for {name} is longer than 16 KB.", field="secret")
    if any(not " " <= character <= "~" for character in value):
        raise InvalidInput(
            f"The value for {name} has a line break or a character that a header can't carry.",
            field="secret",
            why="It may have been copied together with the text around it.",
            next_step="Copy only the token, in one line.",
        )
