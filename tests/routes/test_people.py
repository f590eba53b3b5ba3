"""Settings → People: adding them, their roles and passwords, and that nobody can lock everybody out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from tests.house import PASSWORD
from tests.routes.test_login import attempt
from tests.routes.visitors import Visitor, text_of
from webapp.errors import Stale
from webapp.services import accounts
from webapp.services.audit import COMMAND
from webapp.store.models import Entry, Session, User

PEOPLE = "/settings/people"
NEW = {"email": "new@example.com", "name": "New", "role": "viewer", "password": "a fine long pass phrase"}


def person(role: str) -> User:
    return User.get(User.role == role)


def page_of(user: User) -> str:
    return f"{PEOPLE}/{user.id}"


def actions() -> list[str]:
    return [
        entry.action for entry in Entry.select().where(Entry.actor == "admin@example.com").order_by(Entry.id)
    ]


# --- adding


def test_an_added_person_can_sign_in(app: Flask, admin: Visitor) -> None:
    assert admin.post(PEOPLE, **NEW).headers["Location"] == PEOPLE
    page = admin.get(PEOPLE)
    assert "new@example.com can sign in now." in page and NEW["password"] not in page
    assert attempt(app.test_client(), NEW["email"], NEW["password"]).status_code == 303
    assert actions()[-1] == "user.added"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"password": "short"}, "password", "12 to 128 characters"),
        ({"password": "password1234"}, "password", "too easy to guess"),
        ({"password": "new@example.com"}, "password", "too easy to guess"),
        ({"password": ""}, "password", "12 to 128 characters"),
        ({"email": "new"}, "email", "not an e-mail address"),
        ({"email": "a b@example.com"}, "email", "not an e-mail address"),
        ({"email": "new@example.com\u202e"}, "email", "not an e-mail address"),
        ({"email": "VIEWER@example.com"}, "email", "has an account already"),
        ({"email": "x" * 100 + "@example.com"}, "email", "not an e-mail address"),
    ],
)
def test_what_cannot_be_used_is_said_beside_its_field(
    admin: Visitor, change: dict[str, str], field: str, words: str
) -> None:
    reply = admin.post(PEOPLE, **NEW | change)
    assert reply.status_code == 422
    beside = reply.text.partition(f'id="{field}-error"')[2].partition("</p>")[0]
    assert words in beside
    assert 'aria-invalid="true"' in reply.text and "Error: Add a person" in reply.text
    assert (NEW | change)["password"] not in text_of(reply.text) or not change.get("password")
    assert User.select().count() == 3


@pytest.mark.parametrize("role", ["", "owner", "Admin", "admin "])
def test_only_the_three_roles_can_be_given(admin: Visitor, role: str) -> None:
    assert admin.post(PEOPLE, **NEW | {"role": role}).status_code == 422
    assert admin.post(f"{page_of(person('viewer'))}/role", role=role).status_code == 422
    assert User.select().count() == 3 and person("viewer")


def test_names_are_shown_as_text(admin: Visitor) -> None:
    admin.post(PEOPLE, **NEW | {"name": "<img src=x onerror=alert(1)>", "email": "<b>@example.com"})
    for page in (admin.get(PEOPLE), admin.get(page_of(User.get(User.email == "<b>@example.com")))):
        assert "<img src=x" not in page and "<b>@" not in page and "&lt;b&gt;@example.com" in page


# --- changing


def test_a_new_role_holds_from_the_next_sign_in(app: Flask, admin: Visitor) -> None:
    someone = person("viewer")
    before = Visitor.signed_in(app, "viewer")
    assert admin.post(f"{page_of(someone)}/role", role="admin").status_code == 303
    assert before.browser.get("/account").status_code == 303
    assert "People" in Visitor.signed_in(app, "viewer").get(PEOPLE)
    assert actions()[-1] == "user.role"


def test_a_reset_password_replaces_the_old_one(app: Flask, admin: Visitor) -> None:
    someone = person("viewer")
    bad = admin.post(f"{page_of(someone)}/password", password="short")
    assert bad.status_code == 422 and 'id="error-summary"' in bad.text
    assert admin.post(f"{page_of(someone)}/password", password=NEW["password"]).status_code == 303
    assert attempt(app.test_client(), someone.email, PASSWORD).status_code == 401
    assert attempt(app.test_client(), someone.email, NEW["password"]).status_code == 303


@pytest.mark.parametrize("state", ["", "toggle", "Disabled", "enabled"])
def test_a_state_that_is_none_changes_nothing(admin: Visitor, state: str) -> None:
    someone = person("viewer")
    accounts.set_disabled(someone, True, COMMAND)
    assert admin.post(f"{page_of(someone)}/state", state=state).status_code == 422
    assert accounts.get_user(someone.id).disabled_at


@pytest.mark.parametrize("what", ["", "/role", "/state", "/password", "/sessions/end"])
@pytest.mark.parametrize("user_id", ["0", "999", "99999999999999999999999", "-1", "x"])
def test_a_person_who_is_not_there_is_not_found(admin: Visitor, user_id: str, what: str) -> None:
    path = f"{PEOPLE}/{user_id}{what}"
    form = {"role": "viewer", "state": "disabled", "password": NEW["password"]}
    reply = admin.post(path, **form) if what else admin.browser.get(path)
    assert reply.status_code == 404


# --- nobody locks everybody out


def test_the_last_admin_can_be_neither_demoted_nor_disabled(admin: Visitor) -> None:
    me = person("admin")
    for what, form in (
        ("role", {"role": "technician"}),
        ("role", {"role": "viewer"}),
        ("state", {"state": "disabled"}),
    ):
        reply = admin.post(f"{page_of(me)}/{what}", **form)
        assert reply.status_code == 409
        assert (
            "admin@example.com is the only admin left." in reply.text
            and "somebody else an admin" in reply.text
        )
    assert admin.get("/account") and accounts.get_user(me.id).role == "admin"


def test_a_disabled_admin_does_not_count(admin: Visitor) -> None:
    admin.post(PEOPLE, **NEW | {"role": "admin"})
    other = User.get(User.email == NEW["email"])
    admin.post(f"{page_of(other)}/state", state="disabled")
    assert admin.post(f"{page_of(person('admin'))}/state", state="disabled").status_code == 409


def test_a_disabled_admin_may_be_demoted(admin: Visitor) -> None:
    admin.post(PEOPLE, **NEW | {"role": "admin"})
    other = User.get(User.email == NEW["email"])
    admin.post(f"{page_of(other)}/state", state="disabled")
    assert admin.post(f"{page_of(other)}/role", role="viewer").status_code == 303


def test_with_another_admin_one_may_leave(app: Flask, admin: Visitor) -> None:
    admin.post(PEOPLE, **NEW | {"role": "admin"})
    assert admin.post(f"{page_of(person('admin'))}/role", role="viewer").status_code == 303
    assert admin.browser.get(PEOPLE).headers["Location"].startswith("/login")


def test_two_admins_who_demote_each_other_leave_one(app: Flask, admin: Visitor) -> None:
    admin.post(PEOPLE, **NEW | {"role": "admin"})
    ids = [user.id for user in User.active_admins()]
    start = threading.Barrier(2)

    def demote(user_id: int) -> str:
        user = accounts.get_user(user_id)
        start.wait(60)
        try:
            accounts.set_role(user, "viewer", COMMAND)
        except Stale as refusal:
            return refusal.what
        return ""

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(demote, ids))
    assert sum(not outcome for outcome in outcomes) == 1
    assert User.active_admins().count() == 1


def test_ending_everybodys_sessions_ends_only_that_persons(app: Flask, admin: Visitor) -> None:
    Visitor.signed_in(app, "viewer")
    stays = Visitor.signed_in(app, "technician")
    admin.post(f"{page_of(person('viewer'))}/sessions/end")
    assert not Session.select().where(Session.user == person("viewer")).exists()
    assert stays.get("/account")
    assert actions()[-1] == "session.all_ended"
