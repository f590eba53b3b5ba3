"""Tricks with the addresses of a sign-in: where the browser is led afterwards, and where sign-in services send it."""

# ruff: noqa: F401, F811 (fixtures)

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from tests.authority import Service
from tests.routes.settings_house import app, furnished
from tests.routes.test_oauth import BEGIN, SETUP, back, begun, draft, jumped, rows, service
from tests.routes.visitors import Visitor
from webapp.store.models import SignIn

EVIL = "https://evil.example/"


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return Visitor.signed_in(app)


@pytest.mark.parametrize("name", ["next", "redirect_uri", "return_to", "url", "RelayState", "error_uri"])
@pytest.mark.parametrize("outcome", ["done", "refused", "unknown"])
def test_no_parameter_of_the_way_back_leads_elsewhere(
    admin: Visitor,
    service: Service,
    draft: str,
    name: str,
    outcome: str,
) -> None:
    page = begun(admin)
    service.faults.consent = "refuse" if outcome == "refused" else "allow"
    callback = service.walk(jumped(admin, page)) if outcome != "unknown" else "/oauth/callback?state=x"
    reply = back(admin, f"{callback}&{name}={EVIL}")
    assert reply.status_code == 303 and reply.location.startswith("/") and not reply.location.startswith("//")
    assert reply.location in (f"{SETUP}/tools", page, "/oauth/ended/unknown")
    assert "evil.example" not in admin.get(reply.location)


@pytest.mark.parametrize("wish", [EVIL, "//evil.example", "more&x=1", "<script>"])
def test_no_field_of_the_beginning_does_either(admin: Visitor, draft: str, wish: str) -> None:
    assert admin.post(BEGIN, wish=wish).status_code == 422
    reply = admin.post(BEGIN, next=EVIL, redirect_uri=EVIL, return_to=EVIL)
    assert reply.location.startswith("/oauth/sign-in/")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/x"},
        {"Forwarded": "host=evil.example;proto=https"},
        {"X-Original-Host": "evil.example"},
        {"Referer": EVIL},
    ],
)
def test_the_return_address_is_ours_whatever_a_header_says(
    admin: Visitor,
    service: Service,
    draft: str,
    headers: dict[str, str],
) -> None:
    sent = {"Origin": "http://localhost"} | headers
    reply = admin.browser.post(BEGIN, data={"csrf_token": admin.token}, headers=sent)
    asked = parse_qs(urlsplit(jumped(admin, reply.location)).query)
    assert asked["redirect_uri"] == ["http://localhost/oauth/callback"]
    assert b"evil.example" not in service.asked("/register")[-1].body


def test_a_foreign_host_begins_and_ends_nothing(admin: Visitor, service: Service, draft: str) -> None:
    callback = service.walk(jumped(admin, begun(admin)))
    path = f"{urlsplit(callback).path}?{urlsplit(callback).query}"
    assert admin.browser.get(path, headers={"Host": "evil.example"}).status_code == 400
    assert admin.browser.post(BEGIN, headers={"Host": "evil.example"}).status_code == 400
    assert service.exchanges == 0
    assert back(admin, callback).location == f"{SETUP}/tools", "it was not spent"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_can_not_begin_a_sign_in(
    admin: Visitor,
    service: Service,
    draft: str,
    rows: None,
    site: str,
) -> None:
    headers = {"Sec-Fetch-Site": site, "Origin": EVIL.rstrip("/")}
    reply = admin.browser.post(BEGIN, data={"csrf_token": admin.token}, headers=headers)
    assert reply.status_code == 403
    assert SignIn.select().count() == 0 and not service.asked("/register")


def test_the_way_back_leaves_no_trace_for_the_next_page(
    admin: Visitor,
    service: Service,
    draft: str,
) -> None:
    reply = back(admin, service.walk(jumped(admin, begun(admin))))
    assert reply.headers["Referrer-Policy"] == "no-referrer" and "no-store" in reply.headers["Cache-Control"]
    assert not reply.headers.getlist("Set-Cookie")
    assert "code=" not in reply.text and "state=" not in reply.text
