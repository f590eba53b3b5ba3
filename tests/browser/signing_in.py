"""How a person connects a server that wants OAuth, on Gatehouse's own pages."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.visitor import Visitor

OWN_NETWORK = "This is a server in my own network"


def check(visitor: Visitor, address: str, name: str) -> Page:
    """From the Integrations page to a check that found how to sign in, allowing what lies in the own network."""
    page = visitor.go("/settings/integrations")
    page.get_by_role("link", name="Add MCP Server").click()
    page.get_by_label("Server URL").fill(address)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Check this address").click()
    onward = page.get_by_role("link", name="Continue: sign in")
    own = page.get_by_role("button", name=OWN_NETWORK)
    for _ in range(3):
        expect(onward.or_(own).first).to_be_visible()
        if not own.is_visible():  # there may be a way on while the sign-in service is still to be allowed
            break
        offered = page.locator("#own-network [name=place]").get_attribute("value")
        own.click()
        expect(page.locator(f'#own-network [name=place][value="{offered}"]')).to_have_count(0)
    return page


def to_the_jump(page: Page) -> None:
    """From the check, or from a server's page, to the page that says where one is about to go."""
    page.get_by_role("link", name="Continue: sign in").click()
    page.get_by_role("button", name=re.compile(r"^Sign in at ")).click()
    page.wait_for_url("**/oauth/sign-in/*")


def jump(page: Page) -> None:
    page.get_by_role("link", name=re.compile("^Go to ")).click()


def connect(visitor: Visitor, address: str, name: str, allow: Callable[[Page], None]) -> Page:
    """The whole way to the last step. `allow` is what the person does on the sign-in service's pages."""
    page = check(visitor, address, name)
    to_the_jump(page)
    jump(page)
    allow(page)
    finish(page, name)
    return page


def finish(page: Page, name: str) -> None:
    page.wait_for_url(f"**/settings/integrations/{name}/setup/tools")
    assert "?" not in page.url
    page.get_by_role("button", name="Finish").click()
    expect(page.get_by_role("heading", name=re.compile("Done"))).to_be_visible()
