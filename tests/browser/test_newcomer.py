"""A newcomer with nothing but the pages: from the first one to a first approved call, in ten clicks at most, with the
keyboard alone, and without JavaScript. The agent gets what stands on the page with the key, and nothing else."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from playwright.sync_api import Locator, Page, expect

from tests.browser.visitor import Visitor
from tests.house import PASSWORD, House
from tests.serving import gatehouse, practice_server

MOST_CLICKS = 10
NOTE = {"ticket_id": "T-1041", "text": "Called back."}
# Counts what the browser itself took for a click of the mouse, over all pages of the tab.
COUNT_CLICKS = """addEventListener("click", (event) => {
  if (event.isTrusted && event.detail > 0) sessionStorage.clicks = 1 + Number(sessionStorage.clicks ?? 0);
}, true)"""
# What has the focus: drawn as such, within the window, and under nothing else.
FOCUS_IS_SEEN = """() => {
  const element = document.activeElement;
  if (element === document.body) return ""; // round by the browser's own bar
  const shown = getComputedStyle(element).opacity === "0" ? element.closest("label") : element;
  const style = getComputedStyle(shown), box = shown.getBoundingClientRect();
  if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) return "no outline";
  const [x, y] = [box.left + Math.min(box.width, 40) / 2, box.top + Math.min(box.height, 20) / 2];
  if (y < 0 || y > innerHeight) return "outside the window";
  const top = document.elementFromPoint(x, y);
  return top && (shown.contains(top) || top.contains(shown)) ? "" : `under ${top?.outerHTML.slice(0, 80)}`;
}"""


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with practice_server(tmp_path_factory.mktemp("practice")) as url:
        yield url


@pytest.fixture
def house(tmp_path: Path, practice: str) -> Iterator[House]:
    """One worker: this is about pages."""
    httpx2.post(f"{practice}/reset", headers={"Origin": practice}, timeout=60, trust_env=False)
    with gatehouse(tmp_path, workers=1, HOLD_SECONDS=30, PRACTICE_URL=practice) as running:
        yield running.house


@dataclass
class Mouse:
    """Clicks on buttons and links. Fields are reached with Tab, as people do in forms."""

    page: Page

    def press(self, wanted: Locator) -> None:
        wanted.click()

    def fill(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).fill(text)


@dataclass
class Keyboard(Mouse):
    """Tab, Enter and arrows; looks at every stop whether the focus is to be seen."""

    unseen: list[str] = field(default_factory=list)

    def press(self, wanted: Locator) -> None:
        self.reach(wanted)
        self.page.keyboard.press("Enter")

    def fill(self, label: str, text: str) -> None:
        self.reach(self.page.get_by_label(label, exact=True))
        self.page.keyboard.type(text)

    def reach(self, wanted: Locator) -> None:
        expect(wanted).to_be_visible()
        for _ in range(250):
            if wanted.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
            if why := self.page.evaluate(FOCUS_IS_SEEN):
                self.unseen.append(f"{self.page.url}: {self.stop()}: {why}")
        raise AssertionError(f"Tab does not lead to {wanted}")

    def stop(self) -> str:
        found: str = self.page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
        return found


def set_up(hands: Mouse, house: House) -> None:
    page = hands.page
    hands.fill("Set-up code", house.run("setup-code").stdout.split(": ")[1].strip())
    hands.fill("E-mail", "ann@example.com")
    hands.fill("Your name", "Ann")
    hands.fill("Password", PASSWORD)
    hands.press(page.get_by_role("button", name="Create the admin"))
    expect(page.get_by_role("heading", name="Home")).to_be_visible()


def connect(hands: Mouse, tools_step: Callable[[Page], None] = lambda page: None) -> None:
    page = hands.page
    hands.press(page.get_by_role("button", name="Connect the practice server"))
    hands.press(page.get_by_role("button", name="Continue: fetch its tools"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Step 4 of 5: Tools")
    tools_step(page)
    hands.press(page.get_by_role("button", name="Finish"))
    hands.press(page.get_by_role("link", name="Make a key for an agent"))


def make_key(hands: Mouse) -> str:
    """The command for Claude Code, as the page shows it."""
    hands.fill("Name", "Claude")
    hands.press(hands.page.get_by_role("button", name="Make the key"))
    return hands.page.locator("#snippet-claude-code").inner_text()


def as_an_agent(pool: ThreadPoolExecutor, command: str) -> Future[Any]:
    """What the pasted command makes of Claude Code: a client of this address with this header, which calls a write."""
    words = shlex.split(command)
    address = next(word for word in words if word.startswith("http://"))
    name, _, value = words[words.index("--header") + 1].partition(": ")

    async def call() -> Any:
        async with httpx2.AsyncClient(headers={name: value}, timeout=60, trust_env=False) as http:
            async with Client(streamable_http_client(address, http_client=http), mode="auto") as client:
                return await client.call_tool("practice__add_ticket_note", NOTE)

    return pool.submit(lambda: asyncio.run(call()))


def approve(hands: Mouse) -> None:
    page = hands.page
    hands.press(page.get_by_role("navigation", name="Main").get_by_role("link", name="Approvals"))
    card = page.locator("article", has_text="practice:add_ticket_note")
    hands.press(card.get_by_role("button", name="Approve once"))
    expect(card.get_by_text("Approved and done")).to_be_visible()


def test_ten_clicks_lead_from_the_first_page_to_a_first_approved_call(
    house: House, practice: str, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(house.url, permissions=["clipboard-read", "clipboard-write"])
    visitor.page.add_init_script(COUNT_CLICKS)
    hands = Mouse(visitor.go("/"))
    set_up(hands, house)
    connect(hands)
    make_key(hands)
    hands.press(hands.page.locator("#snippets").get_by_role("button", name="Copy").first)
    command = hands.page.evaluate("navigator.clipboard.readText()")
    with ThreadPoolExecutor() as pool:
        answer = as_an_agent(pool, command)
        approve(hands)
        assert not answer.result(timeout=30).is_error
    assert done(practice) == 1
    clicks = int(hands.page.evaluate("sessionStorage.clicks"))
    assert 5 < clicks <= MOST_CLICKS


def test_the_keyboard_alone_does_from_the_first_page_to_signing_out(
    house: House, practice: str, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(house.url)
    hands = Keyboard(visitor.go("/"))
    page = hands.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    set_up(hands, house)

    def tighten_a_read(page: Page) -> None:
        row = page.locator("tr", has_text="practice:list_devices")
        hands.reach(row.get_by_role("radio", name="Auto"))
        with page.expect_response(re.compile("/policy$")):
            page.keyboard.press("ArrowRight")
        expect(row.get_by_role("radio", name="Approval needed")).to_be_focused()

    connect(hands, tighten_a_read)
    command = make_key(hands)
    with ThreadPoolExecutor() as pool:
        answer = as_an_agent(pool, command)
        approve(hands)
        assert not answer.result(timeout=30).is_error
    assert done(practice) == 1
    hands.press(page.get_by_role("button", name="Sign out"))
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert hands.unseen == []


def test_without_javascript_the_same_way_is_open(
    house: House, practice: str, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(house.url, java_script_enabled=False)
    hands = Mouse(visitor.go("/"))
    page = hands.page
    set_up(hands, house)
    connect(hands)
    command = make_key(hands)

    def look_again() -> None:
        for _ in range(40):
            if page.locator("article").count():
                return
            page.get_by_role("link", name="Look for new calls").click()
        raise AssertionError("the call does not come")

    with ThreadPoolExecutor() as pool:
        answer = as_an_agent(pool, command)
        hands.press(page.get_by_role("navigation", name="Main").get_by_role("link", name="Approvals"))
        look_again()
        card = page.locator("article", has_text="practice:add_ticket_note")
        card.get_by_label("Note to the agent").fill("Go on.")
        card.get_by_role("button", name="Approve once").click()
        assert not answer.result(timeout=30).is_error
    assert done(practice) == 1
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Activity").click()
    expect(page.locator("#entries").get_by_text("practice:add_ticket_note").first).to_be_visible()
    page.locator("#entries tr", has_text="approved a call").get_by_role("link").click()
    expect(page.get_by_role("main")).to_contain_text("Go on.")


def done(practice: str) -> int:
    state: dict[str, Any] = httpx2.get(f"{practice}/state", timeout=60, trust_env=False).json()
    return int(state["done"].get("add_ticket_note", 0))
