"""A person at a browser: signs in, looks, and notices every error a page makes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Response, expect

from tests.browser import chromium
from tests.house import PASSWORD

TIMEOUT_MS = 30_000  # the machine may have other things to do
WCAG = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
# All that can differ between light and dark: nothing of it moves or has another text there.
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
# What else axe has seen is not even gathered: it is a hundred times as much.
AXE = """async (rules) => {
  const { violations } = await axe.run({ runOnly: rules, resultTypes: ["violations"] });
  return violations.flatMap((rule) => rule.nodes.map(
    (node) => `${rule.id}: ${node.target} ${node.failureSummary.slice(0, 200)}`
  ));
}"""
SPACED_OUT = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: 0.12em !important;
    word-spacing: 0.16em !important; } p { margin-bottom: 2em !important; }`);
  document.adoptedStyleSheets = [sheet];
}"""
# Text that its box cuts off without a way to scroll to it. A line that ends in an ellipsis says that there is more.
CUT_OFF = """() => [...document.querySelectorAll("body *")]
  .filter((one) => {
    const style = getComputedStyle(one);
    const cuts = /hidden|clip/.test(style.overflowX + style.overflowY) && style.textOverflow !== "ellipsis";
    const over = one.scrollHeight > one.clientHeight + 2 || one.scrollWidth > one.clientWidth + 2;
    return cuts && over && one.clientHeight > 1 && one.clientWidth > 1 && one.innerText?.trim();
  })
  .map((one) => `cut off when spaced out: ${one.outerHTML.slice(0, 100)}`)"""
expect.set_options(timeout=TIMEOUT_MS)
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 320, "height": 720}},
}


@dataclass
class Visitor:
    """`faults` gathers console errors, page errors, CSP reports and answers of 400 and above."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.faults.append(f"{response.status} {response.request.method} {response.url}")
        if response.url.endswith("/csp-report"):
            self.faults.append("CSP report")

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self, email: str = "ann@example.com") -> Page:
        page = self.go("/login")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(self.url + "/")
        return page

    def violations(self, rules: dict[str, Any] = WCAG) -> list[str]:
        """What axe finds against WCAG 2.2 AA, a line each."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        found: list[str] = self.page.evaluate(AXE, rules)
        return found

    def violations_in_the_dark(self) -> list[str]:
        self.page.emulate_media(color_scheme="dark")
        found = [f"dark: {line}" for line in self.violations(COLOURS)]
        self.page.emulate_media(color_scheme="light")
        return found

    def lost_when_spaced_out(self) -> list[str]:
        """What no longer fits when a reader spaces the text as WCAG 1.4.12 lets them."""
        self.page.evaluate(SPACED_OUT)
        cut: list[str] = self.page.evaluate(CUT_OFF)
        return [*cut, *(["scrolls sideways when spaced out"] if self.scrolls_sideways() else [])]

    def faults_in_sight(self) -> list[str]:
        """In light, and in a wide window also in dark."""
        sideways = ["scrolls sideways"] if self.scrolls_sideways() else []
        size = self.page.viewport_size
        dark = self.violations_in_the_dark() if size == LOOKS["dark"]["viewport"] else []
        return [*self.violations(), *dark, *sideways]

    def faults_of_page(self) -> list[str]:
        """Nothing may come after it: the last look spaces the text out."""
        return [*self.faults_in_sight(), *self.lost_when_spaced_out()]

    def scrolls_sideways(self) -> bool:
        wide: Any = self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return bool(wide)


@contextlib.contextmanager
def visiting(browser: Browser, url: str, look: str = "light", **options: Any) -> Iterator[Visitor]:
    context = browser.new_context(**LOOKS[look] | {"reduced_motion": "reduce"} | options)  # type: ignore[arg-type]
    context.set_default_timeout(TIMEOUT_MS)
    try:
        yield Visitor(context.new_page(), url)
    finally:
        context.close()


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium.get(), args=chromium.FLAGS)
