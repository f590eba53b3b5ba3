"""Finds the Chromium the browser tests drive; gets Debian's where it may. Never skips in silence.

`python -m tests.browser.chromium` prints its path, or fails with one line that says what to install. The build without
windows is the one to have: a whole Chromium draws a toolbar for each page, which costs as much as the page.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

WITHOUT_WINDOWS = "chromium-headless-shell"
NAMES = (WITHOUT_WINDOWS, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

WHERE_IS_PLAYWRIGHTS = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""


def find() -> str | None:
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    for name in NAMES:
        if path := shutil.which(name):
            return path
    return _of_playwright()


def get() -> str:
    """The path of a Chromium; raises SystemExit with one line."""
    if path := find():
        return path
    sys.exit(
        f"No Chromium: install it (Debian: apt-get install {WITHOUT_WINDOWS}) or set CHROMIUM to its path."
    )


def fetch() -> None:
    """What there is to have: Debian's package brings its libraries along; Playwright's build often lacks some."""
    if os.environ.get("CHROMIUM") or shutil.which(WITHOUT_WINDOWS):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _from_debian()
    elif not find():
        _from_playwright()


def _of_playwright() -> str | None:
    """The build that `playwright install` fetched earlier, if it did. Asked in a process of its own, as
    Playwright can't be started twice in one thread."""
    asking = [sys.executable, "-c", WHERE_IS_PLAYWRIGHTS]
    path = subprocess.run(asking, capture_output=True, text=True, check=False).stdout.strip()
    return path if path and Path(path).exists() else None


def _from_debian() -> None:
    print("Installing Debian's Chromium without windows …", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    patience = ["-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20"]
    install = ["install", "-y", "--no-install-recommends", WITHOUT_WINDOWS, "fonts-liberation"]
    for command in (["update"], install):
        subprocess.run(
            ["apt-get", *patience, *command], env=environment, stdout=subprocess.DEVNULL, check=False
        )


def _from_playwright() -> None:
    print("No Chromium yet: fetching Playwright's …", flush=True)
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__":
    fetch()
    print(get())
