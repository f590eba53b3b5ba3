"""Behind a sign-in: the practice server's OAuth door, connected, outlived and connected anew. Two real workers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.browser import signing_in
from tests.browser.visitor import Visitor
from tests.house import PASSWORD, House
from tests.serving import gatehouse, practice_server

NAME = "practice-oauth"
SERVER = f"/settings/integrations/{NAME}"


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[str]:
    with practice_server(tmp_path) as url:
        yield url


@pytest.fixture
def house(tmp_path: Path, practice: str) -> Iterator[House]:
    with gatehouse(tmp_path, PRACTICE_URL=practice) as running:
        running.house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        yield running.house


def offered(visitor: Visitor) -> Page:
    """On the wizard's step for signing in, one button after the Integrations page."""
    visitor.sign_in()
    page = visitor.go("/settings/integrations")
    page.get_by_role("button", name="Connect it with OAuth").click()
    page.get_by_role("link", name="Continue: sign in").click()
    return page


def connect(visitor: Visitor) -> Page:
    page = offered(visitor)
    page.get_by_role("button", name=re.compile("^Sign in at ")).click()
    page.wait_for_url("**/oauth/sign-in/*")
    signing_in.jump(page)
    page.get_by_role("button", name="Allow").click()
    signing_in.finish(page, NAME)
    return page


def read(house: House, key: str) -> bool:
    answer = house.call(key, f"{NAME}__list_tickets")
    return not answer["result"].get("isError", False)


def press(practice: str, button: str) -> None:
    assert httpx2.post(
        f"{practice}/{button}", headers={"Origin": practice}, timeout=60, trust_env=False
    ).is_redirect


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
def test_connected_in_the_browser_and_used_by_an_agent(
    house: House, practice: str, visit: Callable[..., Visitor], javascript: bool
) -> None:
    visitor = visit(house.url, java_script_enabled=javascript)
    page = connect(visitor)
    key = house.agent("claude")
    assert read(house, key)
    facts = visitor.go(SERVER).locator("#facts")
    expect(facts).to_contain_text("OAuth at")
    expect(facts).to_contain_text("renewed by itself")
    assert "code=" not in page.url


def test_expired_tokens_are_renewed_without_anybody(
    house: House, practice: str, visit: Callable[..., Visitor]
) -> None:
    connect(visit(house.url))
    key = house.agent("claude")
    assert read(house, key)
    press(practice, "expire")
    assert read(house, key), "one refusal, one renewal, one more try"
    state = httpx2.get(f"{practice}/state", timeout=60, trust_env=False).json()["oauth"]
    assert state["refreshes"] >= 1 and state["reuse_detected"] == 0


def test_a_sign_in_taken_away_is_brought_back_with_tools_policies_and_names(
    house: House, practice: str, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(house.url)
    connect(visitor)
    key = house.agent("claude")
    house.run("set-policy", f"mcp:{NAME}:list_devices", "disabled")
    before = house.listed("tools")
    press(practice, "revoke-me")
    assert not read(house, key)
    page = visitor.go("/settings/integrations")
    expect(page.locator("#forecast")).to_contain_text("Now")
    page.get_by_role("button", name=re.compile("^Reconnect")).first.click()
    signing_in.jump(page)
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(f"**{SERVER}")
    expect(page.locator("#server")).to_contain_text("Connected")
    policies = [(tool["catalogue_name"], tool["policy"]) for tool in before]
    assert [(tool["catalogue_name"], tool["policy"]) for tool in house.listed("tools")] == policies
    assert read(house, key)


def test_refusing_is_answered_with_ways_on(
    house: House, practice: str, visit: Callable[..., Visitor]
) -> None:
    page = offered(visit(house.url))
    page.get_by_role("button", name=re.compile("^Sign in at ")).click()
    signing_in.jump(page)
    page.get_by_role("button", name="Refuse").click()
    ended = page.locator("#ended")
    expect(ended).to_contain_text("without a sign-in")
    expect(ended.get_by_role("link", name="Use a token instead")).to_be_visible()
    assert "error=" not in page.url
    ended.get_by_role("button", name="Try again").click()
    expect(page.locator("#ahead")).to_be_visible()


PAYLOAD = (
    "'\"><script>window.ran=1</script><img src=x onerror='window.ran=1'><a href=javascript:window.ran=1>x</a>"
)


def test_what_comes_back_runs_nowhere_and_stays_in_no_address(
    house: House, practice: str, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(house.url)
    page = offered(visitor)
    page.get_by_role("button", name=re.compile("^Sign in at ")).click()
    for name in ("error", "error_description", "code", "iss", "unknown", "state"):
        signing_in.jump(page)
        page.get_by_role("button", name="Allow").wait_for()
        state = parse_qs(urlsplit(page.url).query)["state"][0]
        answer = {"state": state, "iss": f"{practice}/oauth", "error": "server_error"} | {name: PAYLOAD}
        page.goto(f"{house.url}/oauth/callback?{urlencode(answer)}")
        assert page.url.startswith(f"{house.url}/oauth/") and not urlsplit(page.url).query
        assert page.evaluate("window.ran") is None and not page.locator("a[href^=javascript]").count()
        if name != "state":
            page.get_by_role("button", name="Try again").click()
    expect(page.locator("#main")).to_contain_text("not known here")
    assert visitor.faults == [], "the policy for scripts had nothing to stop"


def test_with_the_keyboard_alone(house: House, practice: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit(house.url)
    visitor.sign_in()
    page = visitor.go("/settings/integrations")
    tab_to(page, "Connect it with OAuth")
    page.get_by_role("link", name="Continue: sign in").wait_for()
    tab_to(page, "Continue: sign in")
    page.wait_for_url("**/setup/sign-in")
    tab_to(page, re.compile("^Sign in at "))
    page.wait_for_url("**/oauth/sign-in/*")
    tab_to(page, re.compile("^Go to "))
    page.get_by_role("button", name="Allow").wait_for()
    tab_to(page, "Allow")
    page.wait_for_url("**/setup/tools")
    tab_to(page, "Finish")
    expect(page.get_by_role("heading", name=re.compile("Done"))).to_be_visible()


def tab_to(page: Page, name: str | re.Pattern[str]) -> None:
    """Tab until the button or link has the focus, then Enter."""
    for _ in range(60):
        page.keyboard.press("Tab")
        words = page.evaluate("document.activeElement.innerText || ''").strip()
        if re.fullmatch(name, words) if isinstance(name, str) else name.search(words):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab never reached {name}")
