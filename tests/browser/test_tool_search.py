"""An agent's page where it says what its list of tools costs and offers a search instead, in every look."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from config import Config
from tests.browser.visitor import Visitor
from tests.house import PASSWORD, House, served
from webapp.asgi import program
from webapp.practice import create_app as practice_app
from webapp.store.models import Integration, Tool


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two agents, and 300 tools."""
    data = tmp_path_factory.mktemp("crowded") / "data"
    with served(practice_app()) as practice:
        made = program(Config(data=data))
        with served(made) as url:
            house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
            house.run(
                "create-user", "ann@example.com", "--role", "admin", "--name", "Ann", stdin=PASSWORD + "\n"
            )
            house.run("add-server", f"{practice}/open/mcp", "--name", "desk", "--allow-private")
            house.do(_many)
            house.agent("Claude for the helpdesk")
            yield house


def _many() -> None:
    row = Tool.select().where(Tool.name == "list_tickets").dicts().get()
    kept = Integration.get(Integration.kind == "builtin").id  # a sync would find a server's copies missing
    for number in range(300):
        names = {
            "name": f"t{number}",
            "wire_name": f"desk__t{number}",
            "catalogue_name": f"mcp:desk:t{number}",
        }
        Tool.create(
            **{key: value for key, value in row.items() if key != "id"} | names | {"integration": kept}
        )


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_the_choice_is_accessible_and_works(crowded: House, visit: Callable[..., Visitor], look: str) -> None:
    visitor = visit(crowded.url, look)
    visitor.expected = {422}
    visitor.sign_in()
    page = visitor.go("/settings/agents/1")
    expect(page.get_by_text("That is much for a model")).to_be_visible()
    problems = visitor.faults_in_sight()
    page.get_by_role("link", name="choose tool search").click()
    group = page.get_by_role("group", name="What it sees of its tools")
    group.get_by_role("radio", name="Automatic").check()
    group.get_by_label("Many means more than").fill("100")
    page.get_by_role("button", name="Save tool search").click()
    expect(page.get_by_text("Tool search: about")).to_be_visible()
    problems += visitor.faults_in_sight()
    visitor.go("/settings/agents/new")
    problems += visitor.faults_in_sight()
    visitor.go("/settings/agents/1")
    page.get_by_role("group", name="What it sees of its tools").get_by_role(
        "radio", name="The full list"
    ).check()
    page.get_by_role("button", name="Save tool search").click()
    expect(page.get_by_text("That is much for a model")).to_be_visible()
    assert problems == []
