"""Invitations: made under Settings → People, taken up by whoever has the link, once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.house import token_in
from tests.mail_server import MailServer, mail_server
from tests.routes.test_login import attempt
from tests.routes.visitors import HERE, Visitor, text_of
from webapp.errors import Forbidden
from webapp.services import accounts, invites, notices
from webapp.services.audit import COMMAND, Actor
from webapp.services.throttle import Limit
from webapp.store.fields import now
from webapp.store.models import Entry, Invite, Session, User, database

PEOPLE = "/settings/people"
NEW, PASSWORD = "new@example.com", "a fine long pass phrase"
USED_UP = (
    "This invitation can’t be used. It was used already, has run out, or was withdrawn. If you have chosen a password "
    "already, sign in. Else ask whoever invited you for another link."
)


def invited(admin: Visitor, email: str = NEW, role: str = "technician") -> str:
    """The path of the link that is shown."""
    reply = admin.post(f"{PEOPLE}/invites", email=email, role=role)
    assert reply.status_code == 200, text_of(reply.text)
    found = re.search(r'<pre id="invite-link"[^>]*>([^<]+)</pre>', reply.text)
    assert found
    link = unescape(found[1])
    assert link.startswith(f"{HERE}/invite/")
    return link.removeprefix(HERE)


def take_up(browser: FlaskClient, link: str, password: str = PASSWORD, name: str = "") -> TestResponse:
    assert browser.get(link).headers["Location"] == "/invite"
    page = browser.get("/invite")  # where it opens nothing, a form of elsewhere
    form = {
        "name": name,
        "password": password,
        "csrf_token": token_in((page if page.status_code == 200 else browser.get("/login")).text),
    }
    return browser.post("/invite", data=form, headers={"Origin": HERE})


def said(reply: TestResponse) -> str:
    return re.sub("Quote this id .*", "", text_of(reply.text.partition("<main")[2])).partition(">")[2].strip()


def token_of(link: str) -> str:
    return link.rpartition("/")[2]


# --- the way in


def test_whoever_has_the_link_chooses_a_password_and_is_in(
    app: Flask, client: FlaskClient, admin: Visitor
) -> None:
    link = invited(admin)
    assert "Open" in text_of(admin.get(PEOPLE)) and token_of(link) not in admin.get(PEOPLE)
    client.get(link)
    assert "Admin invited new@example.com to this Gatehouse as technician." in text_of(
        client.get("/invite").text
    )
    assert take_up(client, link, name=" Neo ").headers["Location"] == "/"
    assert "Your account is made, and you are signed in." in client.get("/").text
    someone = User.get(User.email == NEW)
    assert (someone.role, someone.name) == ("technician", "Neo")
    assert client.get(PEOPLE).status_code == 403 and client.get_cookie("invite") is None
    assert attempt(app.test_client(), NEW, PASSWORD).status_code == 303
    assert not Invite.select().exists() and "take up" not in admin.get(PEOPLE)
    told = [(one.action, one.actor) for one in Entry.select().where(Entry.action.startswith("user."))]
    assert ("user.invited", "admin@example.com") in told and ("user.joined", NEW) in told
    assert "joined as technician by the invitation of admin@example.com" in text_of(
        admin.get(f"/activity/{Entry.get(Entry.action == 'user.joined').id}")
    )


def test_the_token_is_kept_nowhere(app: Flask, client: FlaskClient, admin: Visitor) -> None:
    link = invited(admin)
    rows = [str(row) for model in (Invite, Entry) for row in model.select().dicts()]
    take_up(client, link)
    rows += [str(row) for model in (Session, Entry) for row in model.select().dicts()]
    assert not any(token_of(link) in row for row in rows)


def test_no_page_stands_at_the_address_with_the_token(app: Flask, admin: Visitor) -> None:
    link = invited(admin)
    for base, name in ((HERE, "invite"), ("https://localhost", "__Host-invite")):
        browser = app.test_client()
        reply = browser.get(link, base_url=base)
        assert (reply.status_code, reply.headers["Location"]) == (303, "/invite")
        assert (
            reply.headers["Referrer-Policy"] == "no-referrer" and reply.headers["Cache-Control"] == "no-store"
        )
        cookie = browser.get_cookie(name)
        assert cookie and cookie.http_only and cookie.same_site == "Lax"
        page = browser.get("/invite", base_url=base)
        assert page.status_code == 200 and token_of(link) not in page.text


def test_looking_at_a_link_uses_nothing_up(app: Flask, client: FlaskClient, admin: Visitor) -> None:
    link = invited(admin)
    for _ in range(3):
        scanner = app.test_client()
        assert scanner.get(link, follow_redirects=True).status_code == 200
        assert scanner.head(link).status_code == 303
    assert take_up(client, link).status_code == 303


@pytest.mark.parametrize(
    ("password", "words"),
    [("short", "12 to 128 characters"), ("password1234", "too easy"), (NEW, "too easy"), ("", "12 to 128")],
)
def test_a_password_that_will_not_do_uses_nothing_up(
    app: Flask, client: FlaskClient, admin: Visitor, password: str, words: str
) -> None:
    link = invited(admin)
    reply = take_up(client, link, password, name="Neo")
    assert reply.status_code == 422 and "Error: Your invitation" in reply.text and 'value="Neo"' in reply.text
    assert words in reply.text.partition('id="password-error"')[2].partition("</p>")[0]
    assert not User.select().where(User.email == NEW).exists()
    assert take_up(client, link).status_code == 303


def test_a_role_that_needs_a_second_step_sets_it_up_first(
    app: Flask, client: FlaskClient, admin: Visitor
) -> None:
    admin.post(f"{PEOPLE}/second-step", role="technician")
    take_up(client, invited(admin))
    assert client.get("/").headers["Location"] == "/account/second-step"


def test_who_is_signed_in_as_somebody_else_is_told_and_signed_out_there(
    app: Flask, admin: Visitor, viewer: Visitor
) -> None:
    link = invited(admin)
    viewer.browser.get(link)
    assert "You are signed in as viewer@example.com. That ends" in text_of(viewer.get("/invite"))
    before = Session.select().where(Session.user == User.get(User.role == "viewer")).count()
    assert take_up(viewer.browser, link).status_code == 303
    assert NEW in viewer.get("/account")
    assert Session.select().where(Session.user == User.get(User.role == "viewer")).count() == before - 1


# --- links that open nothing


def used(app: Flask, admin: Visitor) -> str:
    link = invited(admin)
    take_up(app.test_client(), link)
    return link


def over(app: Flask, admin: Visitor) -> str:
    link = invited(admin)
    Invite.update(expires_at=now() - timedelta(seconds=1)).execute()
    return link


def withdrawn(app: Flask, admin: Visitor) -> str:
    link = invited(admin)
    assert admin.post(f"{PEOPLE}/invites/{Invite.get().id}/withdraw").status_code == 303
    assert Entry.select().where(Entry.action == "user.uninvited").count() == 1
    return link


def replaced(app: Flask, admin: Visitor) -> str:
    link = invited(admin)
    invited(admin, email=NEW.upper(), role="viewer")
    assert Invite.select().count() == 1
    return link


def by_somebody_who_left(app: Flask, admin: Visitor) -> str:
    link = invited(admin)
    other = accounts.create_user("other@example.com", "", PASSWORD, "admin", COMMAND)
    accounts.set_disabled(
        User.get(User.email == "admin@example.com"), True, Actor("user", "o", other.id, "admin")
    )
    return link


def by_somebody_who_is_no_admin_any_more(app: Flask, admin: Visitor) -> str:
    link = invited(admin)
    accounts.create_user("other@example.com", "", PASSWORD, "admin", COMMAND)
    accounts.set_role(User.get(User.email == "admin@example.com"), "technician", COMMAND)
    return link


def of_somebody_who_is_here(app: Flask, admin: Visitor) -> str:
    link = invited(admin)
    accounts.create_user(NEW, "", PASSWORD, "viewer", COMMAND)
    return link


def guessed(app: Flask, admin: Visitor) -> str:
    return "/invite/" + "x" * 43


@pytest.mark.parametrize(
    "made",
    [used, over, withdrawn, replaced, by_somebody_who_left, by_somebody_who_is_no_admin_any_more,
     of_somebody_who_is_here, guessed],
)  # fmt: skip
def test_a_link_that_opens_nothing_never_says_why(
    app: Flask, admin: Visitor, made: Callable[[Flask, Visitor], str]
) -> None:
    link = made(app, admin)
    people = User.select().count()
    stranger = app.test_client()
    first = stranger.get(link)
    assert (first.status_code, first.headers["Location"]) == (303, "/invite")
    for reply in (stranger.get("/invite"), take_up(stranger, link)):
        assert reply.status_code == 404 and said(reply) == f"{USED_UP} Sign in", said(reply)
        assert NEW not in reply.text and 'href="/login"' in reply.text
    assert User.select().count() == people and stranger.get("/").status_code == 303


@pytest.mark.parametrize("token", ["", "x" * 3000, "%00", "é", "%F0%9F%98%80", "..", "%ff"])
def test_odd_tokens_open_nothing(app: Flask, client: FlaskClient, admin: Visitor, token: str) -> None:
    invited(admin)
    reply = client.get(f"/invite/{token}", follow_redirects=True)
    assert reply.status_code == 404
    assert all(len(cookie) < 300 for one in reply.history for cookie in one.headers.getlist("Set-Cookie"))


def test_pressed_twice_and_by_two_workers_at_once_it_makes_one_account(app: Flask, admin: Visitor) -> None:
    token, start = token_of(invited(admin)), threading.Barrier(4)

    def accept(password: str) -> str:
        with database.connection_context():
            start.wait(60)
            try:
                return invites.accept(token, "", password, "127.0.0.1", "", Limit(100, 60)).token
            except invites.NoInvitation as refusal:
                return refusal.what

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(accept, [f"{PASSWORD} {number}" for number in range(4)]))
    assert sum("can’t be used" in one for one in answers) == 3, answers
    assert User.select().where(User.email == NEW).count() == 1
    assert Session.select().join(User).where(User.email == NEW).count() == 1
    assert Entry.select().where(Entry.action == "user.joined").count() == 1


def test_guesses_are_counted_and_a_good_link_is_none(app: Flask, client: FlaskClient, admin: Visitor) -> None:
    link = invited(admin)
    for number in range(10):
        assert client.get(f"/invite/guess{number}", follow_redirects=True).status_code == 404
        assert app.test_client().get(link, follow_redirects=True).status_code == 200
    assert client.get("/invite").status_code == 429
    assert app.test_client().get(link, follow_redirects=True).status_code == 200


def test_a_form_without_its_token_makes_nothing(app: Flask, client: FlaskClient, admin: Visitor) -> None:
    client.get(invited(admin))
    reply = client.post("/invite", data={"password": PASSWORD}, headers={"Origin": HERE})
    assert reply.status_code == 400 and Invite.select().count() == 1


# --- inviting


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"email": "new"}, "This is not an e-mail address."),
        ({"email": "viewer@example.com"}, "viewer@example.com has an account already."),
        ({"role": "owner"}, "A role is viewer, technician or admin."),
        ({"role": ""}, "A role is viewer, technician or admin."),
    ],
)
def test_what_can_not_be_invited_is_said(admin: Visitor, form: dict[str, str], words: str) -> None:
    reply = admin.post(f"{PEOPLE}/invites", **{"email": NEW, "role": "viewer"} | form)
    assert reply.status_code == 422 and words in text_of(reply.text) and "Error: People" in reply.text
    assert not Invite.select().exists()


def test_where_passwords_are_for_admins_only_they_are_invited(
    app: Flask, client: FlaskClient, admin: Visitor
) -> None:
    before = invited(admin)
    app.extensions["gatehouse"] = replace(app.extensions["gatehouse"], password_sign_in="admins")
    reply = admin.post(f"{PEOPLE}/invites", email="other@example.com", role="viewer")
    assert reply.status_code == 422 and "they get in there without an invitation" in text_of(reply.text)
    assert take_up(client, before).status_code == 404 and "can’t be used" in client.get("/invite").text
    assert take_up(client, invited(admin, "chief@example.com", "admin")).status_code == 303


def test_a_closed_account_is_opened_again_and_not_invited(admin: Visitor) -> None:
    accounts.set_disabled(User.get(User.role == "viewer"), True, COMMAND)
    reply = admin.post(f"{PEOPLE}/invites", email="viewer@example.com", role="viewer")
    assert reply.status_code == 422 and "It is closed: open it again" in text_of(reply.text)


def test_only_admins_invite_and_withdraw(app: Flask, admin: Visitor) -> None:
    tom = Actor("user", "tom", 1, "technician")
    with pytest.raises(Forbidden):
        invites.invite(NEW, "viewer", tom)
    invited(admin)
    with pytest.raises(Forbidden):
        invites.withdraw(Invite.get().id, tom)


def test_an_admin_can_not_flood_the_world(app: Flask, admin: Visitor) -> None:
    for number in range(30):
        invites.invite(f"p{number}@example.com", "viewer", Actor("user", "a", 1, "admin"))
    reply = admin.post(f"{PEOPLE}/invites", email=NEW, role="viewer")
    assert User.get(User.email == "admin@example.com").id == 1 and reply.status_code == 429


def test_what_nobody_took_up_is_shown_for_a_while(app: Flask, admin: Visitor) -> None:
    over(app, admin)
    page = text_of(admin.get(PEOPLE))
    assert "Over Invite again for a new link." in page
    Invite.update(expires_at=now() - invites.KEPT - timedelta(hours=1)).execute()
    invited(admin, email="other@example.com")
    assert [one.email for one in invites.listed()] == ["other@example.com"]


def test_withdrawing_twice_says_that_it_is_gone(admin: Visitor) -> None:
    invited(admin)
    address = f"{PEOPLE}/invites/{Invite.get().id}/withdraw"
    assert admin.post(address).status_code == 303
    assert admin.post(address).status_code == 404


# --- by mail


@pytest.fixture
def post_office(app: Flask) -> Iterator[MailServer]:
    with mail_server() as server:
        typed = notices.Mail(
            "127.0.0.1", str(server.port), "none", "", "", "gate@example.com", "ann@example.com", True
        )
        notices.save_mail(typed, COMMAND)
        yield server


def test_with_a_mail_server_the_link_is_mailed_to_them_alone(admin: Visitor, post_office: MailServer) -> None:
    reply = admin.post(f"{PEOPLE}/invites", email=NEW, role="viewer")
    assert "It was also sent to new@example.com by mail." in text_of(reply.text)
    (mail,) = post_office.messages
    assert mail["To"] == NEW and mail["From"] == "gate@example.com"
    link = re.search(r'<pre id="invite-link"[^>]*>([^<]+)</pre>', reply.text)
    assert link and link[1] in mail.get_content().splitlines()


def test_a_mail_that_does_not_go_out_leaves_the_link(
    client: FlaskClient, admin: Visitor, post_office: MailServer
) -> None:
    post_office.refuses["RCPT"] = "550 unknown"
    reply = admin.post(f"{PEOPLE}/invites", email=NEW, role="viewer")
    assert "It could not be mailed: The mail server 127.0.0.1 takes no mail for these" in text_of(reply.text)
    assert take_up(client, invited(admin)).status_code == 303


def test_switched_off_notices_mail_nothing(admin: Visitor, post_office: MailServer) -> None:
    notices.switch("mail", False, COMMAND)
    invited(admin)
    assert post_office.messages == []


def test_an_address_that_no_mail_can_carry_gets_none(admin: Visitor, post_office: MailServer) -> None:
    reply = admin.post(f"{PEOPLE}/invites", email="a,b@example.com", role="viewer")
    assert "It could not be mailed: “a,b@example.com” is no mail address." in text_of(reply.text)
    assert post_office.messages == []
