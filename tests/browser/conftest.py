"""One Chromium for all browser tests; a visitor for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.visitor import Visitor, launch, visiting


# Not for the session: while it lives, no other test could start an event loop of its own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """visit(url, look="light", **context options); the test fails on any fault that was not expected."""
    visitors: list[Visitor] = []
    with ExitStack() as stack:

        def come(url: str, look: str = "light", **options: Any) -> Visitor:
            visitors.append(stack.enter_context(visiting(browser, url, look, **options)))
            return visitors[-1]

        yield come
        faults = [fault for visitor in visitors for fault in visitor.faults]
    assert not faults
