"""A person without a browser: reads the forms of sign-in pages, fills them in and presses a button or a link."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx2

MAX_STEPS = 12


@dataclass
class Form(HTMLParser):
    """The form of a page, and its links. Every page here has one form at most."""

    action: str = ""
    hidden: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    buttons: dict[str, dict[str, str]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: tuple[str, dict[str, str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = given.get("action", "")
        elif tag == "input" and given.get("type") == "hidden":
            self.hidden[given["name"]] = given["value"]
        elif tag == "input":
            self.empty.append(given["name"])
        elif tag in ("button", "a"):
            self._open = (tag, given)

    def handle_data(self, data: str) -> None:
        if self._open is None:
            return
        tag, given = self._open
        if tag == "a":
            self.links[data.strip()] = given["href"]
        else:
            self.buttons[data.strip()] = {given["name"]: given["value"]} if "name" in given else {}
        self._open = None


def walk(authorization_url: str, return_address: str, name: str, *pressed: str) -> httpx2.URL:
    """Presses one of `pressed` on each page, until the service sends it to `return_address`."""
    with httpx2.Client(trust_env=False, timeout=60) as http:
        answer = http.get(authorization_url)
        for _ in range(MAX_STEPS):
            if answer.has_redirect_location:
                target = httpx2.URL(urljoin(str(answer.url), answer.headers["location"]))
                if str(target).startswith(return_address):
                    return target
                answer = http.get(target)
            else:
                assert answer.status_code == 200, f"{answer.status_code} {answer.text[:2000]}"
                answer = _press(http, answer, name, pressed)
    raise AssertionError(f"still at {answer.url} after {MAX_STEPS} steps")


def _press(
    http: httpx2.Client, answer: httpx2.Response, name: str, pressed: tuple[str, ...]
) -> httpx2.Response:
    form = Form()
    form.feed(answer.text)
    offered = form.buttons.keys() | form.links.keys()
    choice = next((text for text in pressed if text in offered), "")
    assert choice, f"{pressed} asked for, {offered} there"
    if choice in form.links:
        return http.get(urljoin(str(answer.url), form.links[choice]))
    filled = form.hidden | dict.fromkeys(form.empty, name) | form.buttons[choice]
    return http.post(urljoin(str(answer.url), form.action), data=filled)
