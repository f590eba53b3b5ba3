"""Pictures of every page, light, dark and narrow: `python -m tests.browser.screenshots [PAGE …]`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.browser import checkups
from tests.browser.scene import FIRST_PAGES, PAGES, first_day, scene
from tests.browser.visitor import LOOKS, launch, visiting
from tests.house import PASSWORD, ROOT

FOLDER = ROOT / "docs" / "screenshots"
BEFORE = {"setup": "/setup"}
DOOR = {"login": "/login"}


def main(wanted: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as data:
        browser = launch(playwright)
        with first_day(Path(data) / "first") as house:
            photograph(browser, house.url, chosen(BEFORE, wanted), signed_in=False)
            house.run(
                "create-user", "ann@example.com", "--role", "admin", "--name", "Ann", stdin=PASSWORD + "\n"
            )
            photograph(browser, house.url, chosen(FIRST_PAGES, wanted))
        with scene(Path(data) / "full") as (house, values):
            photograph(browser, house.url, chosen(DOOR, wanted), signed_in=False)
            photograph(
                browser, house.url, [(name, path.format(**values)) for name, path in chosen(PAGES, wanted)]
            )
        if pages := chosen(checkups.PAGES, wanted):
            with checkups.checkups(Path(data) / "checkups") as house:
                photograph(browser, house.url, pages)
        browser.close()
    print(f"The pictures are in {FOLDER.relative_to(ROOT)}.")


def chosen(pages: dict[str, str], wanted: list[str]) -> list[tuple[str, str]]:
    return [(name, path) for name, path in pages.items() if not wanted or name in wanted]


def photograph(
    browser: Browser, url: str, pages: Iterable[tuple[str, str]], *, signed_in: bool = True
) -> None:
    for look in LOOKS:
        with visiting(browser, url, look) as visitor:
            visitor.expected = {404}
            if signed_in:
                visitor.sign_in()
            for name, path in pages:
                visitor.go(path).screenshot(path=FOLDER / f"{name}-{look}.png", full_page=True)
            for fault in visitor.faults:
                print(look, fault)


if __name__ == "__main__":
    main(sys.argv[1:])
