"""Every page in every look: no WCAG violation, no sideways scrolling, also at 400 % and with spaced text, no error, no
CSP report. 320 px is what 400 % leaves of a window of 1280."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.browser.scene import PAGES, scene
from tests.browser.visitor import Visitor
from tests.house import House


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, dict[str, str]]]:
    with scene(tmp_path_factory.mktemp("scene") / "data") as made:
        yield made


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_every_page_is_accessible_and_fits(
    full: tuple[House, dict[str, str]], visit: Callable[..., Visitor], look: str
) -> None:
    house, values = full
    visitor = visit(house.url, look)
    visitor.expected = {404}
    visitor.go("/login")
    problems = {"login": visitor.violations()}
    visitor.sign_in()
    for name, path in PAGES.items():
        visitor.go(path.format(**values))
        problems[name] = visitor.faults_of_page()
    lines = [f"{name}: {problem}" for name, found in problems.items() for problem in found]
    assert not lines, "\n".join(lines)


def test_a_technician_sees_what_is_not_theirs(
    full: tuple[House, dict[str, str]], visit: Callable[..., Visitor]
) -> None:
    house, _ = full
    visitor = visit(house.url)
    visitor.sign_in("tom@example.com")
    page = visitor.go("/settings/integrations/desk")
    row = page.locator("tr", has_text="mcp:desk:create_ticket")
    assert row.get_by_role("radio", name="Auto").is_disabled()
    assert row.get_by_role("radio", name="Disabled").is_enabled()
    assert page.get_by_role("link", name="Add MCP Server").count() == 0
    assert visitor.violations() == []
