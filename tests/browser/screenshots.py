"""Pictures of every page, light, dark and narrow: `python -m tests.browser.screenshots [PAGE …]`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from config import ROOT
from tests.browser import checkups, moments
from tests.browser.moments import Act
from tests.browser.scene import FIRST_PAGES, PAGES, first_day, scene
from tests.browser.visitor import LOOKS, launch, visiting
from tests.house import PASSWORD

FOLDER = ROOT / "docs" / "screenshots"
BEFORE = {"setup": "/setup"}
DOOR = {"login": "/login"}
# Cut off at the window's edge: a reader of the README wants the first look, and not to wait for it.
IN_THE_README = ("approvals-light", "server-light")


def main(wanted: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as data:
        browser = launch(playwright)
        with first_day(Path(data) / "first") as house:
            photograph(browser, house.url, quiet(BEFORE, wanted), signed_in=False)
            house.run(
                "create-user", "ann@example.com", "--role", "admin", "--name", "Ann", stdin=PASSWORD + "\n"
            )
            photograph(browser, house.url, quiet(FIRST_PAGES, wanted))
        with scene(Path(data) / "full") as (house, values):
            photograph(browser, house.url, quiet(DOOR, wanted), signed_in=False)
            photograph(browser, house.url, quiet(PAGES, wanted, **values))
        with moments.busy(Path(data) / "busy") as (house, values):
            photograph(browser, house.url, chosen(moments.BUSY, wanted, **values))
            moments.stop(house)
            photograph(browser, house.url, chosen(moments.STOPPED, wanted))
            photograph(
                browser,
                house.url,
                chosen(moments.SECOND_STEP, wanted),
                before=lambda: moments.with_password_alone(house),
            )
            photograph(
                browser,
                house.url,
                chosen(moments.SIGN_ON, wanted),
                before=lambda: moments.with_password_alone(house),
            )
        if pages := quiet(checkups.PAGES, wanted):
            with checkups.checkups(Path(data) / "checkups") as house:
                photograph(browser, house.url, pages)
        browser.close()
    print(f"The pictures are in {FOLDER.relative_to(ROOT)}.")


def quiet(pages: dict[str, str], wanted: list[str], **values: str) -> list[tuple[str, str, Act]]:
    return chosen({name: (path, moments.nothing) for name, path in pages.items()}, wanted, **values)


def chosen(pages: dict[str, tuple[str, Act]], wanted: list[str], **values: str) -> list[tuple[str, str, Act]]:
    return [
        (name, path.format(**values), act)
        for name, (path, act) in pages.items()
        if not wanted or name in wanted
    ]


def photograph(
    browser: Browser,
    url: str,
    pages: Iterable[tuple[str, str, Act]],
    *,
    signed_in: bool = True,
    before: Callable[[], None] | None = None,
) -> None:
    """`before`: done ahead of each look."""
    for look in LOOKS:
        if before:
            before()
        with visiting(browser, url, look) as visitor:
            visitor.expected = {403, 404, 422}
            if signed_in:
                visitor.sign_in()
            for name, path, act in pages:
                act(page := visitor.go(path))
                page.wait_for_load_state("networkidle")  # the cards have looked at what is true now
                picture = f"{name}-{look}"
                page.screenshot(path=FOLDER / f"{picture}.png", full_page=picture not in IN_THE_README)
            for fault in visitor.faults:
                print(look, fault)


if __name__ == "__main__":
    main(sys.argv[1:])
