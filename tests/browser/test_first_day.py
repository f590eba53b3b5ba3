"""A house with nobody in it: set-up, refusals with their sentences, and pages that have nothing to show yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scene import FIRST_PAGES, first_day
from tests.browser.visitor import Visitor
from tests.house import PASSWORD


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_the_first_day_is_accessible_and_fits(
    tmp_path: Path, visit: Callable[..., Visitor], look: str
) -> None:
    with first_day(tmp_path / "data") as house:
        visitor = visit(house.url, look)
        problems = seen(visitor, "set-up", visitor.go("/setup"))

        house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        page = visitor.go("/login")
        visitor.expected = {401, 422}
        page.get_by_label("E-mail").fill("ann@example.com")
        page.get_by_label("Password").fill("not the password")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_focused()
        problems += seen(visitor, "refused sign-in", page)

        visitor.sign_in()
        for name, path in FIRST_PAGES.items():
            problems += seen(visitor, name, visitor.go(path))

        page = visitor.go("/settings/agents/new")
        page.get_by_label("Name").fill("Claude")
        page.get_by_role("button", name="Make the key").click()
        expect(page.get_by_role("heading", name="The key of Claude")).to_be_visible()
        problems += seen(visitor, "a new key", page)

        page = visitor.go("/settings/integrations/new")
        page.get_by_label("Server URL").fill("not an address")
        page.get_by_role("button", name="Check this address").click()
        expect(page.get_by_role("alert")).to_be_focused()
        problems += seen(visitor, "a refused address", page)
    assert not problems, "\n".join(problems)


def seen(visitor: Visitor, name: str, page: Page) -> list[str]:
    found = visitor.faults_in_sight()
    if page.get_by_role("heading", level=1).count() != 1:
        found.append("not one main heading")
    return [f"{name}: {problem}" for problem in found]
