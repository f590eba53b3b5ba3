"""“Is it still you?” before keys, people, backups and exceptions: asked once, then what was asked for is done."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.house import PASSWORD
from tests.routes.test_second_step import code_of, turned_on
from tests.routes.visitors import Visitor, text_of
from webapp.services import agents, integrations
from webapp.services.audit import COMMAND
from webapp.store.fields import now
from webapp.store.models import Agent, Authenticator, Entry, Session, User

ASKED = "Confirm that it is you"


def make_old(minutes: int = 61) -> None:
    then = now() - timedelta(minutes=minutes)
    Session.update(created_at=then, confirmed_at=None).execute()


def person() -> User:
    user: User = User.get(User.role == "viewer")
    return user


def answer(visitor: Visitor, page: TestResponse, proof: str = PASSWORD) -> TestResponse:
    """As a browser without JavaScript sends the form that was shown."""
    forms = re.finditer(r'<form method="post" action="([^"]+)">(.*?)</form>', page.text, re.DOTALL)
    form = next((one for one in forms if "Go on" in one.group(2)), None)
    assert form, text_of(page.text)
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form.group(2))
    fields: dict[str, list[str]] = {}
    for name, value in hidden:
        fields.setdefault(unescape(name), []).append(unescape(value))
    return visitor.post(unescape(form.group(1)), **fields | {"confirm-proof": proof})


def asks(reply: TestResponse) -> bool:
    return ASKED in reply.text or "/confirm" in reply.headers.get("Location", "")


GUARDED = [
    ("/settings/agents", {"name": "Night", "scope": "all"}),
    ("/settings/agents/1/key", {}),
    ("/settings/people", {"email": "new@example.com", "password": "a fine pass phrase", "role": "viewer"}),
    ("/settings/people/invites", {"email": "new@example.com", "role": "admin"}),
    ("/settings/people/invites/1/withdraw", {}),
    ("/settings/people/{person}/role", {"role": "technician"}),
    ("/settings/people/{person}/leave", {"heir": "1", "seen": "x"}),
    ("/settings/people/{person}/state", {"state": "disabled"}),
    ("/settings/people/{person}/password", {"password": "another fine phrase"}),
    ("/settings/people/{person}/sessions/end", {}),
    ("/settings/people/{person}/second-step/reset", {}),
    ("/settings/people/second-step", {"role": "admin"}),
    ("/settings/people/{person}/link", {"provider": "oidc", "subject": "x"}),
    ("/account/link/oidc", {}),
    ("/settings/general/backup", {}),
    ("/settings/general/backups/gatehouse-20261127T020000Z.db", {}),
    ("/settings/general/key", {}),
    ("/settings/general/inventory", {"text": "gatehouse: 1", "seen": "x"}),
    ("/settings/notices/mail", {"host": "mail.example.com", "password": "a fine pass phrase"}),
    ("/settings/notices/webhook", {"url": "https://chat.example.com/another fine phrase"}),
    ("/settings/integrations/desk/setup/check/allow", {"place": "x"}),
    ("/account/second-step", {}),
]


@pytest.mark.parametrize(("path", "form"), GUARDED)
def test_nothing_happens_before_they_have_shown_who_they_are(
    app: Flask, admin: Visitor, path: str, form: dict[str, str]
) -> None:
    agents.create("Claude", COMMAND)
    integrations.add_server("https://desk.example.com/mcp", COMMAND, name="desk")
    make_old()
    before = Entry.select().count(), Agent.get().key_hash
    reply = admin.post(path.format(person=person().id), **form)
    assert asks(reply) and (Entry.select().count(), Agent.get().key_hash) == before
    assert not Authenticator.select().exists()
    for secret in ("a fine pass phrase", "another fine phrase"):
        assert secret not in reply.text


@pytest.mark.parametrize(
    "path", ["/settings/people", "/settings/people/new", "/settings/people/{person}", "/settings/notices"]
)
def test_pages_that_take_passwords_ask_before_they_are_shown(app: Flask, admin: Visitor, path: str) -> None:
    make_old()
    path = path.format(person=person().id)
    page = admin.browser.get(path)
    assert page.headers["Location"] == f"/confirm?next={path}"
    reply = answer(admin, admin.browser.get(page.headers["Location"]))
    assert reply.headers["Location"] == path
    assert admin.get(path)


def test_after_that_exactly_what_was_asked_for_is_done(app: Flask, admin: Visitor) -> None:
    for name in ("desk", "mail", "docs"):
        integrations.add_server(f"https://{name}.example.com/mcp", COMMAND, name=name)
    make_old()
    tricky = 'Night "runner" <b> & ü'
    page = admin.post("/settings/agents", name=tricky, scope="chosen", integration=["desk", "docs"])
    assert not Agent.select().exists()
    made = answer(admin, page)
    assert "shown this once" in made.text
    agent = Agent.get()
    assert agent.name == tricky
    assert {one.name for one in agents.limits_of([agent])[agent.id]} == {"desk", "docs"}
    assert not asks(admin.post("/settings/general/backup"))


def test_a_wrong_password_asks_again_and_keeps_what_was_asked_for(app: Flask, admin: Visitor) -> None:
    make_old()
    page = admin.post("/settings/agents", name="Night", scope="all")
    assert "a code from your app" not in page.text
    again = answer(admin, page, "wrong")
    assert again.status_code == 422 and "wrong" not in again.text and not Agent.select().exists()
    assert Entry.select().where(Entry.action == "session.not_confirmed").count() == 1
    assert "shown this once" in answer(admin, again).text


def test_tries_are_counted(app: Flask, admin: Visitor) -> None:
    make_old()
    page = admin.post("/settings/general/backup")
    for wrong in range(10):
        assert answer(admin, page, f"wrong {wrong}").status_code == 422
    assert answer(admin, page).status_code == 429


def test_a_code_of_the_second_step_will_do_and_only_once(app: Flask, admin: Visitor) -> None:
    secret, _ = turned_on(admin)
    make_old()
    code = code_of(secret)
    page = admin.post("/settings/general/backup")
    assert "Your password, or a code from your app" in page.text
    assert not asks(answer(admin, page, code))
    make_old()
    assert answer(admin, admin.post("/settings/general/backup"), code).status_code == 422


def test_it_counts_for_this_browser_alone(app: Flask, admin: Visitor) -> None:
    other = Visitor.signed_in(app, "admin")
    make_old()
    answer(admin, admin.post("/settings/general/backup"))
    assert asks(other.post("/settings/general/backup"))


def test_who_signed_in_within_the_hour_is_not_asked(app: Flask, admin: Visitor) -> None:
    make_old(59)
    assert not asks(admin.post("/settings/general/backup"))


def test_a_form_without_its_token_confirms_nothing(app: Flask, admin: Visitor) -> None:
    make_old()
    reply = admin.post("/settings/general/backup", csrf_token="x", **{"confirm-proof": PASSWORD})
    assert reply.status_code == 400
    assert asks(admin.post("/settings/general/backup"))


@pytest.mark.parametrize("target", ["//evil.test", "https://evil.test/", "/\\evil.test"])
def test_it_leads_to_no_other_site(app: Flask, admin: Visitor, target: str) -> None:
    reply = admin.post("/confirm", next=target, **{"confirm-proof": PASSWORD})
    assert reply.headers["Location"] == "/"


def test_htmx_gets_the_question_as_the_page(app: Flask, admin: Visitor) -> None:
    integrations.add_server("https://desk.example.com/mcp", COMMAND, name="desk")
    make_old()
    reply = admin.post("/settings/integrations/desk/setup/check/allow", htmx=True, place="x")
    assert ASKED in reply.text and reply.headers["HX-Retarget"] == "#main" == reply.headers["HX-Reselect"]
    assert answer(admin, reply).status_code == 409  # the view itself: the check offers no such place
