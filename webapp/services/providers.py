"""Where people sign in besides here, and what a provider's answer says of somebody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from config import ROLES, Config, Provider
from webapp.errors import Forbidden, NotFound
from webapp.services.accounts import EMAIL
from webapp.upstream.egress import DEFAULT_PORTS, Allowance, Egress
from webapp.upstream.provider import Desk, discover

ANYWHERE = "0.0.0.0/0, ::/0"
GOOD_FOR = 300.0  # seconds
LONGEST_ROLES = 500
END_OF_CALENDAR = 253402300800  # the year 10000


@dataclass
class _Surroundings:
    """`published`: when each issuer said what. One entry for each that is set up, at most."""

    providers: dict[str, Provider] = field(default_factory=dict)
    ca_file: str | None = None
    published: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)


_surroundings = _Surroundings()


def configure(config: Config) -> None:
    _surroundings.providers = {one.key: one for one in config.providers}
    _surroundings.ca_file = config.ca_file
    _surroundings.published = {}


def offered() -> list[Provider]:
    return list(_surroundings.providers.values())


def find(key: str) -> Provider:
    if key not in _surroundings.providers:
        raise NotFound(
            "Nobody can sign in there.", why="No such provider is set up.", next_step="Sign in another way."
        )
    return _surroundings.providers[key]


def of_issuer(issuer: str) -> Provider | None:
    """None where it is set up no longer."""
    return next((one for one in offered() if one.issuer == issuer), None)


def name_of(issuer: str) -> str:
    """On pages."""
    found = of_issuer(issuer)
    return found.name if found else issuer


def egress(provider: Provider) -> Egress:
    """The issuer stands in the settings, so it may be in the own network. What it publishes leads nowhere else
    that is not public."""
    issuer = urlsplit(provider.issuer)
    port = issuer.port or DEFAULT_PORTS[issuer.scheme]
    own = Allowance(issuer.hostname or "", port, ANYWHERE, cleartext=issuer.scheme == "http")
    return Egress([own], ca_file=_surroundings.ca_file)


def published(provider: Provider) -> dict[str, Any]:
    """What it says of itself, as of the last minutes: else everybody who clicks would have us ask it. Its keys are
    not in it. Network: never inside a transaction. Raises an UpstreamError, which is not kept: the next one asks anew.
    """
    at, known = _surroundings.published.get(provider.issuer, (0.0, {}))
    if known and time.monotonic() - at < GOOD_FOR:
        return known
    found = asyncio.run(discover(egress(provider), provider.issuer))
    _surroundings.published[provider.issuer] = (time.monotonic(), found)
    return found


def desk(provider: Provider, request: Mapping[str, Any]) -> Desk:
    """`request` is what a SignOn keeps: what was published, and our return address."""
    return Desk(
        egress(provider),
        request["published"],
        provider.client_id,
        provider.client_secret,
        request["redirect_uri"],
    )


@dataclass(frozen=True)
class Person:
    """Somebody as the provider describes them. `role` is ours, empty where they have none; only `subject` is who
    they are: an address may be anybody's tomorrow."""

    subject: str
    email: str
    name: str
    role: str
    shown_at: datetime | None


def person_of(provider: Provider, claims: Mapping[str, Any]) -> Person:
    """Raises Forbidden for people of another tenant."""
    return Person(
        _subject(provider, claims), _email(provider, claims), _text(claims.get("name")),
        _role(provider, claims), _moment(claims.get("auth_time")),
    )  # fmt: skip


def _subject(provider: Provider, claims: Mapping[str, Any]) -> str:
    if not provider.tenant:
        return str(claims["sub"])
    if claims.get("tid") != provider.tenant:
        raise Forbidden(
            "You signed in with an account of another organisation.",
            why="Only people of our own tenant may sign in here.",
            next_step="Sign in with your account of this organisation.",
        )
    subject = _text(claims.get("oid")).lower()
    if not subject:
        raise Forbidden(
            f"{provider.name} does not say who you are.", why="Its answer has no object ID (oid).",
            next_step="Sign in with an account of this organisation.",
        )  # fmt: skip
    return subject


def _email(provider: Provider, claims: Mapping[str, Any]) -> str:
    """What they are called on our pages. Entra's `email` may be what somebody typed, the user name is not."""
    names = ("preferred_username", "email") if provider.tenant else ("email", "preferred_username")
    for claim in names:
        text = _text(claims.get(claim)).lower()
        unproved = claim == "email" and claims.get("email_verified") is False
        if EMAIL.fullmatch(text) and text.isprintable() and not unproved:
            return text
    return ""


def _role(provider: Provider, claims: Mapping[str, Any]) -> str:
    """The highest of theirs that is one of ours."""
    said = _claim(claims, provider.roles_claim)
    words = [said] if isinstance(said, str) else said[:LONGEST_ROLES] if isinstance(said, list) else []
    found = {provider.roles.get(word, "") for word in words if isinstance(word, str)}
    return next((role for role in reversed(ROLES) if role in found), "")


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """`realm_access.roles` is a claim in a claim, unless there is one of that very name."""
    value: Any = claims
    for part in [name] if name in claims else name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(value: object) -> str:
    return " ".join(value.split())[:255] if isinstance(value, str) else ""


def _moment(value: object) -> datetime | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return datetime.fromtimestamp(value, UTC) if number and 0 < value < END_OF_CALENDAR else None  # type: ignore[arg-type,operator]
