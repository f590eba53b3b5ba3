"""“Is it still you?” in a browser: the question takes the form's place, and then what was asked for is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from config import Config
from tests.browser.test_wizard import begin, practice  # noqa: F401
from tests.browser.visitor import Visitor
from tests.house import PASSWORD, served
from webapp.asgi import program
from webapp.services import accounts
from webapp.services.audit import COMMAND
from webapp.store.models import database


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
def test_a_server_in_the_own_network_is_allowed_after_the_password(
    practice: str,  # noqa: F811
    tmp_path: Path,
    visit: Callable[..., Visitor],
    javascript: bool,
) -> None:
    """No sign-in is recent here."""
    made = program(Config(data=tmp_path / "data", practice_url=practice, recent_minutes=0))
    with database.connection_context():
        accounts.create_user("ann@example.com", "Ann", PASSWORD, "admin", COMMAND)
    with served(made) as url:
        visitor = visit(url, java_script_enabled=javascript)
        visitor.expected = {422}
        page = begin(visitor, f"{practice}/bearer/mcp", "desk")
        page.get_by_role("button", name="This is a server in my own network").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
        expect(page.locator("main")).to_have_count(1)
        page.get_by_label("Your password").fill("wrong")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_contain_text("This is not right.")
        page.get_by_label("Your password").fill(PASSWORD)
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("link", name="Continue: sign in").wait_for()
