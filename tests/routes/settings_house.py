"""Fixtures of the settings pages' tests: an app, visitors of each role, a farm of servers to connect."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
from flask import Flask

from tests import databases
from tests.routes.visitors import Visitor, furnished_under, opened
from tests.services.farm import Farm, farm, tool
from tests.upstream.zoo import modern
from webapp.services import checks, connections, integrations, sync
from webapp.services.audit import COMMAND
from webapp.store.models import Integration, database

READ = tool("get_ticket", "Get one ticket")
WRITE = tool("delete_ticket", "Delete one ticket")
SETTINGS = "/settings/integrations"


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnished_under(tmp_path_factory.getbasetemp())


@pytest.fixture
def app(furnished: Path, tmp_path: Path) -> Iterator[Flask]:
    databases.copy(furnished, tmp_path / "data")
    made = opened(tmp_path / "data", practice_url="http://127.0.0.1:8001")
    with database.connection_context():
        yield made


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return Visitor.signed_in(app, "admin")


@pytest.fixture
def technician(app: Flask) -> Visitor:
    return Visitor.signed_in(app, "technician")


@pytest.fixture
def viewer(app: Flask) -> Visitor:
    return Visitor.signed_in(app, "viewer")


@pytest.fixture(scope="session")
def meadow() -> Iterator[Farm]:
    with farm() as one:
        yield one


@pytest.fixture
def servers(meadow: Farm) -> Farm:
    meadow.zoo.animals.clear()
    meadow.zoo.asked.clear()
    return meadow


Connect = Callable[..., Integration]


@pytest.fixture
def connect(app: Flask, servers: Farm) -> Connect:
    """A server of the farm with a read and a write, connected as the command line does it."""

    def make(name: str = "desk", *tools: object, finished: bool = True) -> Integration:
        path = f"/{name}"
        servers.put(modern(tools or (READ, WRITE)), path)
        draft = integrations.add_server(servers.url(path), COMMAND, name=name, title=name.title())
        draft = integrations.allow_private(draft, servers.allowance, COMMAND)
        sync.adopt(draft, connections.save_headers(draft, "none", [], COMMAND), COMMAND)
        if finished:
            integrations.finish(draft, COMMAND)
        return integrations.find(name)

    return make


def checked(name: str) -> checks.Progress:
    """Waits until the check of this draft has ended."""
    end = time.monotonic() + 60
    while any(thread.name == "check" for thread in threading.enumerate()):
        assert time.monotonic() < end, "the check does not end"
        threading.Event().wait(0.02)
    return checks.progress(integrations.find(name))


def value_of(html: str, field: str) -> str:
    found = re.search(rf'name="{field}" value="([^"]*)"', html)
    assert found, f"no field {field}"
    return unescape(found.group(1))
