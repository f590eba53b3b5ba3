"""A form that was refused: the summary leads to its field, says the same words, the title says so, nothing is lost."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from tests.routes.visitors import HTMX, Visitor
from webapp.services import agents, integrations
from webapp.services.audit import COMMAND
from webapp.store.models import database

MAIL = {"host": "mail.example.com", "port": "587", "security": "starttls", "user": "", "password": "",
        "sender": "gate@example.com", "recipients": "ann@example.com"}  # fmt: skip
PERSON = {"email": "new@example.com", "name": "New", "role": "viewer", "password": "correct horse battery"}
AGENT = {"name": "Claude", "scope": "all", "tool_search": "auto", "tool_search_above": "60"}
# path, what is sent, the field it is about, what stays typed
FORMS = [
    ("/settings/integrations/new", {"url": "not an address", "name": "halo"}, "url", ["not an address", "halo"]),
    ("/settings/integrations/new", {"url": "mcp.example.com", "name": "No!"}, "name", ["mcp.example.com", "No!"]),
    ("/settings/integrations/desk/setup/address", {"url": "::", "name": "desk"}, "url", ["::"]),
    ("/settings/integrations/desk/title", {"title": " "}, "title", []),
    ("/settings/integrations/desk/disconnect", {"confirm": "another"}, "confirm", []),
    ("/settings/integrations/desk/setup/sign-in", {"kind": "bearer", "token": " "}, "token", []),
    ("/settings/integrations/desk/setup/sign-in", {"kind": "basic", "user": ""}, "user", []),
    ("/settings/agents", AGENT | {"name": ""}, "name", []),
    ("/settings/agents", AGENT | {"tool_search_above": "0"}, "tool_search_above", ["Claude"]),
    ("/settings/agents", AGENT | {"expires": "2001-01-01"}, "expires", ["Claude"]),
    ("/settings/agents/1/expiry", {"expires": "2001-01-01"}, "expires", []),
    ("/settings/people/invites", {"email": "nobody", "role": "viewer"}, "email", ["nobody"]),
    ("/settings/people", PERSON | {"email": "nobody"}, "email", ["nobody", "New"]),
    ("/settings/people", PERSON | {"password": "short"}, "password", ["new@example.com"]),
    ("/settings/people/2/password", {"password": "short"}, "password", []),
    ("/settings/notices/mail", MAIL | {"host": "http://x"}, "host", ["ann@example.com"]),
    ("/settings/notices/mail", MAIL | {"port": "mail"}, "port", ["mail.example.com"]),
    ("/settings/notices/mail", MAIL | {"sender": "x"}, "sender", ["mail.example.com"]),
    ("/settings/notices/mail", MAIL | {"recipients": "x"}, "recipients", ["mail.example.com"]),
    ("/settings/notices/webhook", {"url": "ftp://x"}, "url", []),
    ("/settings/general/retention", {"days": "3"}, "days", []),
    ("/account/password", {"old": "wrong", "password": "a fine long pass phrase"}, "old", []),
]  # fmt: skip


@pytest.fixture
def house(app: Flask) -> Flask:
    with database.connection_context():
        integrations.add_server("https://desk.example.com/mcp", COMMAND, name="desk")
        agents.create("Claude", COMMAND)
    return app


@pytest.mark.parametrize(("path", "form", "field", "kept"), FORMS, ids=lambda value: str(value)[:60])
def test_the_summary_leads_to_the_field(
    house: Flask, path: str, form: dict[str, str], field: str, kept: list[str]
) -> None:
    admin = Visitor.signed_in(house, "admin")
    reply = admin.post(path, **form)
    page = reply.text
    assert reply.status_code == 422, page[-1500:]
    summary = re.search(r'<div class="error-summary" role="alert"[^>]*>.*?</div>', page, re.S)
    assert summary and re.search(r"<title>\s*Error: ", page)
    link = re.search(r'<a href="#([^"]+)">([^<]+)</a>', summary[0])
    assert link and link[1] == field
    assert len(re.findall(rf'<(?:input|select|textarea)[^>]* id="{field}"', page)) == 1
    assert page.count(link[2]) >= 1
    for typed in kept:
        assert typed in page.replace("&#39;", "'"), typed
    assert form.get("password") not in ("short",) or 'value="short"' not in page


def test_htmx_gets_the_same_summary(house: Flask) -> None:
    admin = Visitor.signed_in(house, "admin")
    form = {"url": "not an address", "name": "halo", "csrf_token": admin.token}
    reply = admin.browser.post("/settings/integrations/new", data=form, headers=HTMX)
    assert reply.status_code == 422 and '<a href="#url">' in reply.text and "<html" not in reply.text
