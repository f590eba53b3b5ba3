"""The whole story, as a newcomer lives it: set up, connect, decide, see it in the log. Two real workers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitor import Visitor
from tests.house import PASSWORD, House
from tests.serving import gatehouse, practice_server

NOTE = {"ticket_id": "T-1041", "text": "Called back."}


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with practice_server(tmp_path_factory.mktemp("practice")) as url:
        yield url


@pytest.fixture(autouse=True)
def clean_desk(practice: str) -> None:
    httpx2.post(f"{practice}/reset", headers={"Origin": practice}, timeout=60, trust_env=False)


@pytest.fixture
def house(tmp_path: Path, practice: str) -> Iterator[House]:
    with gatehouse(tmp_path, HOLD_SECONDS=20, PRACTICE_URL=practice) as running:
        yield running.house


def set_up(visitor: Visitor, house: House) -> Page:
    code = house.run("setup-code").stdout.split(": ")[1].strip()
    page = visitor.go("/")
    expect(page).to_have_title(re.compile("Set up Gatehouse"))
    page.get_by_label("Set-up code").fill(code)
    page.get_by_label("E-mail").fill("ann@example.com")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create the admin").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    return page


def connect_practice(page: Page) -> None:
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("button", name=re.compile("practice", re.I)).first.click()
    page.get_by_role("button", name=re.compile("Continue")).or_(
        page.get_by_role("link", name=re.compile("Continue"))
    ).first.click()
    page.get_by_role("button", name="Finish").click()
    expect(page.get_by_role("heading", name=re.compile("Done"))).to_be_visible()


def make_agent(page: Page) -> str:
    page.get_by_role("link", name="Settings").click()
    page.wait_for_url("**/settings/integrations")
    page.get_by_role("link", name="Agents", exact=True).click()
    page.get_by_role("link", name="Add an agent").first.click()
    page.get_by_label("Name").fill("Claude")
    page.get_by_role("button", name="Make the key").click()
    return page.locator("#agent-key").inner_text()


async def list_and_call(house: House, key: str, name: str, arguments: dict[str, Any]) -> Any:
    async with house.client(key, mode="auto") as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert name in names
        return await client.call_tool(name, arguments)


def in_thread(pool: ThreadPoolExecutor, house: House, key: str, name: str, arguments: dict[str, Any]) -> Any:
    return pool.submit(lambda: asyncio.run(list_and_call(house, key, name, arguments)))


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
def test_from_first_page_to_an_approved_call(
    house: House, practice: str, visit: Callable[..., Visitor], javascript: bool
) -> None:
    visitor = visit(house.url, java_script_enabled=javascript)
    page = set_up(visitor, house)
    connect_practice(page)
    key = make_agent(page)
    with ThreadPoolExecutor() as pool:
        read = in_thread(pool, house, key, "practice__list_tickets", {})
        assert not read.result().is_error

        write = in_thread(pool, house, key, "practice__add_ticket_note", NOTE)
        visitor.go("/approvals")
        card = page.locator("article", has_text="practice:add_ticket_note")
        for _ in range(20):
            if card.count() or javascript:
                break
            visitor.go("/approvals")
        expect(card).to_contain_text("Called back.")
        card.get_by_label("Note to the agent").fill("Go on.")
        if javascript:
            page.wait_for_timeout(3500)  # a poll passes over the half-written note
            expect(card.get_by_label("Note to the agent")).to_have_value("Go on.")
        card.get_by_role("button", name="Approve once").click()
        assert not write.result(timeout=30).is_error
    assert state(practice)["done"]["add_ticket_note"] == 1

    visitor.go("/activity")
    expect(page.get_by_text("practice:add_ticket_note").first).to_be_visible()
    visitor.go("/settings/general")
    page.get_by_role("button", name="Check the log").click()
    expect(page.get_by_text("Whole", exact=True)).to_be_visible()
    httpx2.post(f"{practice}/reset", headers={"Origin": practice}, timeout=60, trust_env=False)


def test_a_policy_is_changed_in_place_and_holds_at_once(house: House, visit: Callable[..., Visitor]) -> None:
    visitor = visit(house.url)
    page = set_up(visitor, house)
    connect_practice(page)
    key = make_agent(page)
    visitor.go("/settings/integrations/practice")
    row = page.locator("tr", has_text="practice:list_devices")
    row.get_by_role("radio", name="Auto").focus()
    page.keyboard.press("ArrowRight")
    expect(row).to_contain_text("the seed was Auto")
    expect(row.get_by_role("radio", name="Approval needed")).to_be_checked()
    expect(row.get_by_role("radio", name="Approval needed")).to_be_focused()
    with page.expect_response(re.compile(r"/policy$")):
        page.keyboard.press("ArrowRight")
    expect(row.get_by_role("radio", name="Disabled")).to_be_checked()
    page.reload()
    expect(
        page.locator("tr", has_text="practice:list_devices").get_by_role("radio", name="Disabled")
    ).to_be_checked()
    for id in range(6):  # both workers
        answer = house.call(key, "practice__list_devices", id=id)
        assert answer["error"]["code"] == -32602
    page.locator("tr", has_text="practice:list_devices").get_by_role("button", name="Reset to seed").click()
    expect(
        page.locator("tr", has_text="practice:list_devices").get_by_role("radio", name="Auto")
    ).to_be_checked()
    assert "result" in house.call(key, "practice__list_devices")


def test_disconnect_asks_for_the_name_and_takes_everything(
    house: House, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(house.url)
    page = set_up(visitor, house)
    connect_practice(page)
    visitor.go("/settings/integrations/practice")
    page.get_by_role("link", name="Disconnect").click()
    visitor.expected = {422}
    page.get_by_role("textbox").fill("something else")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("alert")).to_contain_text("practice")
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_role("textbox").fill("practice")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("heading", name="Integrations")).to_be_visible()
    assert [row["name"] for row in house.listed("servers")] == ["network"]
    assert not [row for row in house.listed("tools") if row["catalogue_name"].startswith("mcp:")]


def state(practice: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{practice}/state", timeout=60, trust_env=False).json()
    return found
