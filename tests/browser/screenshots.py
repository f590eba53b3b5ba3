"""Pictures of every page, light, dark and narrow: `python -m tests.browser.screenshots [PAGE …]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.scene import PAGES, scene
from tests.browser.visitor import LOOKS, launch, visiting
from tests.house import ROOT

FOLDER = ROOT / "docs" / "screenshots"


def main(wanted: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = {name: path for name, path in PAGES.items() if not wanted or name in wanted}
    with tempfile.TemporaryDirectory() as data, scene(Path(data) / "data") as (house, values):
        with sync_playwright() as playwright:
            browser = launch(playwright)
            for look in LOOKS:
                with visiting(browser, house.url, look) as visitor:
                    visitor.expected = {404}
                    visitor.go("/login").screenshot(path=FOLDER / f"login-{look}.png")
                    visitor.sign_in()
                    for name, path in pages.items():
                        visitor.go(path.format(**values)).screenshot(
                            path=FOLDER / f"{name}-{look}.png", full_page=True
                        )
                    for fault in visitor.faults:
                        print(look, fault)
            browser.close()
    print(f"{len(pages) * len(LOOKS)} pictures in {FOLDER}")


if __name__ == "__main__":
    main(sys.argv[1:])
