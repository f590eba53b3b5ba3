"""A house for every test that wants one: its settings, its app, a stranger's browser, and people who are signed in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Config
from tests import databases, forked, memory, once  # noqa: F401
from tests.routes.visitors import Visitor, furnished_under
from webapp import create_app
from webapp.store.models import database

# The same examples each time, however long the machine takes for one of them.
hypothesis.settings.load_profile("ci")
if place := memory.place():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))
databases.install()
forked.install()
# Long ones in the middle of a folder that is run by itself; beside other long ones they would be its last.
LONGEST = {"test_strangers_journeys.py", "test_lighthouse.py"}
collect_ignore_glob = sum(databases.STORELESS.values(), []) if databases.SERVER else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With what starts whole programs at the front, and browsers and load behind it, only short files are left at the
    end: no process has a long one to itself then."""
    here = Path(__file__).parent
    items.sort(key=lambda item: (item.path.parent != here, item.path.name not in LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    if folder := getattr(item, "funcargs", {}).get("tmp_path"):
        databases.forget_under(folder)


def pytest_sessionfinish() -> None:
    databases.forget_all()


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a person of each role, to be copied."""
    return furnished_under(tmp_path_factory.getbasetemp())


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data=tmp_path / "data", practice_url="http://127.0.0.1:8001")


@pytest.fixture
def app(furnished: Path, config: Config) -> Iterator[Flask]:
    databases.copy(furnished, config.data)
    yield create_app(config)
    database.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Nobody yet."""
    return app.test_client()


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return Visitor.signed_in(app, "admin")


@pytest.fixture
def technician(app: Flask) -> Visitor:
    return Visitor.signed_in(app, "technician")


@pytest.fixture
def viewer(app: Flask) -> Visitor:
    return Visitor.signed_in(app, "viewer")
