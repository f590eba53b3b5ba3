"""The inbox while people work in it: new calls come by themselves, nothing moves, and two may decide at once."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.scene import scene
from tests.browser.visitor import Visitor
from tests.house import House
from webapp.store.models import Entry

NOTE = {"ticket_id": "T-1041", "text": "Called back."}
INBOX = re.compile(r"/approvals/inbox\?")
NUMBERS = itertools.count(1)
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, dict[str, str]]]:
    with scene(tmp_path_factory.mktemp("inbox") / "data") as made:
        yield made


@pytest.fixture
def house(full: tuple[House, dict[str, str]]) -> Iterator[House]:
    yield full[0]
    for row in full[0].listed("approvals"):
        full[0].run("decide", row["id"], "deny")


@pytest.fixture
def key(house: House) -> str:
    return house.agent(f"Agent {next(NUMBERS)}")


def ask(house: House, key: str, tool: str = "desk__add_ticket_note", **arguments: str) -> str:
    answer = house.call(key, tool, arguments or NOTE)["result"]
    approval: str = answer["structuredContent"]["approval_id"]
    return approval


def card_of(page: Page, approval: str) -> Locator:
    return page.locator(f"#{approval}")


def polled(page: Page, times: int = 2) -> None:
    for _ in range(times):
        with page.expect_response(INBOX):
            pass


def top(card: Locator) -> float:
    box = card.bounding_box()
    assert box
    return box["y"]


def test_a_new_call_appears_and_the_note_being_typed_stays(house: House, key: str, visit: Visit) -> None:
    approval = ask(house, key)
    visitor = visit(house.url)
    visitor.sign_in()
    page = visitor.go("/approvals")
    waiting = len(house.listed("approvals"))
    note = card_of(page, approval).get_by_label("Note to the agent")
    note.press_sequentially("Fine, but")
    expect(page).to_have_title(f"({waiting}) Approvals · Gatehouse")

    late = house.agent("Late riser")
    ask(house, late, "desk__create_ticket", client="Fabrikam", summary="x " * 400)
    expect(page.get_by_role("heading", name="Late riser wants to create ticket")).to_be_visible()
    expect(page).to_have_title(f"({waiting + 1}) Approvals · Gatehouse")
    expect(note).to_have_value("Fine, but")
    expect(note).to_be_focused()

    long = page.locator("article", has_text="Late riser").locator("td details")
    long.locator("summary").click()
    polled(page)
    expect(long).to_have_attribute("open", "")

    card = card_of(page, approval)
    card.get_by_role("button", name="Deny").click()
    expect(card.get_by_text("Denied", exact=True)).to_be_visible()
    expect(card.get_by_text("Note: Fine, but")).to_be_visible()
    expect(page).to_have_title(f"({waiting}) Approvals · Gatehouse")
    expect(card.get_by_role("link").first).to_be_focused()


def test_nothing_moves_under_the_pointer(house: House, key: str, visit: Visit) -> None:
    """Neither when calls come, nor when somebody else decides one above, nor when those would be gone."""
    first, second = ask(house, key), ask(house, key, ticket_id="T-1042", text="Second.")
    visitor = visit(house.url, viewport={"width": 1280, "height": 3000})
    visitor.sign_in()
    page = visitor.go("/approvals")
    expect(card_of(page, second).get_by_text("as get_ticket says")).to_be_visible()
    button = card_of(page, second).get_by_role("button", name="Approve once")
    button.hover()
    before = top(button)
    ask(house, key, ticket_id="T-1043", text="Third.")
    house.run("decide", first, "deny")
    expect(card_of(page, first).get_by_text("Denied", exact=True)).to_be_visible()
    polled(page)
    assert top(button) == before

    page.mouse.move(5, 5)
    polled(page)
    expect(card_of(page, first)).to_be_visible()
    assert top(button) < before


def test_two_people_decide_at_once_and_one_is_told_who_was_first(
    house: House, key: str, visit: Visit
) -> None:
    approval = ask(house, key)
    ann, tom = visit(house.url), visit(house.url)
    ann.sign_in()
    tom.sign_in("tom@example.com")
    ann.go(f"/approvals/{approval}")
    tom.go(f"/approvals/{approval}")
    ann.page.get_by_role("button", name="Approve once").click()
    expect(ann.page.get_by_text("Approved by ann@example.com")).to_be_visible()
    tom.expected = {409}
    tom.page.get_by_role("button", name="Deny").click()
    expect(tom.page.get_by_role("status").get_by_text("Already approved by ann@example.com.")).to_be_visible()
    expect(tom.page.get_by_role("button", name="Deny")).to_have_count(0)
    rows = house.do(lambda: Entry.select().where(Entry.approval == approval, Entry.outcome == "ok",
                                                  Entry.kind == "call").count())  # fmt: skip
    assert rows <= 1


def test_what_waits_comes_first_at_the_next_visit_and_nothing_changes_places_before(
    house: House, key: str, visit: Visit
) -> None:
    first, second = ask(house, key), ask(house, key, ticket_id="T-1042", text="Called back.")
    visitor = visit(house.url)
    visitor.sign_in()
    page = visitor.go("/approvals")
    house.run("decide", first, "deny")
    polled(page)
    assert top(card_of(page, first)) < top(card_of(page, second))
    visitor.go("/approvals")
    assert top(card_of(page, second)) < top(card_of(page, first))
    polled(page)
    assert top(card_of(page, second)) < top(card_of(page, first))


def test_what_is_true_now_comes_by_itself_and_survives_the_polls(
    house: House, key: str, visit: Visit
) -> None:
    approval = ask(house, key, "desk__update_ticket", ticket_id="T-1042", status="waiting")
    visitor = visit(house.url)
    visitor.sign_in()
    page = visitor.go("/approvals")
    row = card_of(page, approval).get_by_role("row", name=re.compile("status"))
    card_of(page, approval).scroll_into_view_if_needed()
    expect(row.get_by_role("cell").first).not_to_have_text("…")
    now = row.get_by_role("cell").first.inner_text()
    polled(page, 3)
    assert row.get_by_role("cell").first.inner_text() == now
    looks = Entry.select().where(Entry.tool == "mcp:desk:get_ticket", Entry.actor_kind == "user")
    before = house.do(looks.count)
    polled(page, 2)
    assert house.do(looks.count) == before


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
def test_several_of_a_kind_are_ticked_and_decided_together(
    house: House, key: str, visit: Visit, javascript: bool
) -> None:
    ids = [ask(house, key, ticket_id="T-1041", text=f"Note {number}.") for number in range(3)]
    visitor = visit(house.url, java_script_enabled=javascript)
    visitor.sign_in()
    page = visitor.go("/approvals")
    batch = page.get_by_role("form", name="The ticked calls")
    expect(batch).to_be_hidden()
    for approval in ids[:2]:
        card_of(page, approval).get_by_role("checkbox").check()
    if javascript:
        polled(page)
        expect(card_of(page, ids[0]).get_by_role("checkbox")).to_be_checked()
    batch.get_by_label("Reason").select_option("Not during office hours.")
    batch.get_by_role("button", name="Deny each ticked call").click()
    expect(page.get_by_text("2 calls denied.")).to_be_visible()
    expect(card_of(page, ids[1]).get_by_text("Not during office hours.")).to_be_visible()
    expect(card_of(page, ids[2]).get_by_role("button", name="Approve once")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
def test_the_same_call_is_approved_ahead_seen_and_ended(
    house: House, key: str, visit: Visit, javascript: bool
) -> None:
    approval = ask(house, key, ticket_id="T-1041", text="Ahead.")
    visitor = visit(house.url, java_script_enabled=javascript)
    visitor.sign_in()
    page = visitor.go("/approvals")
    card_of(page, approval).get_by_role("button", name="Approve the same call for 15 minutes").click()
    ahead = page.get_by_role("region", name="Calls approved ahead")
    ahead.locator("summary").click()
    expect(ahead.get_by_role("row", name=re.compile("add_ticket_note"))).to_be_visible()
    house.call(key, "desk__add_ticket_note", {"ticket_id": "T-1041", "text": "Ahead."})
    ahead.get_by_role("button", name="End it now").click()
    expect(page.get_by_text("No call is approved ahead.")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
def test_more_time_is_given_on_the_card(house: House, key: str, visit: Visit, javascript: bool) -> None:
    approval = ask(house, key)
    visitor = visit(house.url, java_script_enabled=javascript)
    visitor.sign_in()
    page = visitor.go("/approvals")
    card = card_of(page, approval)
    expect(card.get_by_text(re.compile("Expires in (29|30) minutes"))).to_be_visible()
    card.get_by_role("button", name="+30 minutes").click()
    expect(card.get_by_text(re.compile("Expires in (59 minutes|1 hour)"))).to_be_visible()


def test_the_inbox_is_worked_through_by_keyboard_alone(house: House, key: str, visit: Visit) -> None:
    approval = ask(house, key)
    visitor = visit(house.url)
    visitor.sign_in()
    page = visitor.go("/approvals")
    card = card_of(page, approval)
    note = card.get_by_label("Note to the agent")
    tab_to(page, note)
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")  # decides nothing
    polled(page)
    expect(card.get_by_role("button", name="Approve once")).to_be_visible()
    tab_to(page, card.get_by_role("button", name="Approve once"))
    page.keyboard.press("Enter")
    expect(card.get_by_text("Approved and done")).to_be_visible()
    expect(card.get_by_role("link").first).to_be_focused()
    expect(card.get_by_role("link", name="See it in Activity")).to_have_attribute(
        "href", re.compile(r"/activity/\d+")
    )


def tab_to(page: Page, wanted: Locator) -> None:
    for _ in range(200):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("Tab does not lead there")


def test_letters_lead_from_card_to_card_and_to_the_buttons_and_none_of_them_decides(
    house: House, key: str, visit: Visit
) -> None:
    first, second = ask(house, key), ask(house, key, ticket_id="T-1042", text="Second.")
    visitor = visit(house.url)
    visitor.sign_in()
    page = visitor.go("/approvals")
    card, other = card_of(page, first), card_of(page, second)
    history = page.get_by_role("link", name="History")
    history.focus()
    page.keyboard.type("jad")  # no card has the focus
    expect(history).to_be_focused()

    card.get_by_role("link").first.focus()
    page.keyboard.press("j")
    expect(other).to_be_focused()
    page.keyboard.press("Control+a")
    expect(other).to_be_focused()
    page.keyboard.press("k")
    expect(card).to_be_focused()
    page.keyboard.press("a")
    expect(card.get_by_role("button", name="Approve once")).to_be_focused()
    page.keyboard.press("n")
    note = card.get_by_label("Note to the agent")
    page.keyboard.type("jkadr")
    expect(note).to_have_value("jkadr")
    expect(note).to_be_focused()
    page.keyboard.press("Escape")
    expect(card).to_be_focused()
    page.keyboard.press("r")
    expect(card.get_by_label("Reason")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    expect(card.get_by_role("button", name="Deny")).to_be_focused()
    polled(page)
    expect(card.get_by_text("Waiting", exact=True)).to_be_visible()
    page.keyboard.press("Enter")
    expect(card.get_by_text("Denied", exact=True)).to_be_visible()
    expect(card.get_by_role("link").first).to_be_focused()
    page.keyboard.press("j")
    expect(other).to_be_focused()
    page.keyboard.press("k")  # what is decided is passed over
    expect(card).not_to_be_focused()


def test_a_card_that_somebody_else_decides_keeps_the_focus_of_its_button(
    house: House, key: str, visit: Visit
) -> None:
    approval = ask(house, key)
    visitor = visit(house.url)
    visitor.sign_in()
    card = card_of(visitor.go("/approvals"), approval)
    card.get_by_role("link").first.focus()
    visitor.page.keyboard.press("a")
    expect(card.get_by_role("button", name="Approve once")).to_be_focused()
    house.run("decide", approval, "deny")
    expect(card.get_by_text("Denied", exact=True)).to_be_visible()
    expect(card).to_be_focused()


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_every_state_of_a_card_is_accessible_and_fits(
    house: House, key: str, visit: Visit, look: str
) -> None:
    earlier = ask(house, key, "desk__update_ticket", ticket_id="T-1042", status="open")
    house.run("decide", earlier, "approve")
    house.call(key, "desk__update_ticket", {"ticket_id": "T-1042", "status": "open"})
    ask(house, key, "desk__update_ticket", ticket_id="T-1042", status="waiting", priority="low")
    kept = ask(house, key, ticket_id="T-1041", text="y" * 2000)
    visitor = visit(house.url, look)
    visitor.sign_in()
    page = visitor.go("/approvals")
    expect(page.get_by_text("changed", exact=True).locator("visible=true").first).to_be_visible()
    for opened in page.locator("#inbox details > summary").all():
        if opened.is_visible():
            opened.click()
    if look == "narrow":
        for button in card_of(page, kept).locator(".actions").get_by_role("button").all():
            box = button.bounding_box()
            assert box and box["height"] >= 44 and box["width"] >= 44
    card_of(page, kept).get_by_role("checkbox").check()
    page.evaluate("window.scrollTo(0, 0)")
    assert visitor.faults_in_sight() == []
    for path in ("/approvals/history?state=done", "/approvals/history?agent=nobody", "/settings/notices",
                 "/tools/mcp:desk:update_ticket"):  # fmt: skip
        visitor.go(path)
        assert visitor.faults_in_sight() == [], path
