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


def find() -> str | None:
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    for name in NAMES:
        if path := shutil.which(name):
            return path
    cache = Path.home() / ".cache/ms-playwright"
    found = sorted(cache.glob("chromium-*/chrome-linux*/chrome"))
    return str(found[-1]) if found else None


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


def _from_debian() -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium", "fonts-liberation"]):
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)


def _from_playwright() -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        return  # Debian's package brings its libraries along; Playwright's build often lacks some
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__":
    print(get())
