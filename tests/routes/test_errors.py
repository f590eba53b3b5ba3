"""What a person sees when something is refused or broken: words and a next step, never the machinery."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.routes.visitors import HERE, HTMX, Visitor, text_of
from webapp.errors import InvalidInput, Refused, Stale, TooMany, Unreachable
from webapp.routes.guards import allow
from webapp.store.models import database


@pytest.fixture
def trap(app: Flask) -> Flask:
    """With pages that fail in every way we know; `/trap/<which>`."""
    faults = {
        "bug": ZeroDivisionError("the secret inside"),
        "database": RuntimeError("SELECT secret FROM vault"),
        "stale": Stale("Somebody was first.", why="You <b>waited</b>.", next_step="Look again."),
        "input": InvalidInput("This is no number.", field="x"),
        "busy": TooMany("Too many.", retry_after=17),
        "upstream": Unreachable("desk.example.com does not answer.", kind="refused", next_step="Try later."),
        "refused": Refused("<script>alert(1)</script>"),
    }

    @allow("anyone")
    def fall(which: str) -> str:
        raise faults[which]

    app.add_url_rule("/trap/<which>", "trap", fall)
    return app


# --- pages


def test_an_unknown_page_says_so(viewer: Visitor) -> None:
    page = viewer.get("/nothing/<script>alert(1)</script>", 404)
    assert "There is no such page." in page and "Go to Home" in page
    assert "<script>alert" not in page


def test_a_stranger_is_offered_the_sign_in(client: FlaskClient) -> None:
    reply = client.get("/nothing")
    assert reply.status_code == 404 and 'href="/login">Sign in</a>' in reply.text


def test_another_kind_of_request_is_refused_in_words(viewer: Visitor) -> None:
    reply = viewer.browser.put("/account")
    assert reply.status_code == 405 and "takes another kind of request" in reply.text


def test_too_large_a_form_is_refused_in_words(viewer: Visitor) -> None:
    reply = viewer.browser.post("/account/name", data={"name": "x" * 1_100_000})
    assert reply.status_code == 413 and "Too Large" in reply.text


@pytest.mark.parametrize(
    ("which", "status", "words"),
    [
        ("stale", 409, "Somebody was first. You &lt;b&gt;waited&lt;/b&gt;. Look again."),
        ("input", 422, "This is no number."),
        ("busy", 429, "Too many."),
        ("upstream", 502, "desk.example.com does not answer. Try later."),
        ("refused", 400, "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ],
)
def test_a_refusal_is_its_own_sentences(trap: Flask, which: str, status: int, words: str) -> None:
    for headers in ({}, HTMX):
        reply = trap.test_client().get(f"/trap/{which}", headers=headers)
        assert reply.status_code == status
        assert words.replace("&lt;", "<").replace("&gt;", ">") in text_of(reply.text)
        assert "<script>alert" not in reply.text
        assert reply.headers.get("Retry-After") == ("17" if which == "busy" else None)


# --- faults of ours


@pytest.mark.parametrize("which", ["bug", "database"])
def test_a_fault_shows_a_number_that_the_log_has_too(
    trap: Flask, caplog: pytest.LogCaptureFixture, which: str
) -> None:
    for visitor, headers in ((trap.test_client(), {}), (Visitor.signed_in(trap).browser, HTMX)):
        caplog.clear()
        reply = visitor.get(f"/trap/{which}", headers=headers)
        assert reply.status_code == 500 and "our fault" in reply.text
        assert "secret" not in reply.text and "Traceback" not in reply.text and "Error" not in reply.text
        number = re.search(r"look for ([0-9a-f]{12}) in", reply.text)
        assert number and number[1] in caplog.text and "secret" in caplog.text


def test_each_fault_has_a_number_of_its_own(trap: Flask) -> None:
    pages = [trap.test_client().get("/trap/bug").text for _ in range(2)]
    assert len({re.search(r"[0-9a-f]{8} in the", page)[0] for page in pages}) == 2  # type: ignore[index]


def test_a_broken_database_still_gives_a_page(viewer: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    """The bar of every page counts approvals: the page about the fault must not fall over the same fault."""
    database.execute_sql("ALTER TABLE approval RENAME TO gone")
    for path in ("/account", "/nothing"):
        caplog.clear()
        reply = viewer.browser.get(path)
        assert reply.status_code == 500 and "our fault" in reply.text and "<html" in reply.text
        assert "approval" not in text_of(reply.text) and "Traceback" not in reply.text
        number = re.search(r"look for ([0-9a-f]{12}) in", reply.text)
        assert (
            number
            and number[1] in caplog.text
            and re.search('no such table: approval|relation "approval" does not exist', caplog.text)
        )
    notice = viewer.browser.get("/approvals", headers=HTMX)
    assert notice.status_code == 500 and notice.headers["HX-Retarget"] == "#notice"


def test_a_database_that_knows_nobody_still_gives_a_page(viewer: Visitor) -> None:
    database.execute_sql("ALTER TABLE session RENAME TO gone")
    for path in ("/account", "/login", "/nothing"):
        reply = viewer.browser.get(path)
        assert reply.status_code == 500 and "our fault" in reply.text and "session" not in text_of(reply.text)


# --- htmx


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/account", 405), ("POST", "/account/name", 400), ("GET", "/trap/bug", 500),
     ("GET", "/settings/people", 403), ("GET", "/activity/999999", 404)],
)  # fmt: skip
def test_for_htmx_it_is_a_fragment_for_the_notice(trap: Flask, method: str, path: str, status: int) -> None:
    """htmx 4 swaps answers of any status: without a target of its own the error would land in a table."""
    visitor = Visitor.signed_in(trap, "viewer")
    reply = visitor.browser.open(path, method=method, headers=HTMX | {"Origin": HERE})
    assert reply.status_code == status
    assert reply.headers["HX-Retarget"] == "#notice" and reply.headers["HX-Reswap"] == "innerHTML"
    assert re.fullmatch(r'<div class="notice stop" id="error-notice">.*</div>', reply.text.strip(), re.S)
    assert "<html" not in reply.text and len(re.findall("<div", reply.text)) == 1


def test_every_page_has_the_place_for_it(viewer: Visitor) -> None:
    for page in (viewer.get("/"), viewer.get("/nothing", 404), viewer.get("/account")):
        assert page.count('id="notice"') == 1 and 'aria-live="polite"' in page


def test_a_page_that_is_not_for_htmx_is_not_retargeted(trap: Flask) -> None:
    reply = trap.test_client().get("/trap/stale")
    assert "HX-Retarget" not in reply.headers and "<html" in reply.text
