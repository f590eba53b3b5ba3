"""What a person does on the pages of the strangers, in a browser that Playwright drives."""

from __future__ import annotations

import re
from typing import Protocol

from playwright.sync_api import BrowserContext, Page

AWAY = re.compile(r"^https?://(?!127\.0\.0\.1[:/])")


class SignInPage(Protocol):
    """`allow` and `refuse` begin on the page's first screen and end with the jump back to the return address."""

    def allow(self, page: Page, name: str) -> None: ...

    def refuse(self, page: Page) -> None: ...


class Consent:
    """The one page of the servers that use an SDK's own sign-in."""

    def allow(self, page: Page, name: str) -> None:
        page.get_by_label("Your name").fill(name)
        page.get_by_role("button", name="Allow").click()

    def refuse(self, page: Page) -> None:
        page.get_by_role("button", name="Refuse").click()


class Oidc:
    """oidc-provider's pages: a login, unless the browser has signed in there before, then a consent.

    The consent comes where something is new or where it was asked for with `prompt=consent`, which goes with
    `offline_access`.
    """

    def allow(self, page: Page, name: str) -> None:
        login = page.get_by_placeholder("Enter any login")
        consent = page.get_by_role("button", name="Continue")
        login.or_(consent).wait_for()
        if login.is_visible():
            login.fill(name)
            page.get_by_placeholder("and password").fill("any will do")
            page.get_by_role("button", name="Sign-in").click()
        consent.click()

    def refuse(self, page: Page) -> None:
        page.get_by_role("link", name="[ Cancel ]").click()


CONSENT = Consent()
OIDC = Oidc()


def stay_here(context: BrowserContext) -> None:
    """oidc-provider's pages ask the web for a font: nothing leaves this machine."""
    context.route(AWAY, lambda route: route.abort())
