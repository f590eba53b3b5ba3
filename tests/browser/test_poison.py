"""Tools that mean ill, on every page that shows them: nothing runs, nothing is fetched, nothing spills over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from config import Config
from tests.browser import poison
from tests.browser.visitor import Visitor
from tests.house import PASSWORD, House, served
from tests.services.farm import Farm, farm
from tests.upstream.zoo import legacy
from webapp.asgi import program
from webapp.store.models import Tool

LISTS = ("/tools?integration=odd", "/settings/integrations/odd", "/tools?q=script", "/activity",
         "/tools/bulk/preview?to=disabled&which=all&integration=odd")  # fmt: skip


@pytest.fixture(scope="module")
def meadow() -> Iterator[Farm]:
    with farm() as servers:
        servers.put(legacy(tuple(poison.tools(servers.url("/listener")))))
        yield servers


@pytest.fixture(scope="module")
def house(meadow: Farm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data: Path = tmp_path_factory.mktemp("poison") / "data"
    made = program(Config(data=data))
    with served(made) as url:
        house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
        house.run("create-user", "ann@example.com", "--role", "admin", "--name", "Ann", stdin=PASSWORD + "\n")
        house.run("add-server", meadow.url(), "--name", "odd", "--allow-private")
        yield house


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_nothing_acts_and_nothing_spills_over(
    house: House, meadow: Farm, visit: Callable[..., Visitor], look: str
) -> None:
    visitor = visit(house.url, look)
    visitor.page.on("dialog", lambda dialog: visitor.faults.append("a dialog"))
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.sign_in()
    names = house.do(
        lambda: [str(tool.catalogue_name) for tool in Tool.select() if "mcp:odd" in tool.catalogue_name]
    )
    assert len(names) >= 30
    pages = [visitor.url + path for path in LISTS]
    for path in LISTS[:2]:
        visitor.go(path)
        links = visitor.page.locator('a[href^="/tools/mcp"]').evaluate_all(
            "links => links.map(link => link.href)"
        )
        pages += links
    assert len(set(pages)) >= len(names)
    pages += [
        f"{visitor.url}/tools/{quote(name, safe='')}/try"
        for name in names
        if "/" not in name and "%" not in name
    ]
    wrong: dict[str, list[str]] = {}
    for address in dict.fromkeys(pages):
        visitor.page.goto(address)
        acted = visitor.page.evaluate("window.__xss !== undefined")
        found = ["it acted"] * acted + ["it spills over"] * visitor.scrolls_sideways()
        found += (
            [] if visitor.page.get_by_role("link", name="Gatehouse").is_visible() else ["the page is gone"]
        )
        if found:
            wrong[address] = found
    assert wrong == {}
    assert [url for url in asked if not url.startswith((house.url, "data:"))] == []
    assert [ask.path for ask in meadow.zoo.asked if ask.path.startswith("/listener")] == []


def test_lists_of_poison_are_accessible_and_their_folds_open(
    house: House, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(house.url, "narrow")
    visitor.sign_in()
    page = visitor.go(LISTS[0])
    for folded in page.locator("#tools tbody details summary").all():
        folded.click()
    page.locator(".definition pre").nth(5).wait_for()
    assert not visitor.scrolls_sideways()
    assert page.evaluate("window.__xss") is None
    page.evaluate("scrollTo(0, 0)")
    assert visitor.violations() == []
