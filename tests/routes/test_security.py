"""The locks around every page: set-up, sign-in, cookies, cross-site requests, hosts, headers."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests import databases
from tests.house import PASSWORD, token_in
from tests.routes.settings_house import app, furnished  # noqa: F401
from tests.routes.visitors import HTMX, Visitor, opened
from webapp.routes.headers import POLICY
from webapp.services import accounts, first_admin
from webapp.services.audit import COMMAND
from webapp.store.fields import now
from webapp.store.models import Entry, Session, Throttle, User, database
from webapp.store.secrets import KeyProblem

# ruff: noqa: F811
SETUP = {"email": "ann@example.com", "name": "Ann", "password": PASSWORD}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Flask]:
    made = opened(tmp_path / "data")
    with database.connection_context():
        yield made


def post(browser: FlaskClient, path: str, form: str = "", **values: Any) -> TestResponse:
    """As the form on the page `form` (or `path`) would."""
    token = token_in(browser.get(form or path).text)
    return browser.post(path, data={"csrf_token": token} | values)


def sign_in(
    browser: FlaskClient, email: str = "viewer@example.com", password: str = PASSWORD, **more: Any
) -> TestResponse:
    return post(browser, "/login", email=email, password=password, **more)


# --- first run


def test_without_an_account_every_page_leads_to_the_set_up(fresh: Flask) -> None:
    browser = fresh.test_client()
    for path in ("/", "/approvals", "/tools", "/settings/people", "/login", "/activity"):
        assert browser.get(path).headers["Location"] == "/setup"
    assert User.select().count() == 0


def test_the_code_makes_one_admin_and_closes_the_door(fresh: Flask, tmp_path: Path) -> None:
    code = first_admin.setup_code(tmp_path / "data")
    file = tmp_path / "data" / "setup-code"
    assert code and stat.S_IMODE(file.stat().st_mode) == 0o600
    browser = fresh.test_client()
    assert post(browser, "/setup", code="WRONG-CODE", **SETUP).status_code == 422
    done = post(browser, "/setup", code=code.lower().replace("-", " "), **SETUP)
    assert done.headers["Location"] == "/"
    assert User.get().role == "admin" and not file.exists()
    assert browser.get("/approvals").status_code == 200
    stranger = fresh.test_client()
    assert stranger.get("/setup").status_code == 404
    assert (
        post(stranger, "/setup", form="/login", code=code, **SETUP | {"email": "eve@example.com"}).status_code
        == 404
    )
    assert User.select().count() == 1


def test_guessing_the_code_is_throttled(fresh: Flask) -> None:
    browser = fresh.test_client()
    codes = [post(browser, "/setup", code=f"guess-{n}", **SETUP).status_code for n in range(12)]
    assert codes == [422] * 10 + [429] * 2


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "data")
    key = tmp_path / "data" / "secret.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    key.chmod(0o644)
    with pytest.raises(KeyProblem, match="can be read by others"):
        opened(tmp_path / "data")


# --- signing in


def test_a_wrong_sign_in_says_the_same_whoever_it_was(app: Flask) -> None:
    accounts.set_disabled(User.get(User.role == "technician"), True, COMMAND)
    pages = []
    for email, password in (
        ("nobody@example.com", PASSWORD), ("viewer@example.com", "wrong"), ("technician@example.com", PASSWORD),
    ):  # fmt: skip
        reply = sign_in(app.test_client(), email, password)
        assert reply.status_code == 401 and "sid=" not in reply.headers.get("Set-Cookie", "")
        pages.append(reply.text.split("<main")[1].split("<form")[0])
    assert len(set(pages)) == 1


def test_wrong_sign_ins_are_throttled(app: Flask) -> None:
    codes = [sign_in(app.test_client(), password=f"wrong {n}").status_code for n in range(11)]
    assert codes == [401] * 10 + [429]
    held = sign_in(app.test_client())
    assert held.status_code == 429 and int(held.headers["Retry-After"]) > 0
    assert sign_in(app.test_client(), "admin@example.com").status_code == 303
    Throttle.update(since=now() - timedelta(hours=1)).execute()
    assert sign_in(app.test_client()).status_code == 303


@pytest.mark.parametrize("target", [
    "https://evil.test/", "//evil.test", "/\\evil.test", "\\\\evil.test", "javascript:alert(1)", "http:evil.test",
    "/ /evil.test\r\nSet-Cookie: x=1", "///evil.test", "evil",
])  # fmt: skip
def test_after_signing_in_one_stays_here(app: Flask, target: str) -> None:
    location = sign_in(app.test_client(), next=target).headers["Location"]
    assert location.startswith("/") and not location.startswith(("//", "/\\")) and "\n" not in location


def test_one_comes_back_to_the_page_one_wanted(app: Flask) -> None:
    browser = app.test_client()
    assert "next=/activity?kind%3Dcall" in browser.get("/activity?kind=call").headers["Location"]
    assert sign_in(browser, next="/activity?kind=call").headers["Location"] == "/activity?kind=call"


# --- sessions and the cookie


def test_the_cookie_is_a_strict_one(app: Flask) -> None:
    cookie = next(c for c in sign_in(app.test_client()).headers.getlist("Set-Cookie") if c.startswith("sid="))
    assert (
        "HttpOnly" in cookie
        and "SameSite=Lax" in cookie
        and "Secure" not in cookie
        and "Domain" not in cookie
    )
    token = cookie.split("=")[1].split(";")[0]
    assert token not in str(list(Session.select().dicts()))


def test_over_https_the_cookie_belongs_to_this_host_only(furnished: Path, tmp_path: Path) -> None:
    databases.copy(furnished, tmp_path / "data")
    made = opened(tmp_path / "data", public_url="https://gate.example.com", forwarded_hops=1)
    browser = made.test_client()
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "9.9.9.9", "Host": "gate.example.com"}
    page = browser.get("/login", headers=headers, base_url="https://gate.example.com")
    form = {"email": "viewer@example.com", "password": PASSWORD, "csrf_token": token_in(page.text)}
    reply = browser.post("/login", data=form, headers=headers, base_url="https://gate.example.com")
    cookie = next(c for c in reply.headers.getlist("Set-Cookie") if "sid=" in c)
    assert cookie.startswith("__Host-sid=") and "Secure" in cookie and "Path=/" in cookie
    assert "max-age" in reply.headers["Strict-Transport-Security"]
    with database.connection_context():
        assert Session.get().ip == "9.9.9.9"


def test_every_sign_in_gets_a_new_session_and_sign_out_ends_it(app: Flask) -> None:
    browser = app.test_client()
    browser.set_cookie("sid", "planted by somebody else")
    sign_in(browser)
    token = browser.get_cookie("sid").value  # type: ignore[union-attr]
    assert token != "planted by somebody else"
    browser.post("/logout", data={"csrf_token": token_in(browser.get("/account").text)})
    assert Session.select().count() == 0
    browser.set_cookie("sid", token)
    assert "/login" in browser.get("/").headers["Location"]


@pytest.mark.parametrize("change", ["role", "password", "disabled", "ended by an admin"])
def test_what_changes_an_account_ends_its_sessions(app: Flask, change: str) -> None:
    visitor = Visitor.signed_in(app, "viewer")
    user = User.get(User.role == "viewer")
    if change == "role":
        accounts.set_role(user, "technician", COMMAND)
    elif change == "password":
        assert (
            visitor.post("/account/password", old=PASSWORD, password="another fine long one").status_code
            == 303
        )
    elif change == "disabled":
        accounts.set_disabled(user, True, COMMAND)
    else:
        Visitor.signed_in(app).post(f"/settings/people/{user.id}/sessions/end")
    assert "/login" in visitor.browser.get("/").headers["Location"]


def test_one_ends_one_own_sessions_and_no_others(app: Flask) -> None:
    visitor, elsewhere = Visitor.signed_in(app, "viewer"), Visitor.signed_in(app, "viewer")
    stranger = Visitor.signed_in(app, "technician")
    theirs = Session.select().join(User).where(User.role == "technician").get()
    assert visitor.post(f"/account/sessions/{theirs.id}/end").status_code == 404
    assert stranger.browser.get("/").status_code == 200
    last = Session.select().join(User).where(User.role == "viewer").order_by(Session.id.desc()).get()
    visitor.post(f"/account/sessions/{last.id}/end")
    assert "/login" in elsewhere.browser.get("/").headers["Location"]
    assert visitor.browser.get("/").status_code == 200


# --- people


@pytest.mark.parametrize("how", [("role", {"role": "viewer"}), ("state", {"state": "disabled"})])
def test_the_last_admin_stays(app: Flask, how: tuple[str, dict[str, str]]) -> None:
    admin = User.get(User.role == "admin")
    reply = Visitor.signed_in(app).post(f"/settings/people/{admin.id}/{how[0]}", **how[1])
    assert reply.status_code == 409 and "only admin left" in reply.text
    assert User.get_by_id(admin.id).role == "admin" and User.get_by_id(admin.id).disabled_at is None


@pytest.mark.parametrize(("password", "fine"), [
    ("short", False), ("aaaaaaaaaaaaaaaa", False), ("Administrator1", False), ("new@example.com", False),
    ("x" * 129, False), ("correct horse battery", True), ("ünï çödé pässwörd 漢字", True), ("fox 9 " * 20, True),
])  # fmt: skip
def test_passwords(app: Flask, password: str, fine: bool) -> None:
    form = {"email": "new@example.com", "name": "", "role": "viewer", "password": password}
    reply = Visitor.signed_in(app).post("/settings/people", **form)
    assert reply.status_code == (303 if fine else 422)
    assert bool(User.get_or_none(User.email == "new@example.com")) == fine


# --- cross-site requests, hosts, headers


@pytest.mark.parametrize(("headers", "status"), [
    ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Origin": "https://evil.test"}, 403), ({"Origin": "null"}, 403), ({"Origin": "http://localhost.evil.test"}, 403),
    ({"Sec-Fetch-Site": "same-origin"}, 303), ({"Sec-Fetch-Site": "none"}, 303), ({"Origin": "http://localhost"}, 303),
    ({}, 303),
])  # fmt: skip
def test_only_our_own_pages_may_post(app: Flask, headers: dict[str, str], status: int) -> None:
    visitor = Visitor.signed_in(app, "viewer")
    form = {"csrf_token": visitor.token, "name": "Somebody"}
    assert visitor.browser.post("/account/name", data=form, headers=headers).status_code == status
    assert (User.get(User.role == "viewer").name == "Somebody") == (status == 303)


@pytest.mark.parametrize("token", [None, "", "wrong", "ImFiYyI.Z.x"])
def test_a_form_without_its_token_is_refused(app: Flask, token: str | None) -> None:
    visitor = Visitor.signed_in(app, "viewer")
    form = {"name": "Somebody"} | ({} if token is None else {"csrf_token": token})
    reply = visitor.browser.post("/account/name", data=form)
    assert reply.status_code == 400 and "out of date" in reply.text


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test:8000"])
def test_a_foreign_host_is_refused(app: Flask, host: str) -> None:
    for path in ("/", "/login", "/healthz", "/static/app.css", "/nothing"):
        reply = app.test_client().get(path, headers={"Host": host})
        assert reply.status_code == 400, path


def test_every_answer_carries_its_headers(app: Flask) -> None:
    visitor = Visitor.signed_in(app)
    for path in ("/", "/login", "/approvals/inbox", "/nothing", "/healthz", "/settings/people/999"):
        reply = visitor.browser.get(path)
        assert reply.headers["Content-Security-Policy"] == POLICY
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "same-origin"
        assert reply.headers["Cache-Control"] == "no-store"
        assert "HX-Request" in reply.headers["Vary"]
        assert "Strict-Transport-Security" not in reply.headers
    assert "unsafe" not in POLICY and "default-src 'none'" in POLICY


# --- faults


def test_an_unknown_page_is_a_plain_404(app: Flask) -> None:
    reply = Visitor.signed_in(app).browser.get("/nothing/<script>alert(1)</script>")
    assert reply.status_code == 404 and "<script>alert" not in reply.text


def test_a_fault_shows_a_number_that_the_log_has_too(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    visitor = Visitor.signed_in(app)
    app.testing = False
    app.view_functions["activity.index"].__wrapped__ = None  # type: ignore[attr-defined]
    original = app.view_functions["activity.index"]

    def broken() -> str:
        raise ZeroDivisionError("a secret detail")

    broken.allowed_role = "viewer"  # type: ignore[attr-defined]
    app.view_functions["activity.index"] = broken
    reply = visitor.browser.get("/activity")
    app.view_functions["activity.index"] = original
    assert reply.status_code == 500 and "secret detail" not in reply.text and "Traceback" not in reply.text
    number = caplog.records[-1].getMessage().rsplit(" ", 1)[1]
    assert number in reply.text


def test_for_htmx_a_refusal_goes_to_the_notice(app: Flask) -> None:
    reply = Visitor.signed_in(app, "viewer").browser.get("/settings/people", headers=HTMX)
    assert reply.status_code == 403 and reply.headers["HX-Retarget"] == "#notice"
    assert "<html" not in reply.text
    out = app.test_client().get("/approvals/inbox", headers=HTMX)
    assert out.status_code == 204 and out.headers["HX-Redirect"].startswith("/login")


@pytest.mark.parametrize("path", ["/?q=%ff", "/%00", "/tools/" + "x" * 5000, "/tools?page=-1", "/tools?page=9" * 30,
                                  "/activity?before=abc&since=x", "/approvals/%F0%9F%98%80"])  # fmt: skip
def test_odd_addresses_never_break_a_page(app: Flask, path: str) -> None:
    assert Visitor.signed_in(app).browser.get(path).status_code in (200, 303, 400, 404)


def test_sign_ins_are_on_record(app: Flask) -> None:
    sign_in(app.test_client(), password="wrong")
    sign_in(app.test_client())
    rows = [(row.action, row.outcome) for row in Entry.select().order_by(Entry.id.desc()).limit(2)]
    assert rows == [("session.started", "ok"), ("session.refused", "refused")]
