"""First run: nobody gets in without the code, the code makes exactly one admin, and the door closes for ever."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import Config
from tests import databases
from tests.house import PASSWORD, token_in
from tests.routes.visitors import HERE, Visitor
from webapp import create_app
from webapp.routes.guards import allowed_role
from webapp.services import first_admin
from webapp.store.models import Entry, Session, User, database


@pytest.fixture
def empty(config: Config) -> Iterator[Flask]:
    """Nobody has an account yet."""
    yield create_app(config)
    database.close()


@pytest.fixture
def code(empty: Flask, config: Config) -> str:
    made = first_admin.setup_code(config.data)
    assert made
    return made


def visitor(app: Flask) -> Visitor:
    client = app.test_client()
    return Visitor(client, token_in(client.get("/setup").text))


def set_up(who: Visitor, code: str, email: str = "ann@example.com", password: str = PASSWORD) -> TestResponse:
    return who.post("/setup", code=code, email=email, name="Ann", password=password)


def test_before_the_set_up_every_page_leads_there(empty: Flask) -> None:
    client = empty.test_client()
    client.get("/setup")
    closed = [rule for rule in empty.url_map.iter_rules() if allowed_role(empty, rule.endpoint) != "anyone"]
    assert len(closed) > 50
    for rule in closed:
        path = rule.build({name: "1" for name in rule.arguments}, append_unknown=False)
        assert path
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        reply = client.open(path[1], method=method, headers={"Origin": HERE})
        assert (reply.status_code, reply.headers.get("Location")) == (303, "/setup"), rule.rule
    assert client.get("/login").headers["Location"] == "/setup"


def test_nobody_signs_in_before_the_set_up(empty: Flask) -> None:
    who = visitor(empty)
    for email in ("", "admin", "admin@example.com"):
        assert who.post("/login", email=email, password="").status_code == 401


def test_the_code_makes_an_admin_signs_in_and_is_gone(empty: Flask, config: Config, code: str) -> None:
    who = visitor(empty)
    reply = set_up(who, code)
    assert (reply.status_code, reply.headers["Location"]) == (303, "/")
    assert "Sign out" in who.get("/settings/people")
    assert (User.get().email, User.get().role, Session.select().count()) == ("ann@example.com", "admin", 1)
    assert not (config.data / "setup-code").exists()
    if not databases.SERVER:
        assert PASSWORD.encode() not in (config.data / "gatehouse.db").read_bytes()
    entry = Entry.get(Entry.action == "user.added")
    assert entry.actor == "ann@example.com" and code not in entry.details


def test_afterwards_the_page_is_gone_also_with_the_code_and_after_a_restart(
    empty: Flask, config: Config, code: str
) -> None:
    early = visitor(empty)  # had the form open all the time
    set_up(visitor(empty), code)
    (config.data / "setup-code").write_text(code)  # somebody puts it back
    for app in (empty, create_app(config)):
        client = app.test_client()
        assert client.get("/setup").status_code == 404
        late = Visitor(client, token_in(client.get("/login").text))
        assert set_up(late, code, "eve@example.com").status_code == 404
    assert User.select().count() == 1
    create_app(config)
    assert set_up(early, code, "eve@example.com").status_code == 404
    assert [user.email for user in User.select()] == ["ann@example.com"]


@pytest.mark.parametrize("guess", ["", " ", "-", "AAAAA-AAAAA-AAAAA-AAAAA", "½", "ÀÉ", "\x00", "None"])
def test_a_wrong_code_is_refused_beside_its_field(empty: Flask, code: str, guess: str) -> None:
    reply = set_up(visitor(empty), guess)
    assert reply.status_code == 422 and "This is not the set-up code." in reply.text
    assert 'id="code-error"' in reply.text and 'value="ann@example.com"' in reply.text
    assert code not in reply.text and PASSWORD not in reply.text
    assert not User.select().exists()


@pytest.mark.parametrize("start", [0, 1, 5, 22])
def test_a_part_of_the_code_is_not_the_code(empty: Flask, code: str, start: int) -> None:
    assert set_up(visitor(empty), code[:start]).status_code == 422


def test_the_code_may_be_typed_as_people_type(empty: Flask, code: str) -> None:
    assert set_up(visitor(empty), f"  {code.lower().replace('-', ' ')} ").status_code == 303


def test_guessing_slows_down_also_for_the_right_code_and_after_a_restart(
    empty: Flask, config: Config, code: str
) -> None:
    who = visitor(empty)
    guesses = [set_up(who, f"AAAAA-AAAAA-AAAAA-AAAA{n}").status_code for n in range(config.login_tries)]
    assert set(guesses) == {422}
    reply = set_up(who, code)
    assert reply.status_code == 429 and int(reply.headers["Retry-After"]) > 0
    assert set_up(visitor(create_app(config)), code).status_code == 429
    assert not User.select().exists()


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"email": "not an address"}, "email"),
        ({"email": "ann@example.com\x00"}, "email"),
        ({"email": ""}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "ann@example.com"}, "password"),
    ],
)
def test_what_cannot_be_used_is_said_beside_its_field_and_the_code_stays_good(
    empty: Flask, config: Config, code: str, form: dict[str, str], field: str
) -> None:
    who = visitor(empty)
    reply = set_up(who, code, **form)
    assert reply.status_code == 422 and f'id="{field}-error"' in reply.text
    assert not User.select().exists()
    assert set_up(who, code).status_code == 303


def test_of_two_at_once_one_becomes_the_admin(empty: Flask, code: str) -> None:
    people = [(visitor(empty), f"{name}@example.com") for name in ("ann", "eve", "bob", "zoe")]
    start = threading.Barrier(len(people))

    def arrive(who: Visitor, email: str) -> int:
        start.wait(60)
        return set_up(who, code, email).status_code

    with ThreadPoolExecutor(len(people)) as pool:
        statuses = sorted(pool.map(lambda one: arrive(*one), people))
    assert statuses == [303, 404, 404, 404]
    assert User.select().count() == 1 and Session.select().count() == 1


def test_the_code_is_for_the_owner_of_the_data_only(empty: Flask, config: Config, code: str) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in config.data.iterdir()}
    assert modes["setup-code"] == modes["secret.key"] == modes.get("gatehouse.db", 0o600) == 0o600
    assert stat.S_IMODE(config.data.stat().st_mode) == 0o700
    assert all(not mode & 0o077 for name, mode in modes.items() if name.startswith("gatehouse.db"))


def test_the_code_stays_the_same_until_it_is_used(empty: Flask, config: Config, code: str) -> None:
    assert first_admin.setup_code(config.data) == code
    assert len(code.replace("-", "")) == 20
    set_up(visitor(empty), code)
    assert first_admin.setup_code(config.data) is None
    assert not (config.data / "setup-code").exists()


def test_workers_that_start_together_agree_on_one_code(empty: Flask, config: Config) -> None:
    start = threading.Barrier(8)

    def ask(_: int) -> str | None:
        with database.connection_context():
            start.wait(60)
            return first_admin.setup_code(config.data)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert [path.name for path in config.data.glob("setup-code*")] == ["setup-code"]


@pytest.mark.parametrize("left", ["", "\n", "AAAA"])
def test_a_code_file_cut_short_by_a_crash_lets_nobody_in(empty: Flask, config: Config, left: str) -> None:
    (config.data / "setup-code").write_text(left)
    assert set_up(visitor(empty), left).status_code == 422
    assert not User.select().exists()
    code = first_admin.setup_code(config.data)
    assert code and set_up(visitor(empty), code).status_code == 303


def test_no_other_browser_may_use_the_form_from_elsewhere(empty: Flask, code: str) -> None:
    client: FlaskClient = empty.test_client()
    form = {"code": code, "email": "eve@example.com", "password": PASSWORD}
    assert client.post("/setup", data=form).status_code == 400
    assert client.post("/setup", data=form, headers={"Origin": "http://evil.example"}).status_code == 403
    assert not User.select().exists()
