"""One's own account: where one is signed in, and a new password."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask

from tests.house import PASSWORD
from tests.routes.test_login import attempt
from tests.routes.visitors import Visitor, text_of
from webapp.store.fields import now
from webapp.store.models import Entry, Session, User

NEW = "a fine long pass phrase"


def of(role: str) -> list[Session]:
    return list(Session.select().join(User).where(User.role == role).order_by(Session.id))


def test_one_sees_where_one_is_signed_in_and_only_that(app: Flask, viewer: Visitor) -> None:
    Visitor.signed_in(app, "viewer")
    Visitor.signed_in(app, "admin")
    page = viewer.get("/account")
    assert page.count("/sessions/") == 1 and text_of(page).count("This one") == 1


def test_what_has_run_out_is_not_listed(app: Flask, viewer: Visitor) -> None:
    for column, age in ((Session.seen_at, timedelta(hours=13)), (Session.created_at, timedelta(days=8))):
        Visitor.signed_in(app, "viewer")
        Session.update({column: now() - age}).where(Session.id == of("viewer")[-1].id).execute()
    assert "/sessions/" not in viewer.get("/account")


def test_one_ends_another_session_of_ones_own(app: Flask, viewer: Visitor) -> None:
    elsewhere = Visitor.signed_in(app, "viewer")
    other = of("viewer")[-1]
    assert viewer.post(f"/account/sessions/{other.id}/end").headers["Location"] == "/account"
    assert elsewhere.browser.get("/account").headers["Location"].startswith("/login")
    assert "That session is signed out." in viewer.get("/account")
    assert Entry.select().where(Entry.action == "session.ended").exists()
    assert viewer.post(f"/account/sessions/{other.id}/end").status_code == 404


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_nobody_ends_a_session_of_somebody_else_this_way(app: Flask, technician: Visitor, role: str) -> None:
    held = Visitor.signed_in(app, role)
    assert technician.post(f"/account/sessions/{of(role)[0].id}/end").status_code == 404
    assert held.get("/account")


@pytest.mark.parametrize("session_id", ["0", "99999999999999999999999"])
def test_a_session_that_is_not_there_is_not_found(viewer: Visitor, session_id: str) -> None:
    assert viewer.post(f"/account/sessions/{session_id}/end").status_code == 404


def test_a_new_password_ends_every_session_and_replaces_the_old_one(app: Flask, viewer: Visitor) -> None:
    elsewhere = Visitor.signed_in(app, "viewer")
    reply = viewer.post("/account/password", old=PASSWORD, password=NEW)
    assert reply.headers["Location"] == "/login"
    assert "Sign in with the new one." in viewer.get("/login")
    for browser in (viewer.browser, elsewhere.browser):
        assert browser.get("/account").status_code == 303
    assert attempt(app.test_client(), password=PASSWORD).status_code == 401
    assert attempt(app.test_client(), password=NEW).status_code == 303


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("wrong", NEW, "old", "not your present password"),
        ("", NEW, "old", "not your present password"),
        (PASSWORD, "short", "password", "12 to 128 characters"),
        (PASSWORD, "viewer@example.com", "password", "too easy to guess"),
        (PASSWORD, "Viewer123456", "password", "too easy to guess"),
    ],
)
def test_a_refused_change_is_said_beside_its_field_and_changes_nothing(
    viewer: Visitor, old: str, new: str, field: str, words: str
) -> None:
    reply = viewer.post("/account/password", old=old, password=new)
    assert reply.status_code == 422
    assert words in reply.text.partition(f'id="{field}-error"')[2].partition("</p>")[0]
    assert viewer.get("/account")
    assert viewer.post("/account/password", old=PASSWORD, password=NEW).status_code == 303


def test_guessing_the_present_password_slows_down(viewer: Visitor) -> None:
    """Somebody sat down at an open screen."""
    codes = [viewer.post("/account/password", old=f"guess {n}", password=NEW).status_code for n in range(11)]
    assert codes == [422] * 10 + [429]
    assert viewer.post("/account/password", old=PASSWORD, password=NEW).status_code == 429


def test_a_name_is_text_and_not_too_long(viewer: Visitor) -> None:
    viewer.post("/account/name", name="  <b>Vic</b>" + "x" * 500)
    assert User.get(User.role == "viewer").name == ("<b>Vic</b>" + "x" * 500)[:100]
    page = viewer.get("/account")
    assert "&lt;b&gt;Vic" in page and "<b>Vic" not in page


# --- the time zone


def test_times_are_in_utc_until_anybody_says_otherwise(viewer: Visitor) -> None:
    page = viewer.get("/account")
    assert "times are in UTC" in text_of(page)
    assert re.search(r'<time datetime="[^"]+\+00:00" title="[^"]+ UTC">', page)


def test_the_browsers_zone_counts_and_ones_own_choice_counts_more(viewer: Visitor) -> None:
    viewer.browser.set_cookie("zone", "Asia%2FKolkata")
    assert "times are in Asia/Kolkata" in text_of(viewer.get("/account"))
    assert re.search(r'<time datetime="[^"]+\+00:00" title="[^"]+ IST">', viewer.get("/account"))
    viewer.post("/account/zone", zone="America/Sao_Paulo")
    page = viewer.get("/account")
    assert "times are in America/Sao_Paulo" in text_of(page)
    assert "<option selected>America/Sao_Paulo</option>" in page
    assert re.search(r'title="[^"]+ UTC-03">', page)
    viewer.post("/account/zone", zone="")
    assert "times are in Asia/Kolkata" in text_of(viewer.get("/account"))


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "<b>", "x" * 500, "%00"])
def test_a_zone_that_is_none_is_refused_by_the_form_and_ignored_in_the_cookie(
    viewer: Visitor, name: str
) -> None:
    viewer.browser.set_cookie("zone", name)
    assert "times are in UTC" in text_of(viewer.get("/account"))
    assert viewer.post("/account/zone", zone=name).status_code == 422
    assert "times are in UTC" in text_of(viewer.get("/account"))


# --- light and dark


def theme_of(page: str) -> str | None:
    found = re.search(r'<html lang="en" data-theme="(\w+)">', page)
    return found[1] if found else None


def test_the_theme_is_chosen_once_for_every_browser_of_a_person(app: Flask, viewer: Visitor) -> None:
    assert theme_of(viewer.get("/activity")) is None
    assert viewer.post("/account/theme", theme="dark", back="/activity?kind=call").headers["Location"] == (
        "/activity?kind=call"
    )
    assert theme_of(viewer.get("/activity")) == "dark"
    assert theme_of(Visitor.signed_in(app, "viewer").get("/")) == "dark"
    assert theme_of(Visitor.signed_in(app, "admin").get("/")) is None
    viewer.post("/account/theme", theme="")
    assert theme_of(viewer.get("/activity")) is None


def test_the_door_has_the_theme_of_who_was_here_last(viewer: Visitor) -> None:
    viewer.post("/account/theme", theme="light")
    viewer.post("/logout")
    assert theme_of(viewer.get("/login")) == "light"


@pytest.mark.parametrize("back", ["//evil.test", "https://evil.test", "/\\evil.test", "/\t/evil.test", ""])
def test_the_theme_leads_back_into_our_own_house_only(viewer: Visitor, back: str) -> None:
    assert viewer.post("/account/theme", theme="dark", back=back).headers["Location"] == "/account"


def test_a_theme_that_is_none_is_refused(viewer: Visitor) -> None:
    assert viewer.post("/account/theme", theme='"><b>').status_code == 422
    viewer.browser.set_cookie("theme", '"><b>')
    viewer.post("/logout")
    assert theme_of(viewer.get("/login")) is None
