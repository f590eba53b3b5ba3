"""The table of tools in a real browser: saving in place, what goes wrong, searching, and many at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.scene import scene
from tests.browser.visitor import Visitor
from tests.house import House
from webapp.services import policies
from webapp.services.audit import COMMAND
from webapp.store.fields import now
from webapp.store.models import Session, Tool

DESK = "/settings/integrations/desk"
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with scene(tmp_path_factory.mktemp("scene") / "data") as (house, _):
        yield house


@pytest.fixture
def house(full: House) -> House:
    """Every tool of the desk at its seed."""
    seeds = {"policy": Tool.seed_policy, "policy_by": "", "policy_at": None, "policy_bulk": ""}
    seeds |= {"first_seen_at": now() - timedelta(days=30)}
    full.do(lambda: Tool.update(seeds).execute())
    return full


@pytest.fixture
def ann(house: House, visit: Visit) -> Visitor:
    visitor = visit(house.url)
    visitor.sign_in()
    return visitor


def stored(house: House, name: str) -> str:
    return house.do(lambda: str(Tool.get(Tool.catalogue_name == f"mcp:desk:{name}").policy))


def row(page: Page, name: str) -> Locator:
    return page.locator("tr", has=page.locator(f'a[href="/tools/mcp:desk:{name}"]'))


# --- saving in place


def test_arrow_keys_save_and_the_focus_stays(house: House, ann: Visitor) -> None:
    page = ann.go(DESK)
    line = row(page, "get_ticket")
    line.get_by_label("Auto", exact=True).focus()
    with page.expect_response(re.compile("/policy$")):
        page.keyboard.press("ArrowRight")
    expect(line.get_by_text("Approval needed by Ann just now")).to_be_visible()
    expect(line.get_by_label("Approval needed")).to_be_focused()
    with page.expect_response(re.compile("/policy$")):
        page.keyboard.press("ArrowRight")
    expect(line.get_by_text("Disabled by Ann just now; the seed was Auto")).to_be_visible()
    expect(line.get_by_label("Disabled")).to_be_focused()
    assert stored(house, "get_ticket") == "disabled"


def test_a_saved_policy_is_said_to_those_who_do_not_see_it(house: House, ann: Visitor) -> None:
    page = ann.go(DESK)
    said = page.get_by_role("status").filter(has_text="Saved.")
    row(page, "get_ticket").get_by_text("Disabled", exact=True).click()
    expect(said).to_have_text("Saved. Policy of mcp:desk:get_ticket: Disabled.")
    ann.expected = {409}
    house.do(lambda: Tool.update(definition_digest="other").where(Tool.name == "get_device").execute())
    row(page, "get_device").get_by_text("Disabled", exact=True).click()
    expect(row(page, "get_device").get_by_role("alert")).to_contain_text("Not saved.")
    expect(said).to_have_text("Saved. Policy of mcp:desk:get_ticket: Disabled.")


def test_two_people_at_once_and_nobody_loosens_unknowingly(house: House, ann: Visitor, visit: Visit) -> None:
    page = ann.go(DESK)
    tom = visit(house.url)
    tom.sign_in("tom@example.com")
    for name, word in (("get_ticket", "Disabled"), ("list_tickets", "Approval needed")):
        line = row(tom.go(DESK), name)
        line.get_by_text(word, exact=True).click()
        expect(line.get_by_text(f"{word} by Tom")).to_be_visible()
    ann.expected = {409}
    line = row(page, "get_ticket")
    line.get_by_text("Approval needed", exact=True).click()
    expect(line.get_by_role("alert")).to_contain_text("Not saved. It was set to Disabled meanwhile.")
    expect(line.get_by_label("Disabled")).to_be_checked()
    expect(line.get_by_text("Disabled by Tom")).to_be_visible()
    assert stored(house, "get_ticket") == "disabled"
    line.get_by_text("Approval needed", exact=True).click()
    expect(line.get_by_text("Approval needed by Ann")).to_be_visible()
    expect(line.get_by_role("alert")).to_have_count(0)
    page.get_by_label("Select mcp:desk:list_tickets").check()
    page.locator("#bulk-to").select_option("Disabled")
    page.get_by_role("button", name="Set policies").click()
    expect(row(page, "list_tickets").get_by_text("Disabled by Ann")).to_be_visible()


def test_fast_fingers_end_where_the_last_key_was(house: House, ann: Visitor) -> None:
    page = ann.go(DESK)
    line = row(page, "get_ticket")
    line.get_by_label("Auto", exact=True).focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    expect(line.get_by_text("Disabled by Ann")).to_be_visible()
    expect(line.get_by_label("Disabled")).to_be_checked()
    assert stored(house, "get_ticket") == "disabled"


def test_a_ticked_row_stays_ticked_when_its_policy_is_saved(ann: Visitor) -> None:
    page = ann.go(DESK)
    line = row(page, "get_ticket")
    line.get_by_label("Select mcp:desk:get_ticket").check()
    line.get_by_text("Disabled", exact=True).click()
    expect(line.get_by_text("Disabled by Ann")).to_be_visible()
    expect(line.get_by_label("Select mcp:desk:get_ticket")).to_be_checked()
    expect(page.locator("#picked-count")).to_have_text(" (1)")


def refused(ann: Visitor, house: House, name: str, words: str | re.Pattern[str]) -> Locator:
    """Clicks Disabled; afterwards the old value is back, the row says why, and the focus has not moved."""
    line = row(ann.page, name)
    line.get_by_text("Disabled", exact=True).click()
    expect(line.get_by_role("alert")).to_contain_text(words)
    expect(line.get_by_label("Auto", exact=True)).to_be_checked()
    expect(line.get_by_label("Disabled")).not_to_be_checked()
    assert stored(house, name) == "auto"
    ann.page.evaluate("scrollTo(0, 0)")  # a button half under the bar that stays would count as too small
    assert ann.violations() == []
    return line


def test_offline_the_old_value_comes_back_and_the_row_says_why(house: House, ann: Visitor) -> None:
    page = ann.go(DESK)
    page.context.set_offline(True)
    line = refused(ann, house, "get_ticket", "Not saved. Gatehouse can’t be reached.")
    page.context.set_offline(False)
    line.get_by_text("Disabled", exact=True).click()
    expect(line.get_by_text("Disabled by Ann")).to_be_visible()
    expect(line.get_by_role("alert")).to_have_count(0)
    ann.faults.clear()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_fault_of_a_server_on_the_way_puts_the_old_value_back(
    house: House, ann: Visitor, status: int
) -> None:
    ann.expected = {status}
    page = ann.go(DESK)

    def broken(route: Route) -> None:
        route.fulfill(status=status, content_type="text/html", body="<html><h1>Bad gateway</h1></html>")

    page.route(re.compile("/policy$"), broken)
    refused(ann, house, "get_ticket", f"Not saved. There was an error ({status}). Try again.")
    expect(page.get_by_text("Bad gateway")).to_have_count(0)


def test_a_fault_of_our_own_is_told_with_its_number(house: House, ann: Visitor) -> None:
    ann.expected = {500}
    page = ann.go(DESK)
    notice = '<div id="error-notice"><p><strong>Something went wrong</strong> Look for 4711.</p></div>'
    page.route(
        re.compile("/policy$"), lambda route: route.fulfill(status=500, content_type="text/html", body=notice)
    )
    refused(ann, house, "get_ticket", "Not saved. Something went wrong Look for 4711.")


def test_a_session_that_ended_is_said_in_the_row_with_the_way_back(house: House, ann: Visitor) -> None:
    ann.go(DESK + "?kind=read")
    house.do(lambda: Session.delete().execute())
    line = refused(ann, house, "get_ticket", "Not saved. You are signed out.")
    link = line.get_by_role("link", name="Sign in again")
    expect(link).to_have_attribute("href", f"/login?next={DESK.replace('/', '%2F')}%3Fkind%3Dread")


def test_a_definition_that_changed_meanwhile_is_refused_in_the_row(house: House, ann: Visitor) -> None:
    ann.expected = {409}
    page = ann.go(DESK)
    house.do(lambda: Tool.update(definition_digest="other").where(Tool.name == "get_ticket").execute())
    line = refused(ann, house, "get_ticket", "Not saved. The definition of this tool has changed")
    line.get_by_text("Disabled", exact=True).click()
    expect(line.get_by_text("Disabled by Ann")).to_be_visible()
    expect(page.locator("#notice")).to_be_empty()


@pytest.mark.parametrize("trouble", ["offline", "proxy", "signed out"])
@pytest.mark.parametrize("button", ["Reset to seed", "Looked at it: keep"])
def test_the_other_buttons_of_a_row_say_it_too(house: House, ann: Visitor, button: str, trouble: str) -> None:
    ann.expected = {502}
    changes = {"policy": "disabled", "first_seen_at": now()}
    house.do(lambda: Tool.update(changes).where(Tool.name == "get_ticket").execute())
    page = ann.go(DESK)
    match trouble:
        case "offline":
            page.context.set_offline(True)
        case "proxy":
            page.route(
                re.compile("/(reset|review)$"), lambda route: route.fulfill(status=502, body="<h1>Bad</h1>")
            )
        case _:
            house.do(lambda: Session.delete().execute())
    line = row(page, "get_ticket")
    line.get_by_role("button", name=button).click()
    expect(line.get_by_role("alert")).to_contain_text("Not saved. ")
    expect(line.get_by_role("button", name=button)).to_be_enabled()
    expect(line.get_by_label("Disabled")).to_be_checked()
    assert page.url == house.url + DESK and stored(house, "get_ticket") == "disabled"
    ann.faults = [fault for fault in ann.faults if "Failed to fetch" not in fault]


def test_a_technician_sees_why_something_is_not_theirs(house: House, visit: Visit) -> None:
    tom = visit(house.url)
    tom.sign_in("tom@example.com")
    page = tom.go(DESK)
    line = row(page, "delete_ticket")
    expect(line.get_by_label("Auto", exact=True)).to_be_disabled()
    expect(line.get_by_text("Only an admin can set a tool that may write to Auto.")).to_be_visible()
    assert tom.violations() == []


# --- looking


def test_typing_searches_keeps_the_focus_tells_the_count_and_the_address(ann: Visitor) -> None:
    page = ann.go("/tools")
    field = page.get_by_role("searchbox", name="Search")
    field.press_sequentially("ticket_note")
    expect(page.get_by_role("status").filter(has_text="1 to 1 of 1 tool.")).to_be_visible()
    expect(field).to_be_focused()
    expect(page).to_have_url(re.compile(r"q=ticket_note"))
    page.get_by_label("Kind").select_option("Read")
    expect(page.get_by_text("No tool has all of this.")).to_be_visible()
    expect(page).to_have_url(re.compile("kind=read"))
    page.reload()
    expect(field).to_have_value("ticket_note")
    page.get_by_role("link", name="Clear the filters").click()
    expect(row(page, "get_ticket")).to_be_visible()


def test_a_row_unfolds_its_schema_when_it_is_asked_for(ann: Visitor) -> None:
    page = ann.go("/tools?integration=desk")
    assert "ticket_id" not in page.content()
    line = row(page, "get_ticket")
    line.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(line.locator("pre")).to_contain_text("ticket_id")
    assert ann.violations() == []


# --- many at once


def test_rows_are_chosen_by_keyboard_set_and_undone(house: House, ann: Visitor) -> None:
    page = ann.go(DESK)
    for name in ("get_ticket", "get_device"):
        page.get_by_label(f"Select mcp:desk:{name}").focus()
        page.keyboard.press("Space")
    expect(page.get_by_label("The selected rows (2)")).to_be_checked()
    page.get_by_label("Set to").select_option("Disabled")
    page.get_by_role("button", name="Set policies").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 tools set to Disabled.")).to_be_visible()
    expect(page).to_have_url(house.url + DESK)
    assert stored(house, "get_device") == "disabled"
    house.do(lambda: policies.set_policy(Tool.get(Tool.name == "get_device"), "approval", COMMAND))
    page.get_by_role("link", name="See the change or undo it").click()
    expect(page.get_by_text("Its policy was changed since. It is Approval needed now.")).to_be_visible()
    assert ann.violations() == []
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="1 tool set back to what it was")).to_be_visible()
    assert (stored(house, "get_ticket"), stored(house, "get_device")) == ("auto", "approval")


def test_a_page_is_selected_with_one_button(ann: Visitor) -> None:
    page = ann.go(DESK)
    page.get_by_role("button", name="Select this page").click()
    expect(page.locator("#picked-count")).to_have_text(" (14)")
    page.get_by_role("button", name="Select none").click()
    expect(page.locator("#picked-count")).to_have_text(" (0)")


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_a_preset_shows_the_loosened_writes_before_it_does_anything(
    house: House, visit: Visit, look: str
) -> None:
    visitor = visit(house.url, look)
    visitor.sign_in()
    page = visitor.go(DESK)
    page.get_by_text("Set all its tools by a preset").click()
    assert visitor.faults_in_sight() == []
    page.get_by_role("link", name="Open").click()
    expect(
        page.get_by_role("heading", name=re.compile("tools that may write get more permission"))
    ).to_be_visible()
    assert stored(house, "delete_ticket") == "approval"
    assert visitor.faults_in_sight() == []
    page.get_by_role("button", name=re.compile("^Set ")).click()
    expect(page.get_by_text("by the preset Open.")).to_be_visible()
    assert stored(house, "delete_ticket") == "auto"


def test_without_javascript_all_of_it_works(house: House, visit: Visit) -> None:
    visitor = visit(house.url, "narrow", java_script_enabled=False)
    visitor.sign_in()
    page = visitor.go("/tools")
    page.get_by_role("searchbox", name="Search").fill("ticket")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=ticket"))
    line = row(page, "get_ticket")
    line.get_by_text("Disabled", exact=True).click()
    line.get_by_role("button", name="Save").click()
    expect(line.get_by_text("Disabled by Ann")).to_be_visible()
    line.locator("summary").click()
    line.get_by_role("link", name="Description and schema").click()
    expect(page.get_by_role("heading", name="Input schema")).to_be_visible()
    visitor.go("/tools?q=ticket&kind=write")
    page.get_by_label(re.compile("All .* that match")).check()
    page.get_by_label("Set to").select_option("Disabled")
    page.get_by_role("button", name="Set policies").click()
    expect(page.get_by_text("tools set to Disabled.")).to_be_visible()
    page.get_by_role("link", name="See the change or undo it").click()
    page.get_by_role("button", name="Undo").click()
    assert stored(house, "delete_ticket") == "approval"
    assert not visitor.scrolls_sideways()
