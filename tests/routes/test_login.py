"""Signing in: what a stranger learns (nothing), how often they may guess, and where one lands afterwards."""

from __future__ import annotations

import multiprocessing
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import Config
from tests import databases
from tests.house import PASSWORD, token_in
from tests.routes.visitors import HERE, Visitor
from webapp import create_app
from webapp.services import accounts, passwords, throttle
from webapp.services.audit import COMMAND
from webapp.services.throttle import Limit
from webapp.store.fields import now
from webapp.store.models import Entry, Session, Throttle, User, database

KNOWN = "viewer@example.com"


def attempt(
    client: FlaskClient, email: str = KNOWN, password: str = PASSWORD, next: str = "", ip: str = "127.0.0.1"
) -> TestResponse:
    token = token_in(client.get("/login").text)
    form = {"email": email, "password": password, "next": next, "csrf_token": token}
    return client.post("/login", data=form, headers={"Origin": HERE}, environ_base={"REMOTE_ADDR": ip})


def wrong(app: Flask, times: int, email: str = KNOWN, ip: str = "127.0.0.1") -> list[int]:
    client = app.test_client()
    return [attempt(client, email, f"wrong {n}", ip=ip).status_code for n in range(times)]


# --- what a stranger learns


def test_the_answer_is_the_same_whoever_it_was(app: Flask) -> None:
    """Byte for byte, headers too; only what was typed and the token differ."""
    accounts.set_disabled(User.get(User.role == "technician"), True, COMMAND)
    tries = [
        ("nobody@example.com", PASSWORD), (KNOWN, "wrong"), ("technician@example.com", PASSWORD),
        ("technician@example.com", "wrong"), ("", ""), ("not an address", "x"), ("x" * 5000, "x"), ("\x00", "\x00"),
    ]  # fmt: skip
    answers = set()
    for email, password in tries:
        reply = attempt(app.test_client(), email, password)
        html = re.sub(
            r'(name="csrf_token") value="[^"]*"|(name="email"[^>]*?) value="[^"]*"', r"\1\2", reply.text
        )
        headers = {
            name: value for name, value in reply.headers if name not in ("Content-Length", "Set-Cookie")
        }
        answers.add((reply.status_code, html, str(headers)))
        assert not [line for line in reply.headers.getlist("Set-Cookie") if "sid=" in line]
    assert len(answers) == 1
    assert "The e-mail address or the password is wrong." in answers.pop()[1]


@pytest.mark.parametrize("email", ["nobody@example.com", "sue@example.com"])
def test_the_work_is_the_same_whoever_it_was(app: Flask, monkeypatch: pytest.MonkeyPatch, email: str) -> None:
    """Else the time that an answer takes would say who has an account."""
    sue = accounts.create_user("sue@example.com", "Sue", PASSWORD, "viewer", COMMAND)
    checked, real = [], passwords.matches

    def matches(stored: str, password: str) -> bool:
        checked.append(parameters(stored))
        return real(stored, password)

    monkeypatch.setattr(passwords, "matches", matches)
    assert attempt(app.test_client(), email=email, password="wrong").status_code == 401
    assert checked == [parameters(sue.password_hash)], "once, and as costly as it is for anybody"


def parameters(stored: str) -> list[str]:
    return stored.split("$")[:4]


def test_a_password_is_never_sent_back_or_written_down(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secret = "almost the right pass phrase"
    assert secret not in attempt(app.test_client(), password=secret).text
    assert secret not in caplog.text
    assert not Entry.select().where(Entry.details.contains(secret) | Entry.actor.contains(secret)).exists()


def test_a_disabled_person_comes_in_again_when_enabled(app: Flask) -> None:
    person = User.get(User.email == KNOWN)
    accounts.set_disabled(person, True, COMMAND)
    assert attempt(app.test_client()).status_code == 401
    accounts.set_disabled(accounts.get_user(person.id), False, COMMAND)
    assert attempt(app.test_client()).status_code == 303


def test_an_address_may_be_typed_in_any_case(app: Flask) -> None:
    assert attempt(app.test_client(), email=f"  {KNOWN.upper()} ").status_code == 303


# --- how often


def test_after_so_many_wrong_tries_even_the_right_password_waits(app: Flask, config: Config) -> None:
    assert wrong(app, config.login_tries) == [401] * config.login_tries
    reply = attempt(app.test_client())
    assert reply.status_code == 429 and "Too many tries." in reply.text
    assert 0 < int(reply.headers["Retry-After"]) <= config.login_window
    assert not Session.select().exists()


def test_others_may_still_sign_in(app: Flask, config: Config) -> None:
    wrong(app, config.login_tries + 1)
    assert attempt(app.test_client(), "admin@example.com").status_code == 303


def test_a_made_up_account_slows_down_as_a_real_one_does(app: Flask, config: Config) -> None:
    made_up = wrong(app, config.login_tries + 2, "nobody@example.com")
    assert made_up == wrong(app, config.login_tries + 2)


def _wrong_in_a_worker(config: Config, times: int) -> list[int]:
    """In a process of its own, as a second worker."""
    return wrong(create_app(config), times)


def test_workers_count_together(app: Flask, config: Config) -> None:
    here = config.login_tries // 2
    assert wrong(app, here) == [401] * here
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        same_store = replace(config, database_url=databases.url(config.data))
        there = pool.apply(_wrong_in_a_worker, (same_store, config.login_tries - here + 1))
    assert there == [401] * (config.login_tries - here) + [429]
    assert attempt(app.test_client()).status_code == 429


def test_tries_at_the_same_moment_are_all_counted(app: Flask, config: Config) -> None:
    """Checking a password takes long enough for a burst to slip through between a look and a count."""
    burst = 3 * config.login_tries
    clients = [app.test_client() for _ in range(burst)]
    tokens = [token_in(client.get("/login").text) for client in clients]
    start = threading.Barrier(burst)

    def guess(number: int) -> int:
        form = {"email": KNOWN, "password": f"wrong {number}", "csrf_token": tokens[number]}
        start.wait(60)
        return clients[number].post("/login", data=form).status_code

    with ThreadPoolExecutor(burst) as pool:
        statuses = sorted(pool.map(guess, range(burst)))
    assert statuses == [401] * config.login_tries + [429] * (burst - config.login_tries)


def test_a_good_sign_in_wipes_the_slate(app: Flask, config: Config) -> None:
    for _ in range(2):
        wrong(app, config.login_tries - 1)
        assert attempt(app.test_client()).status_code == 303
    assert not Throttle.select().where(Throttle.bucket.startswith(f"login {KNOWN} from")).exists()


def test_a_stranger_elsewhere_keeps_nobody_out(app: Flask, config: Config) -> None:
    """Ann signs in with a browser that was never here, from her own network."""
    assert wrong(app, config.login_tries + 1, ip="203.0.113.7")[-1] == 429
    assert attempt(app.test_client(), ip="198.51.100.7").status_code == 303
    assert wrong(app, 1, ip="203.0.113.8") == [429], "which gives the stranger no more tries"


def test_strangers_everywhere_keep_out_no_browser_that_was_here_before(app: Flask, config: Config) -> None:
    ann = app.test_client()
    assert attempt(ann).status_code == 303
    ann.delete_cookie("sid")
    guesses = [wrong(app, config.login_tries + 1, ip=f"203.0.{net}.7").count(401) for net in range(7)]
    assert sum(guesses) == 5 * config.login_tries, "all strangers together have so many"
    reply = attempt(app.test_client())
    assert (
        reply.status_code == 429
        and "A browser in which you have signed in before may still try." in reply.text
    )
    assert attempt(ann).status_code == 303


def test_the_cookie_of_a_known_browser_is_no_way_to_guess_on(app: Flask, config: Config) -> None:
    """It has a count of its own, goes with the password, and is about one account."""
    ann = app.test_client()
    assert attempt(ann).status_code == 303
    known, made_up = ann.get_cookie("known"), app.test_client()
    assert known and known.http_only and known.same_site == "Lax"
    ann.delete_cookie("sid")
    tries = [attempt(ann, password="wrong").status_code for _ in range(config.login_tries + 1)]
    assert tries == [401] * config.login_tries + [429]
    assert attempt(ann).status_code == 429, "the right one waits as well"
    wrong(app, config.login_tries, "admin@example.com")
    assert attempt(ann, "admin@example.com").status_code == 429, "somebody else's account"
    wrong(app, config.login_tries)
    for value in ("x", "\xff", "x" * 3000):
        made_up.set_cookie("known", value)
        assert attempt(made_up).status_code == 429


def test_a_new_password_makes_all_browsers_strangers(app: Flask, config: Config) -> None:
    ann = app.test_client()
    assert attempt(ann).status_code == 303
    accounts.reset_password(User.get(User.email == KNOWN), "another fine pass phrase", COMMAND)
    wrong(app, config.login_tries)
    assert attempt(ann, password="another fine pass phrase").status_code == 429


def test_time_heals(app: Flask, config: Config) -> None:
    wrong(app, config.login_tries)
    Throttle.update(since=now() - timedelta(seconds=config.login_window - 60)).execute()
    assert attempt(app.test_client()).status_code == 429
    Throttle.update(since=now() - timedelta(seconds=config.login_window)).execute()
    assert wrong(app, config.login_tries) == [401] * config.login_tries


def test_a_network_that_guesses_at_many_accounts_is_slowed_down(app: Flask, config: Config) -> None:
    limit = 5 * config.login_tries
    for number in range(limit):
        throttle.count(f"login from {throttle.network('203.0.113.7')}", Limit(limit, config.login_window))
        assert number < limit
    assert attempt(app.test_client(), ip="203.0.113.250").status_code == 429
    assert attempt(app.test_client(), ip="203.0.114.250").status_code == 303


def test_an_office_that_signs_in_properly_is_not(app: Flask, config: Config) -> None:
    for _ in range(3):
        assert attempt(app.test_client()).status_code == 303
    assert {row.tries for row in Throttle.select()} <= {0}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.200", True),
        ("203.0.113.7", "203.0.112.7", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("", "not an address", True),
        ("::ffff:203.0.113.7", "203.0.113.9", True),
    ],
)
def test_whom_to_count_together(one: str, other: str, same: bool) -> None:
    assert (throttle.network(one) == throttle.network(other)) == same


def test_made_up_accounts_do_not_stay_in_the_database(app: Flask) -> None:
    wrong(app, 1, "made-up@example.com")
    Throttle.update(since=now() - timedelta(days=2)).execute()
    wrong(app, 1, "another@example.com")
    assert not Throttle.select().where(Throttle.bucket.contains("made-up")).exists()


def test_the_limits_come_from_the_settings(config: Config) -> None:
    tight = create_app(replace(config, login_tries=2, login_window=60))
    accounts.create_user(KNOWN, "", PASSWORD, "viewer", COMMAND)
    assert wrong(tight, 3) == [401, 401, 429]
    assert int(attempt(tight.test_client()).headers["Retry-After"]) <= 60
    database.close()


# --- where one lands


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/", "http://evil.test", "//evil.test", "///evil.test", "////evil.test", "/\\evil.test",
        "\\/evil.test", "\\\\evil.test", "/\t/evil.test", "/\n/evil.test", "/\r\n/evil.test", "\t//evil.test",
        " //evil.test", "/\x00/evil.test", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x",
        "http:evil.test", "http:/evil.test", "evil.test", "//[", "//[::1", "/\u2028/evil.test", "//evil.test%2f..",
        "https://localhost@evil.test/", "//localhost@evil.test", "?next=//evil.test", "#x", "..//evil.test",
        "/x\r\nSet-Cookie: sid=planted", "/x\nLocation: //evil.test", "mailto:a@evil.test", "\ufeff//evil.test",
    ],
)  # fmt: skip
def test_after_signing_in_one_stays_here(app: Flask, target: str) -> None:
    page = app.test_client().get("/login", query_string={"next": target})
    assert page.status_code == 200 and "evil" not in page.text and "javascript" not in page.text.lower()
    reply = attempt(app.test_client(), next=target)
    assert (reply.status_code, reply.headers["Location"]) == (303, "/")
    assert "planted" not in str(reply.headers)


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/approvals", "/approvals"),
        ("/tools?q=a&page=2", "/tools?q=a&page=2"),
        ("/tools/mcp:desk:get_ticket", "/tools/mcp:desk:get_ticket"),
        ("/activity?text=https://example.com//x", "/activity?text=https://example.com//x"),
        ("/tools?q=größe", "/tools?q=gr%C3%B6%C3%9Fe"),
        ("", "/"),
    ],
)
def test_one_comes_back_to_the_page_one_wanted(app: Flask, target: str, location: str) -> None:
    assert attempt(app.test_client(), next=target).headers["Location"] == location


def test_a_wrong_password_does_not_lose_the_way_back(app: Flask) -> None:
    reply = attempt(app.test_client(), password="wrong", next="/approvals")
    assert 'name="next" value="/approvals"' in reply.text
    assert f'value="{KNOWN}"' in reply.text


def test_a_very_long_address_is_not_carried_along(app: Flask) -> None:
    """Proxies refuse answers whose headers are longer than a few thousand bytes."""
    reply = app.test_client().get("/tools?q=" + "ä" * 4000)
    assert reply.status_code == 303 and len(reply.headers["Location"]) < 2000


def test_who_is_signed_in_already_is_not_asked_again(viewer: Visitor) -> None:
    assert viewer.browser.get("/login").headers["Location"] == "/"


def test_signing_in_from_another_site_is_refused(app: Flask) -> None:
    """Else somebody could sign a person in to an account of their own and read along."""
    client = app.test_client()
    token = token_in(client.get("/login").text)
    form = {"email": KNOWN, "password": PASSWORD, "csrf_token": token}
    assert client.post("/login", data=form, headers={"Origin": "http://evil.test"}).status_code == 403
    assert client.post("/login", data=form | {"csrf_token": ""}).status_code == 400
    assert not Session.select().exists()


def test_signing_out_asks_for_the_token_and_is_no_link(viewer: Visitor) -> None:
    assert viewer.browser.get("/logout").status_code == 405
    assert viewer.browser.post("/logout").status_code == 400
    viewer.get("/account")
    reply = viewer.post("/logout", htmx=True)
    assert reply.status_code == 204 and reply.headers["HX-Redirect"] == "/login"


def test_the_browser_and_the_address_are_kept_short(app: Flask, tmp_path: Path) -> None:
    client = app.test_client()
    token = token_in(client.get("/login").text)
    client.post(
        "/login",
        data={"email": KNOWN, "password": PASSWORD, "csrf_token": token},
        headers={"User-Agent": "<script>" + "x" * 5000},
    )
    assert len(Session.get().browser) == 200
    page = client.get("/account").text
    assert "&lt;script&gt;" in page and "<script>x" not in page
