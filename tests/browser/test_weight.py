"""What the first pages weigh on the way, with an empty cache, and that nothing comes from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.browser.scene import scene
from tests.browser.visitor import Visitor

MOST = 60 * 1024


def weighed(visitor: Visitor, path: str) -> tuple[float, set[str]]:
    """Bytes as they came over the wire, headers too, and the hosts they came from."""
    session = visitor.page.context.new_cdp_session(visitor.page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: list[float] = []
    hosts: set[str] = set()
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))

    def note(event: dict[str, Any]) -> None:
        hosts.add(urlsplit(event["request"]["url"]).netloc)

    session.on("Network.requestWillBeSent", note)
    visitor.page.goto(visitor.url + path, wait_until="networkidle")
    session.detach()
    return sum(sizes), hosts


def test_the_first_pages_are_light_and_nothing_comes_from_elsewhere(
    tmp_path: Path, visit: Callable[..., Visitor]
) -> None:
    with scene(tmp_path / "data") as (house, _):
        visitor = visit(house.url)
        found = {"/login": weighed(visitor, "/login")}
        visitor.sign_in()
        found |= {
            path: weighed(visitor, path) for path in ("/", "/approvals", "/tools", "/settings/integrations")
        }
    here = urlsplit(house.url).netloc
    for path, (size, hosts) in found.items():
        assert 5_000 < size <= MOST, (path, size)
        assert hosts <= {here, ""}, (path, hosts)
