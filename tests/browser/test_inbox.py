"""The inbox while a person works in it: new calls come by themselves and leave alone what is being typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.scene import scene
from tests.browser.visitor import Visitor


def test_a_new_call_appears_and_the_note_being_typed_stays(
    tmp_path: Path, visit: Callable[..., Visitor]
) -> None:
    with scene(tmp_path / "data") as (house, values):
        visitor = visit(house.url)
        visitor.sign_in()
        page = visitor.go("/approvals")
        card = page.locator(f"#{values['approval']}")
        note = card.get_by_label("Note to the agent")
        note.press_sequentially("Fine, but")
        expect(page).to_have_title("(2) Approvals · Gatehouse")

        key = house.agent("Late riser")
        house.call(key, "desk__create_ticket", {"client": "Fabrikam", "summary": "x " * 400})
        expect(page.get_by_role("heading", name="Late riser wants to call")).to_be_visible()
        expect(page).to_have_title("(3) Approvals · Gatehouse")
        expect(note).to_have_value("Fine, but")
        expect(note).to_be_focused()

        long = page.locator("article", has_text="Late riser").locator("details")
        long.locator("summary").click()
        with page.expect_response(house.url + "/approvals/inbox"):
            pass
        with page.expect_response(house.url + "/approvals/inbox"):
            pass
        expect(long).to_have_attribute("open", "")

        card.get_by_role("button", name="Deny").click()
        expect(card.get_by_text("Denied", exact=True)).to_be_visible()
        expect(card.get_by_text("Note: Fine, but")).to_be_visible()
        expect(page).to_have_title("(2) Approvals · Gatehouse")
