"""An admin at the pages of the real program, over HTTP only: adds servers, signs in to them, keeps what was seen."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.authority import Service
from tests.house import PASSWORD, House, token_in
from tests.routes.visitors import text_of

SETTINGS = "/settings/integrations"
LONGEST_CHECK = 120.0
TLS = ssl.create_default_context()  # never used here, and slow to make for each request


@dataclass(frozen=True)
class Answer:
    """One answer of the program, as it came over the wire."""

    asked: str
    status: int
    location: str
    whole: str = field(repr=False)  # headers and body
    text: str = field(repr=False)  # what a reader sees, roughly


@dataclass
class Admin:
    """A browser without JavaScript that follows no redirect by itself. Threads may share it."""

    url: str
    cookies: dict[str, str]
    seen: list[Answer] = field(default_factory=list, repr=False)
    csrf: str = ""

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def post(self, path: str, **form: str) -> Answer:
        return self._ask("POST", path, {"csrf_token": self.csrf} | form)

    def _ask(self, method: str, path: str, form: dict[str, str] | None = None) -> Answer:
        """A connection of its own for every request: any worker may get it."""
        address = path if path.startswith("http") else self.url + path
        headers = {"Origin": self.url, "Connection": "close"}
        options: Any = {"timeout": 90, "trust_env": False, "verify": TLS}
        with httpx2.Client(cookies=self.cookies, headers=headers, **options) as http:
            reply = http.request(method, address, data=form)
        answer = Answer(
            path, reply.status_code, reply.headers.get("location", ""), f"{reply.headers.raw}\n{reply.text}",
            text_of(reply.text),
        )  # fmt: skip
        self.seen.append(answer)
        assert reply.status_code != 500, answer.text
        return answer

    # A server, from its address to the page before the jump

    def add(self, service: Service, name: str) -> None:
        """Checked and allowed to be here; not signed in to."""
        added = self.post(f"{SETTINGS}/new", url=service.mcp_url, name=name)
        assert added.status == 303, added.text
        place = re.search(r'name="place" value="([^"]+)"', self.checked(name).whole)
        assert place, self.seen[-1].text
        self.post(f"{SETTINGS}/{name}/setup/check/allow", place=unescape(place.group(1)))
        assert "Continue: sign in" in self.checked(name).text, self.seen[-1].text

    def checked(self, name: str) -> Answer:
        end = time.monotonic() + LONGEST_CHECK
        while "hx-trigger" in (page := self.get(f"{SETTINGS}/{name}/setup/check/findings")).whole:
            assert time.monotonic() < end, page.text
            threading.Event().wait(0.05)
        return page

    def begin(self, name: str, **form: str) -> str:
        """The page before the jump."""
        begun = self.post(f"{SETTINGS}/{name}/setup/sign-in/oauth", **form)
        assert begun.status == 303, begun.text
        assert self.get(begun.location).status == 200
        return begun.location

    def jump(self, page: str) -> str:
        """The address of the sign-in service's page."""
        gone = self.get(f"{page}/go")
        assert gone.status == 303, gone.text
        return gone.location

    def back(self, callback: str) -> Answer:
        assert callback.startswith(self.url + "/oauth/callback?")
        answer = self.get(callback)
        assert answer.status == 303 and not urlsplit(answer.location).query
        return answer

    def sign_in(self, service: Service, name: str, **form: str) -> Answer:
        return self.back(service.walk(self.jump(self.begin(name, **form))))


@contextmanager
def admin_of(house: House, email: str = "ann@example.com") -> Iterator[Admin]:
    with house.browser(email) as http:
        csrf = token_in(http.get(f"{SETTINGS}/new").text)
        yield Admin(house.url, dict(http.cookies), csrf=csrf)


def furnish(house: House, *emails: str) -> None:
    for email in emails or ("ann@example.com",):
        house.run("create-user", email, "--role", "admin", stdin=PASSWORD + "\n")
