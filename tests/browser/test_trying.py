"""Trying a tool in a browser: keyboard, without JavaScript, narrow; no violation in any state, nothing that acts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from config import Config
from tests.browser.visitor import Visitor
from tests.house import PASSWORD, House, served
from tests.services.farm import farm
from tests.upstream.zoo import Answer, Ask, legacy, result
from webapp.asgi import program
from webapp.practice import create_app as practice_app
from webapp.store.models import Session

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
NASTY = '"><img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}'
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        NASTY: {"type": "string", "title": NASTY, "description": NASTY, "default": NASTY},
        "pattern": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": 5},
        "ticket": {"type": "string", "pattern": r"^T-\d{4,}$"},
        "pick": {"enum": [NASTY, "x" * 300]},
        "w" * 128: {"type": "object", "description": "x" * 500},
        "many": {"type": "array", "items": {"type": "string"}},
    },
}
PARTS = [
    {"type": "text", "text": NASTY},
    {"type": "text", "text": "w" * 3000},
    {"type": "image", "mimeType": "image/png", "data": PIXEL},
    {"type": "image", "mimeType": "image/svg+xml", "data": "PHN2Zz4="},
    {"type": "resource_link", "uri": "javascript:alert(1)", "name": NASTY},
    {"type": "resource_link", "uri": "https://docs.example/" + "w" * 200},
]

# It may have left: nobody can tell from this side.
TOLD = {
    "offline": "No answer came. Look in Activity whether it ran.",
    "signed out": "Not run. You are signed out.",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """With the practice server, and one that means ill."""
    data: Path = tmp_path_factory.mktemp("trying") / "data"

    async def call(ask: Ask) -> Answer:
        return result(ask, {"content": PARTS, "structuredContent": {NASTY: NASTY}})

    with served(practice_app()) as practice, farm() as servers:
        made = program(Config(data=data, practice_url=practice))
        servers.put(legacy(({"name": "get_thing", "inputSchema": SCHEMA},), tools_call=call))
        with served(made) as url:
            house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
            house.run(
                "create-user", "ann@example.com", "--role", "admin", "--name", "Ann", stdin=PASSWORD + "\n"
            )
            house.run("add-server", f"{practice}/open/mcp", "--name", "desk", "--allow-private")
            house.run("add-server", servers.url(), "--name", "odd", "--allow-private")
            house.run("set-policy", "mcp:odd:get_thing", "auto")  # as hostile as it is, somebody looked at it
            yield house


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
def test_a_write_is_tried_from_the_tools_page_with_the_keyboard_alone(
    house: House, visit: Callable[..., Visitor], javascript: bool
) -> None:
    visitor = visit(house.url, java_script_enabled=javascript)
    visitor.expected = {422}
    visitor.sign_in()
    page = visitor.go("/tools/mcp:desk:add_ticket_note")
    press(page, "link", "Try it")
    expect(page).to_have_url(f"{house.url}/tools/mcp:desk:add_ticket_note/try")
    page.get_by_label("ticket_id").focus()
    page.keyboard.type("T-1041")
    page.get_by_label("text (required)", exact=False).focus()
    page.keyboard.type("Called back.")
    press(page, "button", "Look it over")
    expect(page.get_by_role("heading", name="This writes: run it?")).to_be_visible()
    expect(page.get_by_role("rowheader", name="ticket_id")).to_be_visible()
    press(page, "button", "Change the arguments")
    expect(page.get_by_label("ticket_id")).to_have_value("T-1041")
    press(page, "button", "Look it over")
    press(page, "button", "Run it")
    expect(page.get_by_role("heading", name="What the tool answered")).to_be_visible()
    expect(page.locator("#try")).to_contain_text("Called back.")
    if javascript:
        expect(page.get_by_role("article", name="What the tool answered")).to_be_focused()
    press(page, "link", "See its log row")
    expect(page.get_by_role("main")).to_contain_text("ann@example.com")


def press(page: Page, role: Any, name: str) -> None:
    page.get_by_role(role, name=name, exact=True).focus()
    page.keyboard.press("Enter")


def test_mistakes_are_read_out_and_lead_to_their_fields(house: House, visit: Callable[..., Visitor]) -> None:
    visitor = visit(house.url)
    visitor.expected = {422}
    visitor.sign_in()
    page = visitor.go("/tools/mcp:desk:create_ticket/try")
    page.locator("#try form").evaluate("form => form.noValidate = true")
    page.get_by_label("summary").fill("x")
    page.get_by_role("button", name="Look it over").click()
    summary = page.locator("#error-summary")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("“summary” needs at least 5 characters")
    assert visitor.violations() == []
    summary.get_by_role("link", name="“summary”").click()
    expect(page.get_by_label("summary")).to_be_focused()
    expect(page.get_by_label("summary")).to_have_value("x")


def test_an_agent_call_is_copied(house: House, visit: Callable[..., Visitor]) -> None:
    visitor = visit(house.url, permissions=["clipboard-read", "clipboard-write"])
    visitor.sign_in()
    page = visitor.go("/tools/mcp:desk:search_tickets/try")
    page.get_by_label("query").fill("printer")
    page.get_by_role("button", name="Run it").click()
    page.get_by_text("Copy as agent call").click()
    page.locator("#try").get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert '"name": "desk__search_tickets"' in copied and '"query": "printer"' in copied


@pytest.mark.parametrize("trouble", ["offline", "signed out"])
def test_what_was_not_run_is_said_and_nothing_typed_is_lost(
    house: House, visit: Callable[..., Visitor], trouble: str
) -> None:
    before = len(house.listed("activity", "--tool", "mcp:desk:search_tickets"))
    visitor = visit(house.url)
    visitor.sign_in()
    page = visitor.go("/tools/mcp:desk:search_tickets/try")
    page.get_by_label("query").fill("printer")
    if trouble == "offline":
        page.context.set_offline(True)
    else:
        house.do(lambda: Session.delete().execute())
        visitor.expected = {401}
    page.get_by_role("button", name="Run it").click()
    expect(page.get_by_role("alert")).to_contain_text(TOLD[trouble])
    expect(page.get_by_label("query")).to_have_value("printer")
    assert len(house.listed("activity", "--tool", "mcp:desk:search_tickets")) == before
    visitor.faults.clear()


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_every_state_is_accessible_and_fits(house: House, visit: Callable[..., Visitor], look: str) -> None:
    visitor = visit(house.url, look)
    visitor.expected = {403}
    visitor.sign_in()
    problems: dict[str, list[str]] = {}

    def note(state: str) -> None:
        page.evaluate("scrollTo(0, 0)")  # nothing half under the top bar
        problems[state] = visitor.faults_in_sight()

    page = visitor.go("/tools/mcp:desk:create_ticket/try")
    note("form")
    page = visitor.go("/tools/mcp:desk:delete_ticket/try")
    page.get_by_label("ticket_id").fill("T-1042")
    page.get_by_role("button", name="Look it over").click()
    expect(page.get_by_role("button", name="Run it")).to_be_visible()
    note("question")
    page = visitor.go("/tools/mcp:odd:get_thing/try")
    page.get_by_text("More arguments as JSON").click()
    page.get_by_text("What the schema says").first.click()
    note("hostile form")
    page.get_by_role("button", name="Run it").click()
    expect(page.get_by_role("heading", name="What the tool answered")).to_be_visible()
    page.get_by_text("Copy as agent call").click()
    note("hostile result")
    assert {state: found for state, found in problems.items() if found} == {}


def test_nothing_hostile_acts(house: House, visit: Callable[..., Visitor]) -> None:
    visitor = visit(house.url)
    visitor.page.on("dialog", lambda dialog: visitor.faults.append("a dialog"))
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.sign_in()
    page = visitor.go("/tools/mcp:odd:get_thing/try")
    page.get_by_label("ticket", exact=False).first.fill("T-1041")
    page.get_by_role("button", name="Run it").click()
    expect(page.locator("#try img")).to_have_count(1)
    expect(page.locator("#try a[href^='javascript']")).to_have_count(0)
    assert all(url.startswith((house.url, "data:image/png")) for url in asked)
