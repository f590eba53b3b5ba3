"""One Gatehouse, one server-everything and one fixture server for all tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.visitor import Visitor, launch, visiting
from tests.conformance import strangers
from tests.conformance.strangers import Stranger
from tests.conformance.strangers.pages import stay_here
from tests.house import PASSWORD, House
from tests.serving import Process, everything, free_port, gatehouse, listens


@pytest.fixture(scope="session")
def everything_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with everything(tmp_path_factory.mktemp("everything")) as url:
        yield url


@pytest.fixture(scope="session")
def fixture_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The tools of the official suite as a server of each era, by era, in processes of their own."""
    with ExitStack() as stack:
        yield {
            era: stack.enter_context(_fixture(tmp_path_factory.mktemp("fixture"), era))
            for era in ("new", "old")
        }


@contextmanager
def _fixture(folder: Path, era: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "tests.conformance.fixture", str(port), era]
    server = Process(command, folder / "fixture.log")
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


@pytest.fixture
def visitor(house: House) -> Iterator[Visitor]:
    """At the house of the test's own file where that has one; among the pages of others, and no further."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        with visiting(browser, house.url) as one:
            stay_here(one.page.context)
            # Their pages ask for icons they don't have; ours are watched elsewhere.
            one.page.context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
            one.page.set_default_timeout(60_000)
            yield one
        browser.close()


@pytest.fixture(scope="session")
def key(house: House) -> str:
    return house.agent("claude")


@pytest.fixture(scope="session")
def python_sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    with strangers.python_sdk(tmp_path_factory.mktemp("stranger")) as running:
        yield running


@pytest.fixture(scope="session")
def typescript_sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    with strangers.typescript_sdk(tmp_path_factory.mktemp("stranger")) as running:
        yield running


@pytest.fixture(scope="session")
def oidc_registering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    with strangers.oidc_registering(tmp_path_factory.mktemp("stranger")) as running:
        yield running


@pytest.fixture(scope="session")
def oidc_by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Stranger]]:
    """oidc_by_hand(return address): one server for each address that is registered there."""
    started: dict[str, Stranger] = {}
    with ExitStack() as stack:

        def start(redirect_uri: str) -> Stranger:
            if redirect_uri not in started:
                folder = tmp_path_factory.mktemp("stranger")
                started[redirect_uri] = stack.enter_context(strangers.oidc_by_hand(folder, redirect_uri))
            return started[redirect_uri]

        yield start
