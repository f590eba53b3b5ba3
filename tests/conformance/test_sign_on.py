"""People sign in to Gatehouse at npm's oidc-provider: two workers, a real browser, settings from the environment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitor import Visitor
from tests.house import PASSWORD, House
from tests.serving import Process, free_port, gatehouse, listens, node

SECRET = "a secret of 50% + more"
SCRIPT = Path(__file__).parent / "provider.mjs"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, port, own = tmp_path_factory.mktemp("sign-on"), free_port(), free_port()
    issuer = f"http://127.0.0.1:{port}/tenant"
    command = [node(), str(SCRIPT), "--issuer", issuer, "--client-id", "gate", f"--client-secret={SECRET}"]
    command += ["--redirect-uri", f"http://127.0.0.1:{own}/login/oidc/callback"]
    settings = {"OIDC_ISSUER": issuer, "OIDC_CLIENT_ID": "gate", "OIDC_CLIENT_SECRET": SECRET, "OIDC_NAME": "Vendor",
                "OIDC_ROLES_CLAIM": "groups", "OIDC_ROLES": "boss=admin, desk=technician"}  # fmt: skip
    provider = Process(command, folder / "provider.log")
    try:
        provider.start()
        provider.wait_until(lambda: listens(port), "it listened")
        with gatehouse(folder, port=own, **settings) as running:
            running.house.run("create-user", "root@example.com", "--role", "admin", stdin=PASSWORD + "\n")
            yield running.house
    finally:
        provider.stop()


def begin(visitor: Visitor, path: str = "/login") -> Page:
    page = visitor.go(path)
    page.get_by_role("link", name="Sign in with Vendor").click()
    return page


def say_who(page: Page, name: str, *, consent: bool = True) -> None:
    page.get_by_placeholder("Enter any login").fill(name)
    page.get_by_placeholder("and password").fill("any will do")
    page.get_by_role("button", name="Sign-in").click()
    if consent:
        page.get_by_role("button", name="Continue").click()


def make_it_long_ago(house: House) -> None:
    then = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(house.data / "gatehouse.db", timeout=20)) as db, db:
        db.execute("UPDATE session SET created_at = ?, confirmed_at = NULL", (then,))


def test_in_with_a_role_and_out_again(house: House, visitor: Visitor) -> None:
    page = begin(visitor, "/activity")
    say_who(page, "tom.desk")
    page.wait_for_url(f"{house.url}/activity")
    visitor.go("/account")
    expect(page.locator("main")).to_contain_text("tom@vendor.example · technician")
    expect(page.locator("main")).to_contain_text("With Vendor, as tom@vendor.example")
    page.get_by_role("navigation").get_by_role("button", name="Sign out").click()
    expect(page.locator("main")).to_contain_text("At Vendor you may still be signed in")
    begin(visitor)  # who is signed in there is not asked anything
    page.wait_for_url(f"{house.url}/")
    assert visitor.faults == []


def test_nobody_without_a_role_and_nobody_who_cancels(house: House, visitor: Visitor) -> None:
    visitor.expected = {403}
    page = begin(visitor)
    say_who(page, "eve")
    expect(page.get_by_role("alert")).to_contain_text("You have no role in Gatehouse.")
    assert "code=" not in page.url
    visitor.page.context.clear_cookies()
    page = begin(visitor)
    page.get_by_role("link", name="[ Cancel ]").click()
    expect(page.get_by_role("alert")).to_contain_text("access_denied")
    page.locator("main").get_by_role("link", name="Sign in").click()
    page.wait_for_url(f"{house.url}/login")
    assert visitor.faults == []


def test_is_it_still_you_is_asked_there(house: House, visitor: Visitor) -> None:
    page = begin(visitor)
    say_who(page, "ann.boss")
    page.wait_for_url(f"{house.url}/")
    visitor.go("/settings/people")
    expect(page.get_by_role("heading", level=1)).to_have_text("People")
    make_it_long_ago(house)
    visitor.go("/settings/people")
    page.get_by_role("link", name="Confirm with Vendor").click()
    say_who(page, "ann.boss", consent=False)
    page.wait_for_url(f"{house.url}/settings/people")
    expect(page.get_by_role("heading", level=1)).to_have_text("People")
    assert visitor.faults == []
