"""Finds the Chromium the browser tests drive; gets Debian's where it may. Never skips in silence.

`python -m tests.browser.chromium` prints its path, or fails with one line that says what to install.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
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
    _from_playwright()
    if not find() and os.geteuid() == 0 and shutil.which("apt-get"):
        _from_debian()
    if path := find():
        return path
    sys.exit("No Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM to its path.")


def _of_playwright() -> str | None:
    """The build that `playwright install` fetched earlier, if it did. Asked in a process of its own, as
    Playwright can't be started twice in one thread."""
    asking = [sys.executable, "-c", WHERE_IS_PLAYWRIGHTS]
    path = subprocess.run(asking, capture_output=True, text=True, check=False).stdout.strip()
    return path if path and Path(path).exists() else None


def _from_debian() -> None:
    print("No Chromium yet: installing Debian's …", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-liberation"]
    for command in (["apt-get", "update", "-qq"], install):
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)


def _from_playwright() -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        return  # Debian's package brings its libraries along; Playwright's build often lacks some
    print("No Chromium yet: fetching Playwright's …", flush=True)
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__":
    print(get())
