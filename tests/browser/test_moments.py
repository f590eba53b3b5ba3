"""Pages in the middle of work, and while everything is stopped: no WCAG violation, and they fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser import moments
from tests.browser.visitor import Visitor


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_pages_in_the_middle_of_work_are_accessible_and_fit(
    tmp_path: Path, visit: Callable[..., Visitor], look: str
) -> None:
    problems = {}
    with moments.busy(tmp_path / "data") as (house, values):
        visitor = visit(house.url, look)
        visitor.expected = {403, 404, 422}
        visitor.sign_in()
        for pages, before in (
            (moments.BUSY, None),
            (moments.STOPPED, moments.stop),
            (moments.SECOND_STEP, None),
            (moments.SIGN_ON, moments.with_password_alone),
        ):
            if before:
                before(house)
                visitor.page.context.clear_cookies()
                visitor.sign_in()
            for name, (path, act) in pages.items():
                act(visitor.go(path.format(**values)))
                problems[name] = visitor.faults_of_page()
    lines = [f"{name}: {problem}" for name, found in problems.items() for problem in found]
    assert not lines, "\n".join(lines)
