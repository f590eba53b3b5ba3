"""A hundred and more rows: found again by the address, reached by keyboard, never under a bar, in any spacing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from config import Config
from tests.browser.visitor import Visitor
from tests.house import PASSWORD, House, served
from tests.services.farm import farm, tool
from tests.upstream.zoo import modern
from webapp.asgi import program

Visit = Callable[..., Visitor]
# WCAG 1.4.12; where a line has a height of its own, it is overridden as a reader's own sheet would.
SPACED = """* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }
    p { margin-bottom: 2em !important; }"""
COVERED = """() => {
  const seen = document.activeElement;
  if (!seen || seen === document.body || seen.closest("header.top, .bulk, .skip")) return "";
  const box = (seen.closest("fieldset.policy label") ?? seen).getBoundingClientRect();
  const bars = [document.querySelector("header.top"), document.querySelector(".bulk")];
  const lowest = Math.max(...bars.filter((bar) => getComputedStyle(bar).position === "sticky")
    .map((bar) => bar.getBoundingClientRect()).filter((bar) => bar.top < 60).map((bar) => bar.bottom), 0);
  const hidden = box.bottom <= lowest + 1 || box.top >= innerHeight - 1;
  return hidden ? `${seen.id || seen.textContent.trim()}: ${box.top} to ${box.bottom} under ${lowest}` : "";
}"""
SMALL = """() => [...document.querySelectorAll("#tools :is(a, button, input, select, summary, label)")]
  .filter((one) => one.getClientRects().length && !one.closest("p") && !(one.matches("input") && one.closest("label")))
  .filter((one) => !one.closest(".visually-hidden"))
  .map((one) => [one, one.getBoundingClientRect()])
  .filter(([one, box]) => box.height < 24 || box.width < 24)
  .filter(([one, box]) => one.tagName !== "LABEL" && !one.querySelector("code"))
  .map(([one, box]) => `${one.tagName} ${one.textContent.trim().slice(0, 30)} ${box.width}x${box.height}`)"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data: Path = tmp_path_factory.mktemp("many") / "data"
    many = [
        tool(f"{verb}_thing_{number:03}", f"Does {verb} number {number}.")
        for number in range(80)
        for verb in ("get", "delete")
    ]
    with farm() as servers:
        servers.put(modern(many))
        made = program(Config(data=data))
        with served(made) as url:
            house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
            for email, role in (("ann@example.com", "admin"), ("vic@example.com", "viewer")):
                house.run(
                    "create-user", email, "--role", role, "--name", email[:3].title(), stdin=PASSWORD + "\n"
                )
            house.run("add-server", servers.url(), "--name", "big", "--allow-private")
            yield house


@pytest.fixture
def ann(house: House, visit: Visit) -> Visitor:
    visitor = visit(house.url)
    visitor.sign_in()
    return visitor


def test_back_brings_the_filters_back(house: House, ann: Visitor) -> None:
    page = ann.go("/tools?integration=big")
    page.get_by_role("searchbox", name="Search").press_sequentially("thing_07")
    expect(page.get_by_role("status").filter(has_text="1 to 20 of 20 tools.")).to_be_visible()
    page.get_by_label("Kind").select_option("Read")
    expect(page.get_by_role("status").filter(has_text="1 to 10 of 10 tools.")).to_be_visible()
    page.get_by_role("link", name="mcp:big:get_thing_071").click()
    expect(page.get_by_role("heading", name="mcp:big:get_thing_071")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile(r"\?(?=.*q=thing_07)(?=.*kind=read)(?=.*integration=big)"))
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("thing_07")
    expect(page.get_by_label("Kind")).to_have_value("read")
    expect(page.locator("#tools tbody tr")).to_have_count(10)


def test_all_that_match_says_how_many_and_means_them(house: House, ann: Visitor) -> None:
    page = ann.go("/tools?integration=big&kind=read")
    page.get_by_label("All 80 that match").check()
    page.locator("#bulk-to").select_option("Disabled")
    page.get_by_role("button", name="Set policies").click()
    expect(page.get_by_role("heading", name="Set 80 tools to Disabled?")).to_be_visible()
    page.get_by_role("link", name="Change nothing").click()
    expect(page).to_have_url(re.compile("kind=read"))


@pytest.mark.parametrize("ticked", [False, True], ids=["plain", "rows ticked"])
def test_no_bar_ever_covers_what_the_keyboard_reaches(ann: Visitor, ticked: bool) -> None:
    page = ann.go("/tools?integration=big")
    if ticked:
        page.get_by_label("Select mcp:big:delete_thing_000").check()
    page.locator("#bulk-to").focus()
    covered: list[str] = []
    for key in ["Tab"] * 420 + ["Shift+Tab"] * 120:
        page.keyboard.press(key)
        covered.append(page.evaluate(COVERED))
    assert [one for one in covered if one] == []


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_every_target_is_large_enough(house: House, visit: Visit, look: str) -> None:
    visitor = visit(house.url, look)
    visitor.sign_in()
    small: Any = visitor.go("/tools?integration=big").evaluate(SMALL)
    assert small == []


@pytest.mark.parametrize("look", ["light", "narrow"])
@pytest.mark.parametrize(
    "path",
    ["/tools?integration=big", "/tools/mcp:big:delete_thing_001", "/tools/mcp:big:delete_thing_001/try",
     "/tools/bulk/preview?to=auto&which=all&integration=big", "/tools?q=nothing-like-this"],
)  # fmt: skip
def test_a_readers_own_spacing_loses_nothing(house: House, visit: Visit, look: str, path: str) -> None:
    visitor = visit(house.url, look, bypass_csp=True)
    visitor.sign_in()
    page = visitor.go(path)
    page.add_style_tag(content=SPACED)
    assert not visitor.scrolls_sideways()
    cut: Any = page.evaluate("""() => [...document.querySelectorAll("main :is(label, button, a, summary, p, h1, td)")]
      .filter((one) => one.getClientRects().length && !one.closest(".visually-hidden"))
      .filter((one) => getComputedStyle(one).overflow !== "visible" && one.scrollWidth > one.clientWidth + 1)
      .map((one) => one.textContent.trim().slice(0, 60))""")
    assert cut == []


def test_empty_no_match_and_no_permission_differ_and_each_offers_one_step(house: House, visit: Visit) -> None:
    said: dict[str, str] = {}
    for email in ("ann@example.com", "vic@example.com"):
        visitor = visit(house.url)
        visitor.sign_in(email)
        page = visitor.go("/tools?q=nothing-like-this")
        empty = page.locator("p.empty")
        expect(empty.get_by_role("link")).to_have_count(1)
        said[email] = empty.inner_text()
        empty.get_by_role("link", name="Clear the filters").click()
        expect(page.locator("#tools tbody tr").first).to_be_visible()
    reader = page.locator("#tools > .notice")
    expect(reader).to_contain_text("You can look, but not change a policy")
    expect(reader.get_by_role("link")).to_have_count(1)
    expect(page.locator("#tools tbody").get_by_role("radio", disabled=False)).to_have_count(0)
