"""Where a request comes from, which host it asks for, and the cookie that says who it is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import from_environment
from tests import databases
from tests.house import PASSWORD, token_in
from tests.routes.visitors import HERE, Visitor
from webapp import create_app
from webapp.errors import Forbidden
from webapp.services import accounts
from webapp.services.audit import COMMAND, Actor
from webapp.services.roles import needs
from webapp.store.fields import now
from webapp.store.models import Entry, Session, User, database

NAME = "/account/name"


def renamed(visitor: Visitor, *, token: bool = True, **headers: str) -> int:
    """The status of a small change that was sent with these headers."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    form = {"name": "Somebody else"} | ({"csrf_token": visitor.token} if token else {})
    status = visitor.browser.post(NAME, data=form, headers=sent).status_code
    changed = User.select().where(User.name == "Somebody else").exists()
    assert changed == (status == 303), "what was refused has changed something"
    return status


# --- from which site


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "same-origin", "Origin": HERE},
        {"Sec_Fetch_Site": "none"},  # typed or from a bookmark
        {"Origin": HERE},  # a name in the office network over plain http: no Sec-Fetch-Site there
        {"Origin": "HTTP://LOCALHOST"},
        {},  # a program
    ],
)
def test_forms_of_our_own_are_taken(viewer: Visitor, headers: dict[str, str]) -> None:
    assert renamed(viewer, **headers) == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": HERE},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://other.localhost"},
        {"Sec_Fetch_Site": ""},
        {"Sec_Fetch_Site": "same-origin, none"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:8001"},
        {"Origin": "http://evil.example\\@localhost"},
        {"Origin": "http://user@localhost"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
    ],
)
def test_forms_of_other_sites_are_refused_even_with_a_token(viewer: Visitor, headers: dict[str, str]) -> None:
    assert renamed(viewer, **headers) == 403


@pytest.mark.parametrize("headers", [{}, {"Sec_Fetch_Site": "same-origin"}, {"Origin": HERE}])
def test_a_form_without_its_token_is_refused(viewer: Visitor, headers: dict[str, str]) -> None:
    assert renamed(viewer, token=False, **headers) == 400


def test_a_token_of_another_browser_is_refused(app: Flask, viewer: Visitor) -> None:
    other = token_in(app.test_client().get("/login").text)
    assert other != viewer.token
    assert renamed(Visitor(viewer.browser, other)) == 400


def test_a_refused_form_says_what_to_do(viewer: Visitor) -> None:
    foreign = viewer.browser.post(NAME, headers={"Sec-Fetch-Site": "cross-site"})
    assert "came from another site" in foreign.text
    stale = viewer.browser.post(NAME)
    assert "This form is out of date." in stale.text and "Reload the page" in stale.text


def test_following_a_link_from_elsewhere_is_fine(viewer: Visitor) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Referer": "https://desk.example.com/"}
    assert viewer.browser.get("/approvals", headers=headers).status_code == 200


# --- for which host

EVERY_KIND = ["/", "/login", "/approvals/inbox", "/healthz", "/static/app.css", "/no-such-page"]


@pytest.mark.parametrize("path", EVERY_KIND)
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example:8000", "a b"]
)
def test_names_that_are_not_ours_are_refused(viewer: Visitor, path: str, host: str) -> None:
    reply = viewer.browser.get(path, headers={"Host": host})
    assert reply.status_code == 400
    assert viewer.browser.post(NAME, headers={"Host": host}).status_code == 400
    assert "evil" not in reply.headers.get("Location", "")


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_names_of_this_machine_are_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_names_from_the_settings_are_answered(tmp_path: Path) -> None:
    settings = {"PUBLIC_URL": "https://gate.example.com/", "TRUSTED_HOSTS": "gw.lan, 192.0.2.7"}
    app = create_app(from_environment(settings | {"GATEHOUSE_DATA": str(tmp_path / "data")}))
    for host in ("gate.example.com", "gw.lan:8000", "192.0.2.7:8000"):
        assert app.test_client().get("/healthz", headers={"Host": host}).status_code == 200
    assert app.test_client().get("/healthz", headers={"Host": "example.com"}).status_code == 400


# --- the cookie


def sign_in(client: FlaskClient, role: str = "viewer", **options: object) -> TestResponse:
    token = token_in(client.get("/login", **options).text)  # type: ignore[arg-type]
    form = {"email": f"{role}@example.com", "password": PASSWORD, "csrf_token": token}
    return client.post("/login", data=form, **options)  # type: ignore[arg-type]


def cookie(reply: TestResponse) -> tuple[str, str, set[str]]:
    """Name, token and attributes of the session's cookie."""
    lines = [line for line in reply.headers.getlist("Set-Cookie") if "sid=" in line]
    assert len(lines) == 1, lines
    first, *rest = lines[0].split("; ")
    name, _, value = first.partition("=")
    return name, value, {part.partition("=")[0] if part.startswith("Expires") else part for part in rest}


def comes_in(app: Flask, token: str) -> bool:
    client = app.test_client()
    client.set_cookie("sid", token)
    return client.get("/account").status_code == 200


def test_over_plain_http_the_cookie_is_kept_from_scripts_and_other_sites(client: FlaskClient) -> None:
    name, token, attributes = cookie(sign_in(client))
    assert name == "sid" and len(token) >= 43
    assert attributes == {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=604800", "Expires"}
    assert not Session.select().where(Session.token_hash.contains(token)).exists()


def test_over_https_the_cookie_is_bound_to_this_host(furnished: Path, tmp_path: Path) -> None:
    databases.copy(furnished, tmp_path / "data")
    settings = {"PUBLIC_URL": "https://gate.example.com", "GATEHOUSE_DATA": str(tmp_path / "data")}
    app = create_app(from_environment(settings))
    client, stranger = (app.test_client(use_cookies=False) for _ in range(2))
    proxied = {"Host": "gate.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    page = client.get("/login", headers=proxied)
    form = [line for line in page.headers.getlist("Set-Cookie") if line.startswith("form=")]
    assert "Secure" in form[0] and "HttpOnly" in form[0] and "SameSite=Lax" in form[0]
    sent = form[0].partition(";")[0]
    reply = client.post(
        "/login",
        data={"email": "viewer@example.com", "password": PASSWORD, "csrf_token": token_in(page.text)},
        headers=proxied | {"Origin": "https://gate.example.com", "Cookie": sent},
    )
    name, token, attributes = cookie(reply)
    assert name == "__Host-sid"
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= attributes
    assert not any(part.startswith("Domain") for part in attributes)
    signed_in = {"Cookie": f"__Host-sid={token}"}
    assert stranger.get("/account", headers=proxied | signed_in).status_code == 200
    with database.connection_context():
        assert Session.get().ip == "203.0.113.9"
    weak = {"Cookie": f"sid={token}"}
    assert stranger.get("/account", headers=proxied | weak).status_code == 303


def test_nobody_forwards_unless_the_settings_say_so(client: FlaskClient) -> None:
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
    }
    reply = sign_in(client, headers=headers)
    name, _, attributes = cookie(reply)
    assert name == "sid" and "Secure" not in attributes
    assert "Strict-Transport-Security" not in reply.headers
    assert reply.headers["Location"] == "/"
    assert Session.get().ip == "127.0.0.1"


def test_the_address_that_our_own_proxy_saw_counts(furnished: Path, tmp_path: Path) -> None:
    databases.copy(furnished, tmp_path / "data")
    settings = {"FORWARDED_HOPS": "1", "GATEHOUSE_DATA": str(tmp_path / "data")}
    client = create_app(from_environment(settings)).test_client()
    sign_in(client, headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.9"})
    with database.connection_context():
        assert Session.get().ip == "203.0.113.9"


# --- the session behind it


def test_every_sign_in_gets_a_token_of_its_own(app: Flask) -> None:
    client = app.test_client()
    _, first, _ = cookie(sign_in(client))
    client.delete_cookie("sid")
    _, second, _ = cookie(sign_in(client))
    assert first != second
    assert comes_in(app, first) and comes_in(app, second)


def test_a_token_that_somebody_planted_is_not_taken_over(app: Flask) -> None:
    client = app.test_client()
    client.set_cookie("sid", "planted")
    _, token, _ = cookie(sign_in(client))
    assert token != "planted" and not comes_in(app, "planted")


def test_signing_out_ends_the_session_on_the_server(app: Flask, viewer: Visitor) -> None:
    held = viewer.browser.get_cookie("sid")
    assert held and comes_in(app, held.value)
    reply = viewer.post("/logout")
    _, value, attributes = cookie(reply)
    assert value == "" and "Max-Age=0" in attributes
    assert not comes_in(app, held.value)


@pytest.mark.parametrize("change", ["disabled", "role", "password", "reset", "everywhere"])
def test_a_session_ends_with_what_it_stood_on(app: Flask, admin: Visitor, change: str) -> None:
    """In every browser of that person; the admin's own stays."""
    tokens = [cookie(sign_in(app.test_client(), "technician"))[1] for _ in range(2)]
    person = User.get(User.role == "technician")
    assert all(comes_in(app, token) for token in tokens)
    match change:
        case "disabled":
            reply = admin.post(f"/settings/people/{person.id}/state", state="disabled")
        case "role":
            reply = admin.post(f"/settings/people/{person.id}/role", role="viewer")
        case "reset":
            reply = admin.post(f"/settings/people/{person.id}/password", password="another long password")
        case "everywhere":
            reply = admin.post(f"/settings/people/{person.id}/sessions/end")
        case _:
            form = {"old": PASSWORD, "password": "another long password"}
            reply = Visitor.signed_in(app, "technician").post("/account/password", **form)
    assert reply.status_code == 303
    assert not any(comes_in(app, token) for token in tokens)
    assert admin.get("/account")


def test_a_session_of_before_does_not_come_back_with_its_person(app: Flask, admin: Visitor) -> None:
    token = cookie(sign_in(app.test_client(), "technician"))[1]
    person = User.get(User.role == "technician")
    for state in ("disabled", "active"):
        assert admin.post(f"/settings/people/{person.id}/state", state=state).status_code == 303
    assert not User.get_by_id(person.id).disabled_at and not comes_in(app, token)


def test_a_session_that_was_left_opens_nothing_for_a_disabled_person(app: Flask) -> None:
    token = cookie(sign_in(app.test_client(), "technician"))[1]
    User.update(disabled_at=now()).where(User.role == "technician").execute()
    assert not comes_in(app, token)


@pytest.mark.parametrize(
    ("column", "alive", "dead"),
    [
        (Session.seen_at, timedelta(hours=11, minutes=59), timedelta(hours=12, minutes=1)),
        (Session.created_at, timedelta(days=6, hours=23), timedelta(days=7, minutes=1)),
    ],
)
def test_a_session_ends_when_idle_and_when_old(
    viewer: Visitor, column: object, alive: timedelta, dead: timedelta
) -> None:
    Session.update({column: now() - alive}).execute()
    viewer.get("/account")
    Session.update({column: now() - dead}).execute()
    reply = viewer.browser.get("/account")
    assert reply.status_code == 303 and reply.headers["Location"].startswith("/login")


def test_use_keeps_a_session_alive_but_not_past_its_end(viewer: Visitor) -> None:
    Session.update(seen_at=now() - timedelta(hours=11)).execute()
    viewer.get("/account")
    assert now() - Session.get().seen_at < timedelta(minutes=1)


@pytest.mark.parametrize("path", ["/approvals/count", "/approvals/inbox", "/approvals/ahead"])
def test_a_page_left_open_keeps_no_session_alive(viewer: Visitor, path: str) -> None:
    Session.update(seen_at=now() - timedelta(hours=11)).execute()
    viewer.get(path)
    assert now() - Session.get().seen_at > timedelta(hours=10)


@pytest.mark.parametrize("token", ["", "x", "a" * 3000, "é", "\x00", "' OR 1=1 --"])
def test_made_up_tokens_open_nothing(app: Flask, token: str) -> None:
    assert not comes_in(app, token)


# --- what a person without a session is told


def test_a_page_leads_to_sign_in_and_back(app: Flask) -> None:
    client = app.test_client()
    reply = client.get("/activity?kind=call&text=a%26b")
    assert reply.status_code == 303
    page = client.get(reply.headers["Location"]).text
    form = {"email": "viewer@example.com", "password": PASSWORD, "csrf_token": token_in(page)}
    form["next"] = "/activity?kind=call&text=a%26b"
    assert f'name="next" value="{form["next"].replace("&", "&amp;")}"' in page
    assert client.post("/login", data=form).headers["Location"] == form["next"]


def test_a_fragment_sends_the_whole_page_to_sign_in(client: FlaskClient) -> None:
    """htmx would swap the sign-in page into the table."""
    reply = client.get("/approvals/inbox", headers={"HX-Request": "true"})
    assert reply.status_code == 204 and reply.headers["HX-Redirect"] == "/login"
    headers = {"HX-Request": "true", "HX-Current-URL": f"{HERE}/approvals/apr_1?x=1#note"}
    reply = client.post("/approvals/apr_1/decision", headers=headers)
    assert reply.headers["HX-Redirect"] == "/login?next=/approvals/apr_1?x%3D1"


def test_whoever_was_signed_out_is_told_that_nothing_was_done_and_comes_back(viewer: Visitor) -> None:
    Session.delete().execute()
    reply = viewer.post(NAME, referrer="/account?x=1", name="Somebody else")
    assert reply.headers["Location"] == "/login?next=/account?x%3D1"
    page = viewer.get(reply.headers["Location"])
    assert "You were signed out, so nothing was done." in page and 'value="/account?x=1"' in page
    assert not User.select().where(User.name == "Somebody else").exists()


@pytest.mark.parametrize(
    "referrer",
    [
        "http://evil.example/x",
        "http://localhost.evil.example/",
        "http://[",
        "",
        "//evil.example",
        "javascript:x",
    ],
)
def test_the_way_back_is_one_of_our_own_pages(client: FlaskClient, referrer: str) -> None:
    for header in ("Referer", "HX-Current-URL"):
        reply = client.post("/account/name", headers={"Sec-Fetch-Site": "same-origin", header: referrer})
        assert reply.headers["Location"] == "/login"


@pytest.mark.parametrize(("settings", "words"), [
    ({}, "It may block them for this address."),
    ({"PUBLIC_URL": "https://gate.example.com"}, "Open https://gate.example.com instead."),
])  # fmt: skip
def test_a_browser_that_keeps_no_cookies_is_told_instead_of_sent_in_circles(
    furnished: Path, tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    databases.copy(furnished, tmp_path / "data")
    app = create_app(from_environment({"GATEHOUSE_DATA": str(tmp_path / "data")} | settings))
    form = {"email": "viewer@example.com", "password": PASSWORD}
    token = token_in(app.test_client().get("/login").text)
    reply = app.test_client(use_cookies=False).post("/login", data=form | {"csrf_token": token})
    assert reply.status_code == 400
    assert "Your browser kept no cookies of Gatehouse." in reply.text and words in reply.text


@pytest.mark.parametrize("htmx", [True, False])
@pytest.mark.parametrize(
    ("referrer", "after"),
    [
        ("http://localhost/tools?q=a%26b", "/login?next=/tools?q%3Da%2526b"),
        ("http://localhost/", "/login"),
        ("https://evil.test/tools", "/login"),
        ("http://localhost//evil.test/", "/login"),
        ("http://[::1/", "/login"),
        ("", "/login"),
    ],
)
def test_a_form_of_an_ended_session_leads_back_to_its_page(
    client: FlaskClient, referrer: str, after: str, htmx: bool
) -> None:
    token = token_in(client.get("/login").text)
    headers = {"Referer": referrer, "Origin": "http://localhost"} | ({"HX-Request": "true"} if htmx else {})
    reply = client.post("/tools/1/policy", data={"csrf_token": token, "policy": "auto"}, headers=headers)
    assert reply.status_code == (204 if htmx else 303)
    assert reply.headers["HX-Redirect" if htmx else "Location"] == after


def test_a_view_that_says_nothing_is_closed_to_all(config: object, furnished: Path, tmp_path: Path) -> None:
    databases.copy(furnished, tmp_path / "data")
    app = create_app(from_environment({"GATEHOUSE_DATA": str(tmp_path / "data")}))
    app.add_url_rule("/forgotten", "forgotten", lambda: "secret")
    with database.connection_context():
        for role in ("viewer", "admin"):
            reply = Visitor.signed_in(app, role).browser.get("/forgotten")
            assert reply.status_code == 403 and "secret" not in reply.text


def test_an_unknown_page_keeps_the_signed_in_persons_bar(viewer: Visitor) -> None:
    page = viewer.get("/no-such-page", 404)
    assert "Sign out" in page and "Go to Home" in page


def test_a_session_is_looked_up_once_a_minute_at_most_to_write(viewer: Visitor) -> None:
    before = Session.get().seen_at
    viewer.get("/account")
    assert Session.get().seen_at == before


def test_sign_ins_and_sign_outs_are_on_record(viewer: Visitor) -> None:
    viewer.post("/logout")
    actions = [entry.action for entry in Entry.select().where(Entry.actor == "viewer@example.com")]
    assert actions == ["session.started", "session.ended"]


def test_the_services_ask_for_the_role_themselves(app: Flask) -> None:
    viewer = audit_actor("viewer")
    for change in (
        lambda: accounts.create_user("x@example.com", "", PASSWORD, "admin", viewer),
        lambda: accounts.set_role(User.get(User.role == "admin"), "viewer", viewer),
        lambda: accounts.set_disabled(User.get(User.role == "admin"), True, viewer),
        lambda: accounts.reset_password(User.get(User.role == "admin"), PASSWORD, viewer),
    ):
        with pytest.raises(Forbidden):
            change()
    assert accounts.get_user(User.get(User.role == "admin").id).disabled_at is None
    needs(COMMAND, "admin")


def audit_actor(role: str) -> Actor:
    return Actor("user", f"{role}@example.com", role=role)
