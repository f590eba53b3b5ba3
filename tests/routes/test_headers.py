"""The headers on every answer: pages, fragments, files, redirects, refusals and faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import from_environment
from tests import databases
from tests.routes.visitors import HTMX, Visitor
from webapp import create_app

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; "
    "report-uri /csp-report"
)
ALWAYS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


def undressed(reply: TestResponse, expected: dict[str, str] = ALWAYS) -> dict[str, list[str]]:
    """What is missing, different or there twice."""
    wrong = {name: reply.headers.getlist(name) for name in expected}
    wrong = {name: values for name, values in wrong.items() if values != [expected[name]]}
    if "HX-Request" not in reply.headers.get("Vary", ""):
        wrong["Vary"] = reply.headers.getlist("Vary")
    return wrong


def paths(app: Flask) -> list[tuple[str, str]]:
    """Method and path of every route but static; the rows they name need not be there."""
    found = []
    for rule in app.url_map.iter_rules():
        built = rule.build({name: "1" for name in rule.arguments}, append_unknown=False)
        if built and rule.endpoint != "static":
            found += [(method, built[1]) for method in sorted(rule.methods or ())]
    return found


@pytest.mark.parametrize("fetched_by", ["a stranger", "an admin", "htmx"])
def test_every_answer_has_them(app: Flask, fetched_by: str) -> None:
    client = app.test_client() if fetched_by == "a stranger" else Visitor.signed_in(app).browser
    headers = HTMX if fetched_by == "htmx" else {}
    seen = set()
    for method, path in paths(app):
        reply = client.open(path, method=method, headers=headers)
        seen.add(reply.status_code)
        secret = path.endswith("/callback") or path.startswith("/invite/")  # in the address
        expected = ALWAYS | (
            {"Referrer-Policy": "no-referrer"} if secret and reply.status_code == 303 else {}
        )
        assert undressed(reply, expected) == {}, (method, path, reply.status_code)
        assert "Strict-Transport-Security" not in reply.headers
    assert seen >= ({200, 204, 303, 400} if fetched_by == "a stranger" else {200, 400, 404})


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/no-such-page", {}, 404),
        ("PUT", "/login", {}, 405),
        ("POST", "/login", {}, 400),
        ("POST", "/login", {"Origin": "http://evil.test"}, 403),
        ("GET", "/login", {"Host": "evil.test"}, 400),
        ("GET", "/settings//people", {}, 308),
        ("GET", "/broken", {}, 500),
        ("GET", "/static/no-such-file", {}, 404),
    ],
)
def test_refusals_and_faults_have_them_too(
    app: Flask, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    app.add_url_rule("/broken", "broken", broken)
    reply = app.test_client().open(path, method=method, headers=headers)
    assert reply.status_code == status
    assert undressed(reply) | {"Cache-Control": []} == {"Cache-Control": []}
    assert reply.headers["Cache-Control"] == "no-store" or path.startswith("/static")


def test_too_large_a_form_by_its_own_account_has_them_too(client: FlaskClient) -> None:
    """Refused by the length it claims. As a header the test client would put it right on the way."""
    claimed = {"CONTENT_LENGTH": "9999999", "CONTENT_TYPE": "application/x-www-form-urlencoded"}
    reply = client.post("/login", environ_overrides=claimed)
    assert reply.status_code == 413 and undressed(reply) == {}


def broken() -> str:
    raise ZeroDivisionError


broken.allowed_role = "anyone"  # type: ignore[attr-defined]


def test_files_may_be_kept_for_an_hour(client: FlaskClient) -> None:
    kept = ALWAYS | {"Cache-Control": "public, max-age=3600"}
    for name in ("app.css", "app.js", "icon.svg", "vendor/htmx.org@4.0.1/htmx.min.js"):
        reply = client.get(f"/static/{name}", buffered=True)
        assert reply.status_code == 200 and undressed(reply, kept) == {}
        again = client.get(f"/static/{name}", headers={"If-None-Match": reply.headers["ETag"]}, buffered=True)
        assert again.status_code == 304 and undressed(again, kept) == {}


def test_a_file_that_is_missing_is_not_remembered_as_missing(client: FlaskClient) -> None:
    assert client.get("/static/soon.css").headers["Cache-Control"] == "no-store"


def test_the_policy_allows_nothing_inline_and_nobody_else() -> None:
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert set(" ".join(value for name, value in rules.items() if name != "report-uri").split()) == {
        "'none'", "'self'", "data:",
    }  # fmt: skip
    assert rules["img-src"] == "'self' data:" and rules["script-src"] == "'self'"


def test_over_https_browsers_are_told_to_stay_there(furnished: Path, tmp_path: Path) -> None:
    databases.copy(furnished, tmp_path / "data")
    settings = {"PUBLIC_URL": "https://gate.example.com", "GATEHOUSE_DATA": str(tmp_path / "data")}
    client = create_app(from_environment(settings)).test_client()
    proxied = {"Host": "gate.example.com", "X-Forwarded-Proto": "https"}
    for path in ("/login", "/", "/static/app.css", "/nothing"):
        reply = client.get(path, headers=proxied, buffered=True)
        assert reply.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
        over_http = client.get(path, buffered=True)
        assert "Strict-Transport-Security" not in over_http.headers, "there it would be ignored"
        assert not reply.headers.get("Location", "/").startswith("http"), "a redirect keeps the way one came"


def test_nothing_says_what_it_is_made_of(app: Flask) -> None:
    reply = app.test_client().get("/login")
    assert not {"Server", "X-Powered-By"} & set(dict(reply.headers))


def test_no_answer_may_be_read_by_pages_of_others(client: FlaskClient) -> None:
    for method in ("GET", "OPTIONS"):
        reply = client.open("/login", method=method, headers={"Origin": "https://evil.test"})
        assert not [name for name, _ in reply.headers if name.startswith("Access-Control")]
