"""The page of a Gatehouse that can't start: readable for everybody, and gone when the trouble is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from config import Config
from tests.browser.visitor import Visitor
from tests.house import served
from webapp.asgi import program
from webapp.store.models import database


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_it_says_why_and_opens_by_itself(tmp_path: Path, visit: Callable[..., Visitor], look: str) -> None:
    data = tmp_path / "data"
    program(Config(data=data))
    database.close()
    (data / "secret.key").chmod(0o644)
    with served(program(Config(data=data))) as url:
        visitor = visit(url, look)
        visitor.expected = {503}
        page = visitor.go("/")
        expect(page.get_by_role("heading")).to_have_text("Gatehouse can’t start")
        expect(page.get_by_text("Run: chmod 600 secret.key")).to_be_visible()
        assert visitor.faults_of_page() == []
        (data / "secret.key").chmod(0o600)
        visitor.go("/")
        while "can’t start" in page.title():
            page.wait_for_timeout(200)
            visitor.go("/")
        expect(page.get_by_label("Set-up code")).to_be_visible()
