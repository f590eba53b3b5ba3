"""The inbox when things go wrong in the middle of a decision: floods of calls and of bytes, time running out, sessions
ending, cards that change under the pointer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scene import scene
from tests.browser.test_inbox import INBOX, ask, card_of, polled, top
from tests.browser.visitor import Visitor
from tests.house import PASSWORD, House
from webapp.services import approvals
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Approval, Session

NUMBERS = itertools.count(1)
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with scene(tmp_path_factory.mktemp("hostile") / "data") as (house, _):
        empty(house)
        yield house


@pytest.fixture
def house(full: House) -> Iterator[House]:
    yield full
    empty(full)


def empty(house: House) -> None:
    """Nothing waits, and nothing was decided lately."""

    def clear() -> None:
        with writing():
            long_ago = now() - timedelta(hours=2)
            over = {"state": "denied", "open_key": None, "decided_at": long_ago, "finished_at": long_ago}
            Approval.update(**over).execute()

    house.do(clear)


@pytest.fixture
def key(house: House) -> str:
    return house.agent(f"Hostile {next(NUMBERS)}")


@pytest.fixture
def tom(house: House, visit: Visit) -> Visitor:
    visitor = visit(house.url)
    visitor.sign_in("tom@example.com")
    return visitor


def state_of(house: House, approval: str) -> str:
    return house.do(lambda: str(Approval.get_by_id(approval).state))


# --- nothing moves


@pytest.mark.parametrize("height", [600, 1600], ids=["a long page", "a short page"])
def test_a_card_that_grows_moves_nothing_under_the_pointer(
    house: House, key: str, visit: Visit, height: int
) -> None:
    """Its agent gives a reason, and asks for more, while the pointer is over a button of it."""
    approval = ask(house, key)
    visitor = visit(house.url, viewport={"width": 1280, "height": height})
    visitor.sign_in()
    page = visitor.go("/approvals")
    expect(card_of(page, approval).get_by_text("as get_ticket says")).to_be_attached()
    button = card_of(page, approval).get_by_role("button", name="Deny")
    button.scroll_into_view_if_needed()
    button.hover()
    before = top(button)

    def explain() -> None:
        with writing():
            approvals.give_reason(approval, "Because the client asked for it. " * 20)

    house.do(explain)
    ask(house, key, ticket_id="T-1042", text="Another.")
    expect(card_of(page, approval).get_by_text("Because the client asked for it.")).to_be_visible()
    assert abs(top(button) - before) < 1
    page.mouse.down()
    page.mouse.up()
    expect(card_of(page, approval).get_by_text("Denied", exact=True)).to_be_visible()


def test_twenty_cards_and_more_coming_hold_still_and_are_decided_one_by_one(
    house: House, key: str, tom: Visitor
) -> None:
    ids = [ask(house, key, ticket_id=f"T-{1000 + number}", text=f"Note {number}.") for number in range(20)]
    page = tom.go("/approvals")
    expect(page.locator("#inbox > article")).to_have_count(20)
    expect(page).to_have_title("(20) Approvals · Gatehouse")
    button = card_of(page, ids[12]).get_by_role("button", name="Deny")
    button.scroll_into_view_if_needed()
    button.hover()
    polled(page)  # what is true now has come in for the cards in view
    before = top(button)
    flood = house.agent(f"Flood {next(NUMBERS)}")
    for number in range(15):
        ask(house, flood, ticket_id=f"T-{2000 + number}", text="More.")
    for one in (ids[2], ids[11]):
        house.run("decide", one, "deny")
    expect(
        page.get_by_text(re.compile("33 calls wait for a decision; 3 of them come into view"))
    ).to_be_attached()
    assert abs(top(button) - before) < 1
    button.click()
    expect(card_of(page, ids[12]).get_by_text("Denied", exact=True)).to_be_visible()
    assert [state_of(house, one) for one in ids].count("denied") == 3


# --- time and sessions run out


def test_a_call_that_expires_under_the_pointer_is_not_run_and_says_so(
    house: House, key: str, tom: Visitor
) -> None:
    approval = ask(house, key)
    page = tom.go("/approvals")
    page.route(INBOX, lambda route: route.fulfill(status=204))  # before the poll could tell
    house.do(lambda: Approval.update(expires_at=now()).where(Approval.id == approval).execute())
    card = card_of(page, approval)
    card.get_by_role("button", name="Approve once").click()
    expect(card.get_by_role("status")).to_contain_text("This approval expired")
    expect(card.get_by_text("If it is still wanted, the agent can ask again.")).to_be_visible()
    expect(card.get_by_role("button", name="Approve once")).to_have_count(0)
    assert state_of(house, approval) in ("waiting", "expired")


def test_a_call_that_expires_in_view_shows_it_with_the_next_poll(
    house: House, key: str, tom: Visitor
) -> None:
    approval = ask(house, key)
    page = tom.go("/approvals")
    card = card_of(page, approval)
    expect(card.get_by_text("Waiting", exact=True)).to_be_visible()
    house.do(lambda: Approval.update(expires_at=now()).where(Approval.id == approval).execute())
    expect(card.get_by_text("Expired", exact=True)).to_be_visible()
    expect(card.get_by_role("button", name="Approve once")).to_have_count(0)
    expect(page).to_have_title("Approvals · Gatehouse")


def test_a_session_that_ends_while_deciding_loses_neither_the_note_nor_the_place(
    house: House, key: str, tom: Visitor
) -> None:
    approval = ask(house, key)
    page = tom.go(f"/approvals/{approval}")
    page.get_by_label("Note to the agent").fill("Call them first.")
    house.do(lambda: Session.delete().execute())
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("You are signed out, so nothing was done.")).to_be_visible()
    expect(page.get_by_label("Note to the agent")).to_have_value("Call them first.")
    assert state_of(house, approval) == "waiting"
    page.get_by_role("link", name="Sign in again").click()
    come_in(page)
    expect(page).to_have_url(f"{house.url}/approvals/{approval}")
    expect(page.get_by_label("Note to the agent")).to_have_value("Call them first.")
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("Note: Call them first.")).to_be_visible()
    page.reload()
    assert page.evaluate(f"sessionStorage.getItem('{approval}-note')") is None


def test_a_session_that_ends_while_looking_is_said_on_the_page(house: House, key: str, tom: Visitor) -> None:
    approval = ask(house, key)
    page = tom.go("/approvals")
    note = card_of(page, approval).get_by_label("Note to the agent")
    note.press_sequentially("Half a sen")
    house.do(lambda: Session.delete().execute())
    expect(page.locator("#notice").get_by_text("You are signed out")).to_be_visible()
    expect(page).to_have_url(f"{house.url}/approvals")
    expect(note).to_have_value("Half a sen")
    assert tom.violations() == []


def test_without_javascript_too_one_is_told_and_comes_back(house: House, key: str, visit: Visit) -> None:
    approval = ask(house, key)
    visitor = visit(house.url, java_script_enabled=False)
    visitor.sign_in("tom@example.com")
    page = visitor.go(f"/approvals/{approval}")
    house.do(lambda: Session.delete().execute())
    page.get_by_role("button", name="Approve once").click()
    expect(page.get_by_text("You were signed out, so nothing was done.")).to_be_visible()
    assert state_of(house, approval) == "waiting"
    come_in(page)
    expect(page).to_have_url(f"{house.url}/approvals/{approval}")
    page.get_by_role("button", name="Approve once").click()
    expect(card_of(page, approval).get_by_text(re.compile("Approved"))).to_have_count(2)


def come_in(page: Page) -> None:
    page.get_by_label("E-mail").fill("tom@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_the_link_of_a_notice_opens_the_card_after_signing_in_and_decides_nothing(
    house: House, key: str, visit: Visit
) -> None:
    approval = ask(house, key)
    visitor = visit(house.url)
    page = visitor.go(f"/approvals/{approval}")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    come_in(page)
    expect(page).to_have_url(f"{house.url}/approvals/{approval}")
    expect(page.get_by_role("button", name="Approve once")).to_be_visible()
    assert state_of(house, approval) == "waiting"


def test_two_approvers_without_javascript_learn_who_was_first(house: House, key: str, visit: Visit) -> None:
    approval = ask(house, key)
    people = [visit(house.url, java_script_enabled=False) for _ in range(2)]
    for visitor, email in zip(people, ("ann@example.com", "tom@example.com"), strict=True):
        visitor.sign_in(email)
        visitor.go(f"/approvals/{approval}")
    people[0].page.get_by_role("button", name="Deny").click()
    people[1].expected = {409}
    people[1].page.get_by_role("button", name="Approve once").click()
    expect(people[1].page.get_by_text("Already denied by ann@example.com.")).to_be_visible()
    assert state_of(house, approval) == "denied"


# --- floods of bytes


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_a_megabyte_of_turned_around_text_is_bearable_and_honest(
    house: House, key: str, visit: Visit, look: str
) -> None:
    text = "pay \u202e0001 EUR\u202c\u200b to the ven\u00addor " * 36_000
    approval = ask(house, key, ticket_id="T-1041", text=text, visibility="x" * 3000)
    visitor = visit(house.url, look)
    visitor.sign_in()
    page = visitor.go("/approvals")
    card = card_of(page, approval)
    expect(card.get_by_text("Approve once")).to_be_visible()
    card.locator("td details summary").first.click()
    expect(card.get_by_text(re.compile("characters more, which are not shown here")).first).to_be_visible()
    assert "⟨U+202E⟩" in card.inner_text() and "\u202e" not in card.inner_text()
    assert not visitor.scrolls_sideways()
    assert visitor.violations() == []
    with page.expect_download() as download:
        card.get_by_role("link", name="Download all arguments (JSON)").click()
    assert download.value.suggested_filename == f"{approval}.json"
    card.get_by_role("link", name="Show more of it on its own page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Approval")
    assert len(page.content()) < 2_000_000
    polls = page.evaluate(
        "performance.getEntriesByType('resource').filter((one) => one.name.includes('inbox')).length"
    )
    assert polls < 3


# --- notices of the browser itself


FAKE_NOTIFICATIONS = """window.told = [];
window.Notification = class { static permission = "default";
  static async requestPermission() { return (this.permission = window.grants ?? "granted"); }
  constructor(title, options) { window.told.push(options.body); } };
Object.defineProperty(document, "hidden", { get: () => window.away ?? false });"""


def test_the_browser_tells_of_new_calls_only_when_asked_to_and_when_one_is_away(
    house: House, key: str, visit: Visit
) -> None:
    visitor = visit(house.url)
    visitor.page.add_init_script(FAKE_NOTIFICATIONS)
    visitor.sign_in()
    page = visitor.go("/approvals")
    page.evaluate("window.away = true")
    ask(house, key)
    expect(page).to_have_title("(1) Approvals · Gatehouse", timeout=15_000)
    assert page.evaluate("window.told") == []
    page.get_by_role("button", name="Tell me in this browser").click()
    expect(page.get_by_role("button", name="Stop telling me in this browser")).to_be_visible()
    ask(house, key, ticket_id="T-1042", text="Second.")
    expect(page).to_have_title("(2) Approvals · Gatehouse")
    assert page.evaluate("window.told") == ["2 calls wait for approval"]
    page.evaluate("window.away = false")
    ask(house, key, ticket_id="T-1043", text="Third.")
    expect(page).to_have_title("(3) Approvals · Gatehouse")
    page.get_by_role("button", name="Stop telling me in this browser").click()
    page.evaluate("window.away = true")
    ask(house, key, ticket_id="T-1044", text="Fourth.")
    expect(page).to_have_title("(4) Approvals · Gatehouse")
    assert len(page.evaluate("window.told")) == 1


def test_a_browser_that_refuses_says_so(house: House, visit: Visit) -> None:
    visitor = visit(house.url)
    visitor.page.add_init_script(FAKE_NOTIFICATIONS + "window.grants = 'denied';")
    visitor.sign_in()
    page = visitor.go("/approvals")
    page.get_by_role("button", name="Tell me in this browser").click()
    expect(page.get_by_role("button", name="The browser does not allow it")).to_be_visible()
