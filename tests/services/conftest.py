"""A store of its own for each test, people of each role, and a farm of servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import databases
from tests.services.farm import Farm, farm
from webapp.services import connections, integrations, sync
from webapp.services.audit import Actor
from webapp.store.database import open_store
from webapp.store.models import Integration, database

Connect = Callable[..., Integration]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[None]:
    databases.migrated(tmp_path / "data")
    open_store(tmp_path / "data")
    with database.connection_context():
        yield


@pytest.fixture(scope="session")
def pasture() -> Iterator[Farm]:
    with farm() as one:
        yield one


@pytest.fixture
def servers(pasture: Farm) -> Farm:
    """Empty, and nothing asked yet."""
    pasture.zoo.animals.clear()
    pasture.zoo.asked.clear()
    return pasture


@pytest.fixture
def ann() -> Actor:
    return Actor("user", "ann@example.com", role="admin")


@pytest.fixture
def tom() -> Actor:
    return Actor("user", "tom@example.com", role="technician")


@pytest.fixture
def vic() -> Actor:
    return Actor("user", "vic@example.com", role="viewer")


@pytest.fixture
def connect(store: None, servers: Farm, ann: Actor) -> Connect:
    """A server that stands in the farm, connected and synced."""

    def make(name: str = "desk", path: str = "/mcp", finished: bool = True) -> Integration:
        draft = integrations.add_server(servers.url(path), ann, name=name)
        draft = integrations.allow_private(draft, servers.allowance, ann)
        fetched = connections.save_headers(draft, "none", [], ann)
        sync.adopt(draft, fetched, ann)
        if finished:
            integrations.finish(draft, ann)
        return integrations.find(name)

    return make
