"""People in front of the pages: a signed-in browser of each role, with and without htmx."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import Config
from tests.house import PASSWORD, token_in
from webapp import create_app
from webapp.services import accounts, passwords
from webapp.services.audit import COMMAND
from webapp.store.models import database

HTMX = {"HX-Request": "true"}
HERE = "http://localhost"
ROLES = ("admin", "technician", "viewer")


def opened(data: Path, **settings: Any) -> Flask:
    return create_app(Config(data=data, **settings))


@functools.cache
def furnished_under(folder: Path) -> Path:
    """A data folder with a person of each role, for copies. Their passwords are checked quickly: how costly a password
    is to check stands beside its hash."""
    data = folder / "furnished"
    create_app(Config(data=data))
    with (
        database.connection_context(),
        patch.object(passwords, "ITERATIONS", 1),
        patch.object(passwords, "MEMORY_KIB", 8),
    ):
        for role in ROLES:
            accounts.create_user(f"{role}@example.com", role.title(), PASSWORD, role, COMMAND)
    return data


@dataclass
class Visitor:
    browser: FlaskClient
    token: str

    @classmethod
    def signed_in(cls, app: Flask, role: str = "admin") -> Visitor:
        browser = app.test_client()
        token = token_in(browser.get("/login").text)
        credentials = {"email": f"{role}@example.com", "password": PASSWORD, "csrf_token": token}
        assert browser.post("/login", data=credentials).status_code == 303
        return cls(browser, token_in(browser.get("/settings/integrations").text))

    def get(self, path: str, status: int = 200) -> str:
        reply = self.browser.get(path)
        assert reply.status_code == status, (path, reply.status_code, reply.text[-2000:])
        return reply.text

    def post(self, path: str, *, htmx: bool = False, referrer: str = "", **form: Any) -> TestResponse:
        """As a browser sends a form: with the page's token, and from where."""
        headers = {"Origin": HERE} | (HTMX if htmx else {})
        if referrer:
            headers["Referer"] = HERE + referrer
        return self.browser.post(path, data={"csrf_token": self.token} | form, headers=headers)


def text_of(html: str) -> str:
    """What a reader sees, roughly: no tags, no runs of space."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html.replace("<wbr>", ""))).split())


def plain(html: str) -> str:
    """Without the tokens of the forms, which differ from answer to answer."""
    return re.sub(r'name="csrf_token" value="[^"]*"', "", html)
