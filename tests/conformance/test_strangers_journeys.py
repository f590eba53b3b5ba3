"""Behind sign-ins that nobody here wrote, through Gatehouse: a person in a browser, an agent with a real client."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import signing_in
from tests.browser.visitor import Visitor
from tests.conformance import strangers
from tests.conformance.strangers import Stranger
from tests.house import PASSWORD, House, text_of
from tests.serving import gatehouse

ANN = "ann@vendor.example"
LIFE = 4  # seconds an access token lives: short enough to see one end
SERVERS = "/settings/integrations"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with gatehouse(tmp_path) as running:
        running.house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        yield running.house


@pytest.fixture
def visitor(visitor: Visitor) -> Visitor:
    visitor.sign_in()
    return visitor


def by_allowing(stranger: Stranger) -> Callable[[Page], None]:
    return lambda page: stranger.page.allow(page, ANN)


def called(house: House, key: str, name: str, arguments: dict[str, Any] | None = None) -> Any:
    """By the SDK's client; from a thread of its own, for Playwright's loop runs in this one."""

    async def call() -> Any:
        async with house.client(key) as client:
            return await client.call_tool(name, arguments or {})

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(call())).result()


def said(result: Any) -> str:
    return str(result.content[0].text)


def grant(house: House) -> tuple[datetime, int]:
    """When the access token ends, and how many there have been."""
    with closing(sqlite3.connect(f"file:{house.data}/gatehouse.db?mode=ro", uri=True)) as db:
        expires_at, version = db.execute('SELECT expires_at, version FROM "grant"').fetchone()
    return datetime.fromisoformat(expires_at).replace(tzinfo=UTC), version


def outlive_the_token(house: House) -> int:
    expires_at, version = grant(house)
    time.sleep(max(0.0, (expires_at - datetime.now(UTC)).total_seconds() + 0.2))
    return version


def connected_and_renewed(house: House, name: str) -> str:
    """An agent's key, after a call, the token's end and another call that nobody had to help with."""
    key = house.agent("claude")
    tools_on_auto(house, name)
    assert said(called(house, key, f"{name}__who_am_i")) == ANN
    before = outlive_the_token(house)
    assert said(called(house, key, f"{name}__who_am_i")) == ANN
    assert grant(house)[1] > before, "the old token can't have been good any more"
    return key


def grant_more(visitor: Visitor, name: str, stranger: Stranger) -> None:
    page = visitor.go(f"{SERVERS}/{name}")
    page.get_by_role("button", name="Grant more access").first.click()
    page.wait_for_url("**/oauth/sign-in/*")
    expect(page.locator("dl.facts")).to_contain_text("notes:write")
    signing_in.jump(page)
    stranger.page.allow(page, ANN)
    page.wait_for_url(f"**{SERVERS}/{name}")


def disconnect(visitor: Visitor, name: str) -> str:
    page = visitor.go(f"{SERVERS}/{name}/disconnect")
    page.get_by_role("textbox").fill(name)
    page.get_by_role("button", name="Disconnect").click()
    page.wait_for_url(f"**{SERVERS}")
    return page.locator("#notice").inner_text()


def tools_on_auto(house: House, name: str) -> None:
    for tool in house.listed("tools"):
        if tool["catalogue_name"].startswith(f"mcp:{name}:"):
            house.run("set-policy", tool["catalogue_name"], "auto")


def test_a_server_built_with_the_python_sdk(house: House, visitor: Visitor, tmp_path: Path) -> None:
    with strangers.python_sdk(tmp_path, LIFE) as stranger:
        signing_in.connect(visitor, stranger.mcp_url, "py", by_allowing(stranger))
        connected_and_renewed(house, "py")
        assert "was told to forget the sign-in" in disconnect(visitor, "py")
    assert not visitor.faults


def test_a_server_built_with_the_typescript_sdk_asks_for_more_access(
    house: House, visitor: Visitor, tmp_path: Path
) -> None:
    with strangers.typescript_sdk(tmp_path, LIFE) as stranger:
        signing_in.connect(visitor, stranger.mcp_url, "ts", by_allowing(stranger))
        key = connected_and_renewed(house, "ts")
        assert "more access" in said(called(house, key, "ts__add_note", {"text": "milk"}))
        grant_more(visitor, "ts", stranger)
        assert not called(house, key, "ts__add_note", {"text": "milk"}).is_error
        assert "milk" in said(called(house, key, "ts__list_notes"))
        assert "was told to forget the sign-in" in disconnect(visitor, "ts")
    assert not visitor.faults


def test_oidc_provider_with_registration_asks_for_more_access(
    house: House, visitor: Visitor, tmp_path: Path
) -> None:
    with strangers.oidc_registering(tmp_path, LIFE) as stranger:
        signing_in.connect(visitor, stranger.mcp_url, "oidc", by_allowing(stranger))
        key = connected_and_renewed(house, "oidc")
        assert "more access" in said(called(house, key, "oidc__add_note", {"text": "milk"}))
        grant_more(visitor, "oidc", stranger)
        assert not called(house, key, "oidc__add_note", {"text": "milk"}).is_error
        assert "was told to forget the sign-in" in disconnect(visitor, "oidc")
    assert not visitor.faults


def test_oidc_provider_without_registration_takes_an_id_and_a_secret_from_the_admin(
    house: House, visitor: Visitor, tmp_path: Path
) -> None:
    return_address = f"{house.url}/oauth/callback"
    with strangers.oidc_by_hand(tmp_path, return_address, LIFE) as stranger:
        visitor.expected = {422}
        page = signing_in.check(visitor, stranger.mcp_url, "hand")
        page.get_by_role("link", name="Continue: sign in").click()
        page.get_by_role("button", name=re.compile("^Sign in at ")).click()
        expect(page.locator("#return-address")).to_have_text(return_address)
        page.get_by_label("Client id").fill(stranger.client_id)
        page.get_by_label("Client secret").fill(stranger.client_secret)
        page.get_by_role("button", name="Save and sign in").click()
        signing_in.jump(page)
        stranger.page.allow(page, ANN)
        signing_in.finish(page, "hand")
        expect(visitor.go(f"{SERVERS}/hand").locator("dl.facts").first).to_contain_text(ANN)
        connected_and_renewed(house, "hand")
        assert "was told to forget the sign-in" in disconnect(visitor, "hand")
    assert not visitor.faults


@pytest.mark.parametrize("kind", ["python_sdk", "oidc_registering"])
def test_who_refuses_there_is_told_so_and_can_go_on(
    house: House, visitor: Visitor, tmp_path: Path, kind: str
) -> None:
    with getattr(strangers, kind)(tmp_path) as stranger:
        page = signing_in.check(visitor, stranger.mcp_url, "refused")
        signing_in.to_the_jump(page)
        signing_in.jump(page)
        stranger.page.refuse(page)
        expect(page.locator("#ended")).to_contain_text("sent you back without a sign-in")
        page.get_by_role("button", name="Try again").click()
        signing_in.jump(page)
        stranger.page.allow(page, ANN)
        signing_in.finish(page, "refused")
        tools_on_auto(house, "refused")
        assert text_of(house.call(house.agent("claude"), "refused__who_am_i")) == ANN
    assert not visitor.faults
