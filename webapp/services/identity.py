"""Who Gatehouse is to sign-in services: where they send people back to, and the document it describes itself with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from config import Config
from webapp.errors import InvalidInput, Refused
from webapp.upstream.addresses import parse_host, standing
from webapp.upstream.oauth import client_metadata

NAME = "Gatehouse"
CALLBACK = "/oauth/callback"
DOCUMENT = "/.well-known/oauth-client/gatehouse.json"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# RFC 6761, RFC 6762, RFC 8375 and what routers hand out: names that only one network knows.
NEVER_PUBLIC = (
    "local",
    "localhost",
    "lan",
    "internal",
    "intranet",
    "home",
    "corp",
    "arpa",
    "test",
    "invalid",
)


@dataclass
class _Surroundings:
    public_url: str = ""
    port: int = 8000


_surroundings = _Surroundings()


def configure(config: Config) -> None:
    _surroundings.public_url = config.public_url
    _surroundings.port = config.port


@dataclass(frozen=True)
class Standing:
    """Whether sign-in services will send people back to this address: fine, or a sentence why not.

    `open_instead`: where to open Gatehouse so that it works. `by_hand`: the person brings the way back.
    """

    address: str
    problem: str = ""
    why: str = ""
    next_step: str = ""
    open_instead: str = ""
    by_hand: bool = False

    @property
    def way_back(self) -> str:
        """The address that sign-in services are told, and that is registered there."""
        return loopback_address() if self.by_hand else self.address


def return_address(came_by: str, path: str = CALLBACK) -> str:
    """`came_by` is how the admin's browser came here (`http://localhost:8000`): without a PUBLIC_URL, it must come
    back the same way, as the session is known there only."""
    return (_surroundings.public_url or came_by.rstrip("/")) + path


def loopback_address() -> str:
    """For a box without https: the browser ends at its own machine, and the admin pastes where it was sent."""
    return f"http://127.0.0.1:{_surroundings.port}{CALLBACK}"


def standing_of(came_by: str) -> Standing:
    address = return_address(came_by)
    public = urlsplit(address)
    if public.scheme == "http" and public.hostname not in LOOPBACK:
        return Standing(
            address,
            f"Gatehouse’s own address begins with http:// ({public.netloc}).",
            why="Sign-in services send people back only to https:// addresses, or to the machine they sit at.",
            next_step="Put Gatehouse behind https (a reverse proxy, or Tailscale Serve) and set PUBLIC_URL. "
            "Until then, sign in with the address pasted by hand.",
            by_hand=True,
        )
    if _surroundings.public_url and _origin(came_by) != _origin(_surroundings.public_url):
        return Standing(
            address,
            f"You came by {urlsplit(came_by).netloc}, but sign-in services send you back to {public.netloc}.",
            why="Your browser is not signed in to Gatehouse there, so the way back would end at a closed door.",
            next_step=f"Open Gatehouse at {_surroundings.public_url} and sign in from there.",
            open_instead=_surroundings.public_url,
        )
    return Standing(address)


def has_moved(redirect_uri: str) -> bool:
    """Whether PUBLIC_URL was another one when this return address was in use."""
    return bool(_surroundings.public_url) and redirect_uri not in (return_address(""), loopback_address())


def document_address() -> str:
    """The client id of our metadata document; empty where sign-in services could not fetch it."""
    public = _surroundings.public_url
    return public + DOCUMENT if public.startswith("https://") and _is_public(public) else ""


def document() -> dict[str, Any]:
    """draft-ietf-oauth-client-id-metadata-document §4: its own address is the id."""
    described = client_metadata(NAME, _surroundings.public_url, return_address(""))
    return {"client_id": document_address(), **described.model_dump(mode="json", exclude_none=True)}


def home_page() -> str:
    """For registrations: only an address that others can open says something."""
    return _surroundings.public_url if document_address() else ""


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return parts.scheme, parts.netloc.lower().removesuffix(default)


def _is_public(url: str) -> bool:
    try:
        name, literal = parse_host(urlsplit(url).hostname or "")
    except (Refused, InvalidInput):
        return False
    if literal:
        return standing(literal).kind == "public"
    return "." in name and name.rstrip(".").rpartition(".")[2] not in NEVER_PUBLIC
