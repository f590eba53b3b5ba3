"""The practice server as an integration: offered while nothing is connected, added with one button."""

from __future__ import annotations

import httpx2
from peewee import ModelSelect

from webapp.errors import InvalidInput
from webapp.services import integrations
from webapp.services.audit import Actor
from webapp.store.models import Integration
from webapp.upstream.egress import Allowance

# Gatehouse starts the practice server itself, on loopback only: nobody needs to confirm the address.
LOOPBACK = {"127.0.0.1": "127.0.0.1/32", "localhost": "127.0.0.1/32", "::1": "::1/128"}
DOORS = ("open", "bearer", "oauth")


def offered(practice_url: str) -> bool:
    """While no MCP server is connected and the practice server runs."""
    return bool(practice_url) and not _servers().exists()


def add(practice_url: str, door: str, actor: Actor) -> Integration:
    """A draft at one door, with the exception for exactly this host and port."""
    url = httpx2.URL(practice_url)
    if door not in DOORS or url.host not in LOOPBACK:
        raise InvalidInput("There is no such practice server.")
    taken = {name for (name,) in Integration.select(Integration.name).tuples()}
    name = next(name for name in _names(door) if name not in taken)
    draft = integrations.add_server(f"{practice_url}/{door}/mcp", actor, name=name, title="Practice desk")
    port = url.port or 80
    allowance = Allowance(url.host, port, LOOPBACK[url.host], cleartext=url.scheme == "http")
    return integrations.allow_private(draft, allowance, actor)


def _names(door: str) -> list[str]:
    base = "practice" if door == "open" else f"practice-{door}"
    return [base, *(f"{base}-{number}" for number in range(2, 1000))]


def _servers() -> ModelSelect:
    return Integration.select().where(Integration.kind == "server", Integration.state != "draft")
