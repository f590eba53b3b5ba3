"""The two names of a tool: the catalogue name that people read, and the wire name that agents see."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container

from webapp.errors import InvalidInput

LONGEST_WIRE_NAME = 64
SERVER_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
RESERVED = {"gatehouse", "new", "builtin", "mcp"}


def catalogue_name(prefix: str, tool: str) -> str:
    return f"{prefix}:{tool}"


def wire_name(server: str, tool: str, taken: Container[str] = ()) -> str:
    """`<server>__<tool>` in [A-Za-z0-9_-], at most 64 characters, not in `taken`.

    A name that had to be changed (other characters, too long, taken) loses its middle to a short hash of
    the real name, so that two tools that look alike after cleaning stay apart.
    """
    plain = f"{server}__{tool}"
    clean = re.sub(r"[^A-Za-z0-9_-]+", "_", plain)
    if clean == plain and len(clean) <= LONGEST_WIRE_NAME and clean not in taken:
        return clean
    attempt = 0
    while True:
        name = _with_hash(clean, f"{plain}\0{attempt}" if attempt else plain)
        if name not in taken:
            return name
        attempt += 1


def _with_hash(clean: str, real: str) -> str:
    mark = hashlib.sha256(real.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    room = LONGEST_WIRE_NAME - len(mark) - 2
    if len(clean) <= room:
        return f"{clean.rstrip('_')}_{mark}"
    front = room // 2
    return f"{clean[:front]}_{mark}_{clean[front - room :]}"


def server_name(wanted: str, taken: Container[str] = ()) -> str:
    """A short name for addresses and wire names; raises InvalidInput when `wanted` can't be one."""
    name = wanted.strip().lower()
    if not SERVER_NAME.fullmatch(name):
        raise InvalidInput(
            "A name is 1 to 32 small letters, digits and dashes.",
            field="name",
            next_step="Try something like halo-psa.",
        )
    if name in RESERVED:
        raise InvalidInput(f"The name “{name}” is taken by Gatehouse itself.", field="name")
    if name in taken:
        raise InvalidInput(f"There is already an integration called “{name}”.", field="name")
    return name


def suggest_server_name(host: str, taken: Container[str] = ()) -> str:
    """A free name from a host: mcp.halopsa.com → halopsa."""
    parts = [
        p
        for p in host.lower().split(".")
        if p not in ("www", "mcp", "api", "com", "net", "org", "io", "co", "app")
    ]
    if not parts or all(p.isdigit() for p in parts) or ":" in host:
        parts = [host.lower()]
    base = re.sub(r"[^a-z0-9]+", "-", parts[-1] if len(parts) < 3 else parts[-2]).strip("-")[:28] or "server"
    name, n = base, 1
    while name in taken or name in RESERVED:
        n += 1
        name = f"{base}-{n}"
    return name
