"""The wizard and the tool table in a browser: steps, polling, Back, search as you type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from config import Config
from tests.browser.visitor import Visitor
from tests.house import PASSWORD, served
from webapp.asgi import program
from webapp.practice import create_app as practice_app
from webapp.services import accounts
from webapp.services.audit import COMMAND
from webapp.store.models import database


@pytest.fixture(scope="module")
def practice() -> Iterator[str]:
    with served(practice_app()) as url:
        yield url


@pytest.fixture(scope="module")
def gatehouse(practice: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made = program(Config(data=tmp_path_factory.mktemp("wizard") / "data", practice_url=practice))
    with database.connection_context():
        accounts.create_user("ann@example.com", "Ann", PASSWORD, "admin", COMMAND)
    with served(made) as url:
        yield url


def begin(visitor: Visitor, address: str, name: str) -> Page:
    visitor.sign_in()
    page = visitor.go("/settings/integrations")
    page.get_by_role("link", name="Add MCP Server").click()
    page.get_by_label("Server URL").fill(address)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Check this address").click()
    return page


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
def test_a_server_in_the_own_network_with_a_token_is_connected_step_by_step(
    gatehouse: str, practice: str, visit: Callable[..., Visitor], javascript: bool
) -> None:
    name = "with-js" if javascript else "without-js"
    setup = f"{gatehouse}/settings/integrations/{name}/setup"
    visitor = visit(gatehouse, java_script_enabled=javascript)
    visitor.expected = {422}
    page = begin(visitor, f"{practice}/bearer/mcp", name)
    page.get_by_role("button", name="This is a server in my own network").click()
    page.get_by_role("link", name="Continue: sign in").click()
    expect(page).to_have_url(f"{setup}/sign-in")

    page.get_by_label("Bearer token").fill("not the token")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("It answered 401")
    expect(page.get_by_label("Bearer token")).to_have_value("")

    page.get_by_label("Bearer token").fill("practice-token")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{setup}/tools")
    expect(page.get_by_role("heading", level=1)).to_have_text("Step 4 of 5: Tools")
    page.get_by_role("button", name="Finish").click()
    expect(page).to_have_url(f"{setup}/done")

    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Step 4 of 5: Tools")
    page.reload()
    expect(page.get_by_role("button", name="Finish")).to_be_visible()


def test_a_check_stops_asking_when_it_is_over(
    gatehouse: str, practice: str, visit: Callable[..., Visitor]
) -> None:
    page = begin(visit(gatehouse), f"{practice}/open/mcp", "polled")
    expect(page.get_by_role("button", name="This is a server in my own network")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(1500)
    assert not [url for url in asked if "findings" in url]


def test_the_table_is_searched_while_typing_and_the_address_says_so(
    gatehouse: str, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(gatehouse)
    visitor.sign_in()
    page = visitor.go("/tools")
    search = page.get_by_role("searchbox", name="Search")
    search.press_sequentially("certificate", delay=20)
    expect(page).to_have_url(re.compile(r"q=certificate"))
    expect(page.locator("tr", has_text="builtin:network:").first).to_be_visible()
    expect(search).to_be_focused()
    expect(search).to_have_value("certificate")
    search.fill("nothing like this")
    expect(page.get_by_text("No tool matches")).to_be_visible()
    page.get_by_role("link", name="Clear the filters").click()
    expect(page).to_have_url(f"{gatehouse}/tools")
