"""The arrows of the house: routes, gateway → services → {upstream, builtin, store} → errors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

WEBAPP = Path(__file__).parent.parent / "webapp"

# A room → the rooms it may import besides itself.
MAY = {
    "errors": set(),
    "store": {"errors"},
    "upstream": {"errors"},
    "builtin": {"errors", "upstream"},
    "services": {"errors", "store", "upstream", "builtin"},
    "gateway": {"errors", "logs", "store", "upstream", "builtin", "services"},
    "routes": {"errors", "logs", "store", "upstream", "builtin", "services"},
    "practice": {"errors"},  # somebody else's server, as far as Gatehouse knows
    "serving": {"doorway", "logs", "memory"},
    "memory": set(),
    "doorway": set(),
    "forms": set(),
    "logs": set(),
    "cli": {"errors", "store", "services"},
    "asgi": {"gateway", "create_app", "compression", "closed", "errors", "forms", "logs"},
    "closed": {"errors", "store"},
    "compression": set(),
    "create_app": {"errors", "forms", "store", "services", "routes", "cli"},
}
PEOPLE = {"routes", "cli", "create_app"}  # the only rooms that know Flask
FLASK = {"flask", "flask_wtf", "htmx_flask", "werkzeug", "markupsafe"}
# Things that no tool's argument should ever come near.
NEVER = {"pickle", "marshal", "shelve", "subprocess", "pty", "code"}
CALLS = {"eval", "exec", "__import__", "os.system", "os.popen", "os.execv", "os.fork"}

# Whoever connects to another machine asks the guard for the address: these do, and no other place connects.
OUT = {"AsyncClient", "AsyncConnectionPool", "open_connection", "create_connection", "create_datagram_endpoint",
       "urlopen", "HTTPConnection", "HTTPSConnection"}  # fmt: skip
ASK_AT_ONCE = {f"httpx2.{verb}" for verb in ("get", "post", "put", "request", "stream", "Client")}
GUARDED = {"upstream/egress.py", "upstream/transport.py", "upstream/wire.py", "upstream/mail.py"}
OTHER_CLIENTS = {"requests", "urllib3", "aiohttp", "httpx", "ftplib", "telnetlib", "xmlrpc"}

MODULES = sorted(WEBAPP.rglob("*.py"))


def room(path: Path) -> str:
    first = path.relative_to(WEBAPP).parts[0].removesuffix(".py")
    return "create_app" if first == "__init__" else first


def imported(tree: ast.Module, path: Path) -> Iterator[str]:
    """Dotted names: `webapp.store.models.Tool` for `from webapp.store.models import Tool`."""
    package = ("webapp", *path.relative_to(WEBAPP).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            yield from (
                ".".join([*base, node.module or "", alias.name]).replace("..", ".") for alias in node.names
            )


def target(name: str) -> str | None:
    """The room that an import of Gatehouse's own code leads to; None for other people's."""
    first, _, rest = name.partition(".")
    return (rest.partition(".")[0] or "create_app") if first == "webapp" else None


def faults(source: str, path: Path) -> list[str]:
    tree = ast.parse(source)
    here, found = room(path), []
    for name in imported(tree, path):
        there = target(name)
        if there and there != here and there not in MAY[here]:
            found.append(f"{here} may not import {name}")
        if name.partition(".")[0] in FLASK and here not in PEOPLE:
            found.append(f"{here} may not know {name}")
        if name.partition(".")[0] in NEVER:
            found.append(f"{name} has no place in Gatehouse")
        if name.partition(".")[0] in OTHER_CLIENTS:
            found.append(f"{name} goes round the guard")
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if here != "practice" and str(path.relative_to(WEBAPP)) not in GUARDED:
        found += [f"{call}() goes round the guard" for call in calls if _goes_out(call)]
    return found + [f"{call}() has no place in Gatehouse" for call in calls if call in CALLS]


def _goes_out(call: str) -> bool:
    first, _, last = call.rpartition(".")
    return (last in OUT and first not in ("egress", "visit.egress")) or call in ASK_AT_ONCE


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(WEBAPP)))
def test_imports_only_follow_the_arrows(path: Path) -> None:
    assert faults(path.read_text(), path) == []


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("from webapp.store import models", "upstream/client.py"),
        ("from webapp.upstream.egress import Egress", "store/models/tools.py"),
        ("import webapp.gateway.calls", "services/sync.py"),
        ("from ..routes import guards", "services/sync.py"),
        ("from .. import create_app", "store/database.py"),
        ("from webapp.store.models import Tool", "builtin/tool.py"),
        ("def late():\n    from flask import request", "services/audit.py"),
        ("from flask import Response", "errors.py"),
        ("from webapp.services import sync", "errors.py"),
        ("import subprocess", "services/backups.py"),
        ("import os\nos.system('true')", "cli/data.py"),
        ("eval('1')", "builtin/tool.py"),
        ("httpx2.get('https://x')", "services/sync.py"),
        ("socket.create_connection(('x', 1))", "builtin/network/dns.py"),
        ("import requests", "services/notices/channels.py"),
    ],
)
def test_a_breach_is_noticed(source: str, where: str) -> None:
    assert faults(source, WEBAPP / where)


def test_every_room_has_its_rule() -> None:
    assert {room(path) for path in MODULES} <= set(MAY)
