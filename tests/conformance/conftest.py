"""One Gatehouse, one server-everything and one fixture server for all tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.house import PASSWORD, House
from tests.serving import Process, everything, free_port, gatehouse, listens


@pytest.fixture(scope="session")
def everything_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with everything(tmp_path_factory.mktemp("everything")) as url:
        yield url


@pytest.fixture(scope="session")
def fixture_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tools of the official suite, in a process of their own."""
    port = free_port()
    log = tmp_path_factory.mktemp("fixture") / "fixture.log"
    server = Process([sys.executable, "-m", "tests.conformance.fixture", str(port)], log)
    try:
        server.start()
        server.wait_until(lambda: listens(port), "it listened")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.stop()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Under gunicorn with two workers; Ann is its admin."""
    with gatehouse(tmp_path_factory.mktemp("gatehouse")) as running:
        running.house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        yield running.house


@pytest.fixture(scope="session")
def key(house: House) -> str:
    return house.agent("claude")
