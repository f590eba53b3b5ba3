"""A second step at sign-in: set up, asked for, spent once, lost, and needed by a role."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import Config
from tests.house import token_in
from tests.routes.test_login import attempt
from tests.routes.visitors import HERE, Visitor, text_of
from webapp.services import accounts, authenticator, half_sessions, second_step
from webapp.services.audit import COMMAND
from webapp.store.fields import now
from webapp.store.models import Authenticator, Entry, HalfSession, RecoveryCode, Session, User, database

PAGE = "/account/second-step"
CODE_PAGE = "/login/second-step"


def shown(reply: TestResponse, name: str) -> str:
    found = re.search(rf'<pre id="{name}"[^>]*>([^<]+)</pre>', reply.text)
    assert found, text_of(reply.text)
    return found.group(1)


def code_of(secret: str, steps: int = 0) -> str:
    moment = now().timestamp() + steps * authenticator.SECONDS
    return authenticator.totp(secret.replace(" ", "")).generate(moment).decode()


def let_time_pass() -> None:
    """The app shows another code: the present one may be used, as none was."""
    Authenticator.update(step=0).execute()


def turned_on(visitor: Visitor) -> tuple[str, list[str]]:
    """The app's secret, and the recovery codes."""
    secret = shown(visitor.post(PAGE), "second-step-secret")
    reply = visitor.post(f"{PAGE}/confirm", code=code_of(secret))
    assert reply.status_code == 200
    let_time_pass()
    return secret, shown(reply, "recovery-codes").split()


def half_in(app: Flask, next: str = "") -> FlaskClient:
    """The right password was given."""
    browser = app.test_client()
    reply = attempt(browser, next=next)
    assert reply.status_code == 303 and CODE_PAGE in reply.headers["Location"]
    return browser


def give(browser: FlaskClient, code: str, next: str = "") -> TestResponse:
    token = token_in(browser.get("/login").text)
    return browser.post(
        CODE_PAGE, data={"code": code, "next": next, "csrf_token": token}, headers={"Origin": HERE}
    )


def owner() -> User:
    user: User = User.get(User.role == "viewer")
    return user


# --- setting it up


def test_nothing_is_asked_until_the_first_code_fitted(app: Flask, viewer: Visitor) -> None:
    secret = shown(viewer.post(PAGE), "second-step-secret")
    assert attempt(app.test_client()).headers["Location"] == "/"
    wrong = viewer.post(f"{PAGE}/confirm", code="000000" if code_of(secret) != "000000" else "111111")
    assert wrong.status_code == 422 and secret in wrong.text
    assert attempt(app.test_client()).headers["Location"] == "/"
    assert viewer.post(f"{PAGE}/confirm", code=code_of(secret)).status_code == 200
    assert CODE_PAGE in attempt(app.test_client()).headers["Location"]
    assert Entry.select().where(Entry.action == "second_step.on").count() == 1


def test_the_secret_is_shown_until_it_is_confirmed_and_never_again(viewer: Visitor) -> None:
    first = shown(viewer.post(PAGE), "second-step-secret")
    assert first not in viewer.get(PAGE)
    secret, codes = turned_on(viewer)
    assert secret != first
    for page in (viewer.get(PAGE), viewer.get("/account"), viewer.post(PAGE).text):
        assert secret not in page and secret.replace(" ", "") not in page
        assert not any(code in page for code in codes)
    assert viewer.post(PAGE).status_code == 409
    assert viewer.post(f"{PAGE}/confirm", code=code_of(secret)).status_code == 409
    assert "10 recovery codes left" in text_of(viewer.get("/account"))


def test_the_link_opens_an_app_with_the_same_secret(viewer: Visitor) -> None:
    page = viewer.post(PAGE)
    secret = shown(page, "second-step-secret").replace(" ", "")
    assert f"otpauth://totp/Gatehouse:viewer%40example.com?digits=6&amp;secret={secret}" in page.text


def test_neither_secret_nor_recovery_code_can_be_read_in_the_database(
    app: Flask, config: Config, viewer: Visitor
) -> None:
    secret, codes = turned_on(viewer)
    kept = [str(row) for model in (Authenticator, RecoveryCode, Entry) for row in model.select().dicts()]
    for word in (secret, secret.replace(" ", ""), *codes, *(code.replace("-", "") for code in codes)):
        assert not any(word in row for row in kept)


# --- signing in


def test_half_a_sign_in_opens_nothing(app: Flask, viewer: Visitor) -> None:
    turned_on(viewer)
    before = Session.select().count()
    browser = half_in(app)
    assert Session.select().count() == before
    assert "/login" in browser.get("/approvals").headers["Location"]
    half = browser.get_cookie("half")
    assert half and half.http_only
    browser.set_cookie("sid", half.value)
    assert "/login" in browser.get("/approvals").headers["Location"]


def test_password_and_code_lead_to_where_one_wanted_to_go(app: Flask, viewer: Visitor) -> None:
    secret, _ = turned_on(viewer)
    browser = half_in(app, "/activity?kind=call")
    assert 'value="/activity?kind=call"' in browser.get(f"{CODE_PAGE}?next=/activity?kind=call").text
    reply = give(browser, code_of(secret), "/activity?kind=call")
    assert reply.headers["Location"] == "/activity?kind=call"
    assert browser.get("/approvals").status_code == 200
    assert browser.get_cookie("half") is None and not HalfSession.select().exists()


@pytest.mark.parametrize("target", ["//evil.test", "https://evil.test/", "/\\evil.test"])
def test_a_code_leads_to_no_other_site(app: Flask, viewer: Visitor, target: str) -> None:
    secret, _ = turned_on(viewer)
    assert give(half_in(app), code_of(secret), target).headers["Location"] == "/"


def test_a_code_works_once(app: Flask, viewer: Visitor) -> None:
    secret, _ = turned_on(viewer)
    first, second, code = half_in(app), half_in(app), code_of(secret)
    assert give(first, code).status_code == 303
    again = half_in(app)
    assert give(again, code).status_code == 401
    assert "/login" in give(second, code).headers["Location"]  # ended with the sign-in it was beside


def test_the_codes_before_and_after_will_do_and_no_others(
    viewer: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, _ = turned_on(viewer)
    moment = datetime(2026, 11, 28, 12, 0, 29, tzinfo=UTC)
    monkeypatch.setattr(authenticator, "now", lambda: moment)
    made = authenticator.totp(secret.replace(" ", ""))
    fits = {}
    for steps in (-2, -1, 0, 1, 2):
        let_time_pass()
        code = made.generate((moment + timedelta(seconds=30 * steps)).timestamp()).decode()
        with database.atomic():
            fits[steps] = authenticator.spend(owner(), code, COMMAND)
    assert fits == {-2: False, -1: True, 0: True, 1: True, 2: False}


def test_after_a_later_code_an_earlier_one_is_old(viewer: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, _ = turned_on(viewer)
    moment = now()
    monkeypatch.setattr(authenticator, "now", lambda: moment)
    made = authenticator.totp(secret.replace(" ", ""))
    for seconds, fits in ((30, True), (0, False), (-30, False)):
        with database.atomic():
            code = made.generate(moment.timestamp() + seconds).decode()
            assert authenticator.spend(owner(), code, COMMAND) is fits


def test_a_recovery_code_works_once_and_the_number_left_is_shown(app: Flask, viewer: Visitor) -> None:
    _, codes = turned_on(viewer)
    assert len(set(codes)) == 10
    assert give(half_in(app), f" {codes[3].lower()} ").status_code == 303
    assert give(half_in(app), codes[3]).status_code == 401
    assert "9 are left" in text_of(viewer.get(PAGE))
    spent = Entry.get(Entry.action == "second_step.code_spent")
    assert spent.actor == "viewer@example.com" and codes[3] not in spent.details


def test_a_recovery_code_of_somebody_else_opens_nothing(
    app: Flask, viewer: Visitor, technician: Visitor
) -> None:
    turned_on(viewer)
    _, codes = turned_on(technician)
    assert give(half_in(app), codes[0]).status_code == 401


def test_codes_are_throttled_like_passwords(app: Flask, viewer: Visitor) -> None:
    secret, _ = turned_on(viewer)
    browser = half_in(app)
    for wrong in range(10):
        assert give(browser, f"wrong {wrong}").status_code == 401
    assert give(browser, code_of(secret)).status_code == 429
    assert give(half_in(app), code_of(secret)).status_code == 429
    assert Entry.select().where(Entry.action == "session.code_refused").count() == 10


@pytest.mark.parametrize("code", ["", " ", "0", "１２３４５６", "\x00", "é" * 40, "x" * 5000, "\ud800"])
def test_odd_codes_are_refused(app: Flask, viewer: Visitor, code: str) -> None:
    turned_on(viewer)
    with database.atomic():
        assert not authenticator.spend(owner(), code, COMMAND)


def test_half_a_sign_in_ends_by_itself(app: Flask, viewer: Visitor) -> None:
    secret, _ = turned_on(viewer)
    browser = half_in(app)
    HalfSession.update(created_at=now() - half_sessions.LIVES - timedelta(seconds=1)).execute()
    reply = give(browser, code_of(secret))
    assert reply.headers["Location"] == "/login" and "took too long" in browser.get("/login").text
    assert browser.get(CODE_PAGE).headers["Location"] == "/login"


@pytest.mark.parametrize("what", ["disabled", "password"])
def test_half_a_sign_in_ends_with_the_account(app: Flask, viewer: Visitor, what: str) -> None:
    secret, _ = turned_on(viewer)
    browser = half_in(app)
    if what == "disabled":
        accounts.set_disabled(owner(), True, COMMAND)
    else:
        accounts.reset_password(owner(), "another fine pass phrase", COMMAND)
    assert give(browser, code_of(secret)).headers["Location"] == "/login"
    assert "/login" in browser.get("/approvals").headers["Location"]


def test_without_a_password_no_code_is_asked_for(app: Flask, client: FlaskClient, viewer: Visitor) -> None:
    secret, _ = turned_on(viewer)
    assert client.get(CODE_PAGE).headers["Location"] == "/login"
    assert give(client, code_of(secret)).headers["Location"] == "/login"
    client.set_cookie("half", "x" * 43)
    assert give(client, code_of(secret)).headers["Location"] == "/login"


# --- renewing, turning off, taking away


def test_new_recovery_codes_need_a_code_and_replace_the_old(app: Flask, viewer: Visitor) -> None:
    secret, old = turned_on(viewer)
    assert viewer.post(f"{PAGE}/codes", code="123").status_code == 422
    fresh = shown(viewer.post(f"{PAGE}/codes", code=code_of(secret)), "recovery-codes").split()
    assert len(fresh) == 10 and not set(fresh) & set(old)
    assert give(half_in(app), old[0]).status_code == 401
    assert give(half_in(app), fresh[0]).status_code == 303


def test_elsewhere_one_is_signed_out_when_it_is_turned_on_or_off(app: Flask, viewer: Visitor) -> None:
    elsewhere = Visitor.signed_in(app, "viewer")
    secret, _ = turned_on(viewer)
    assert "/login" in elsewhere.browser.get("/account").headers["Location"]
    assert viewer.get("/account")
    again = half_in(app)
    assert give(again, code_of(secret)).status_code == 303
    half = half_in(app)
    let_time_pass()
    viewer.post(f"{PAGE}/off", code=code_of(secret))
    assert "/login" in again.get("/account").headers["Location"]
    assert half.get(CODE_PAGE).headers["Location"] == "/login"
    assert "Elsewhere you are signed out." in viewer.get("/account")


def test_turning_it_off_needs_a_code(app: Flask, viewer: Visitor) -> None:
    secret, _ = turned_on(viewer)
    assert viewer.post(f"{PAGE}/off", code="").status_code == 422
    assert second_step.owners() == {owner().id}
    assert viewer.post(f"{PAGE}/off", code=code_of(secret)).headers["Location"] == "/account"
    assert attempt(app.test_client()).headers["Location"] == "/"
    assert not RecoveryCode.select().exists()


def test_an_admin_takes_it_away_and_that_is_written_down(app: Flask, admin: Visitor, viewer: Visitor) -> None:
    turned_on(viewer)
    half = half_in(app)
    assert admin.post(f"/settings/people/{owner().id}/second-step/reset").status_code == 303
    assert "/login" in viewer.browser.get("/account").headers["Location"]
    assert half.get(CODE_PAGE).headers["Location"] == "/login"
    assert attempt(app.test_client()).headers["Location"] == "/"
    assert Entry.get(Entry.action == "second_step.reset").actor == "admin@example.com"
    assert admin.post(f"/settings/people/{owner().id}/second-step/reset").status_code == 409


def test_the_command_does_it_for_a_box_that_nobody_can_get_into(app: Flask, viewer: Visitor) -> None:
    turned_on(viewer)
    run = app.test_cli_runner().invoke(args=["reset-second-step", "Viewer@example.com"])
    assert run.exit_code == 0, run.output
    assert attempt(app.test_client()).headers["Location"] == "/"
    assert app.test_cli_runner().invoke(args=["reset-second-step", "viewer@example.com"]).exit_code == 1
    assert app.test_cli_runner().invoke(args=["reset-second-step", "who@example.com"]).exit_code == 1


# --- needed by a role


def test_who_must_and_has_none_is_led_to_set_it_up_before_anything_else(
    app: Flask, admin: Visitor, viewer: Visitor, technician: Visitor
) -> None:
    admin.post("/settings/people/second-step", role="viewer")
    for path in ("/", "/approvals", "/account", "/settings/general", "/activity"):
        assert viewer.browser.get(path).headers["Location"] == PAGE
    assert viewer.post("/account/name", name="Not yet").headers["Location"] == PAGE
    assert viewer.browser.get("/approvals/count", headers={"HX-Request": "true"}).status_code == 204
    assert "Your role needs a second step." in viewer.get(PAGE)
    assert technician.get("/approvals") and admin.get("/approvals")
    secret, _ = turned_on(viewer)
    assert viewer.get("/approvals")
    assert viewer.post(f"{PAGE}/off", code=code_of(secret)).status_code == 403
    assert owner().name == "Viewer"
    admin.post("/settings/people/second-step")
    assert viewer.post(f"{PAGE}/off", code=code_of(secret)).status_code == 303


def test_who_must_can_sign_out(admin: Visitor, viewer: Visitor) -> None:
    admin.post("/settings/people/second-step", role="viewer")
    assert viewer.post("/logout").headers["Location"] == "/login"


def test_the_list_of_people_says_who_has_one(admin: Visitor, viewer: Visitor) -> None:
    turned_on(viewer)
    admin.post("/settings/people/second-step", role="admin")
    turned_on(admin)
    page = admin.get("/settings/people")
    assert page.count('data-label="Second step">On') == 2
    assert re.search(r'value="admin" checked', page) and not re.search(r'value="viewer" checked', page)
    assert "second step on" in text_of(admin.get(f"/settings/people/{owner().id}"))
