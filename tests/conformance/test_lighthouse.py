"""Google's Lighthouse over the five main pages, as a phone sees them. `make lighthouse` prints the performance too,
which depends on what else the machine does."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.browser import chromium
from tests.browser.scene import scene
from tests.house import House
from tests.serving import NODE_MODULES, node

DOOR = "/login"
PAGES = ("/", "/settings/integrations", "/tools", "/approvals")
# What a page is, not how fast this machine was at it.
SURE = ("accessibility", "best-practices")
LEAST = 0.95


def looked_at(house: House, categories: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """{path: {url, scores, lost}}."""
    with house.browser() as browser:
        cookie = {"name": "sid", "value": browser.cookies["sid"], "domain": "127.0.0.1", "path": "/"}
    asked = {
        "chrome": chromium.get(), "flags": chromium.FLAGS, "cookie": cookie, "categories": categories,
        "door": house.url + DOOR, "pages": [house.url + path for path in PAGES],
    }  # fmt: skip
    script = NODE_MODULES.parent / "lighthouse.mjs"
    assert (NODE_MODULES / "lighthouse").exists(), "lighthouse is not installed: run `make conformance`"
    ran = subprocess.run(
        [node(), str(script), json.dumps(asked)], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return {urlsplit(url).path: page for url, page in json.loads(ran.stdout).items()}


def test_the_main_pages_score_well(tmp_path: Path) -> None:
    with scene(tmp_path / "data") as (house, _):
        found = looked_at(house, SURE)
    assert [urlsplit(page["url"]).path for page in found.values()] == [DOOR, *PAGES]
    poor = {path: page for path, page in found.items() if min(page["scores"].values()) < LEAST}
    assert poor == {}


def main() -> int:
    with tempfile.TemporaryDirectory() as data, scene(Path(data) / "data") as (house, _):
        found = looked_at(house, (*SURE, "performance"))
    for path, page in found.items():
        scores = "  ".join(f"{name} {score * 100:.0f}" for name, score in page["scores"].items())
        print(f"{path:24} {scores}", *page["lost"], sep="\n    ")
    return int(any(min(page["scores"].values()) < LEAST for page in found.values()))


if __name__ == "__main__":
    sys.exit(main())
