"""Checks of servers in every look, with all that is folded open, and the report that is copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.browser import checkups
from tests.browser.visitor import Visitor
from tests.house import House


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with checkups.checkups(tmp_path_factory.mktemp("checkups") / "data") as made:
        yield made


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_every_check_is_accessible_and_fits(checked: House, visit: Callable[..., Visitor], look: str) -> None:
    visitor = visit(checked.url, look)
    visitor.sign_in()
    problems: dict[str, list[str]] = {}
    for name, path in checkups.PAGES.items():
        page = visitor.go(path)
        for folded in page.locator("main details").all():
            folded.locator("summary").click()
        problems[name] = visitor.faults_in_sight()
    lines = [f"{name}: {problem}" for name, found in problems.items() for problem in found]
    assert not lines, "\n".join(lines)


def test_the_report_is_copied(checked: House, visit: Callable[..., Visitor]) -> None:
    visitor = visit(checked.url, permissions=["clipboard-read", "clipboard-write"])
    visitor.sign_in()
    page = visitor.go(checkups.PAGES["check-silent-on-pkce"])
    page.get_by_role("button", name="Copy report").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("Gatehouse: check of an MCP server")
    assert "[PROBLEM] Sign-in service: " in copied


def test_where_there_is_no_clipboard_the_report_is_shown_and_selected(
    checked: House, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(checked.url)
    visitor.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    visitor.sign_in()
    page = visitor.go(checkups.PAGES["check-silent-on-pkce"])
    page.get_by_role("button", name="Copy report").click()
    expect(page.get_by_role("button", name="Press Ctrl-C")).to_be_visible()
    expect(page.locator("#check-report")).to_be_visible()
    assert page.evaluate("getSelection().toString()").startswith("Gatehouse: check of an MCP server")
