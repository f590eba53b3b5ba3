"""Signing in at a provider: the whole way, who gets which role, and every way in which it is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc.errors import SecurityWarning
from joserfc.jwk import RSAKey
from werkzeug.test import TestResponse

from config import Config, from_environment
from tests import databases
from tests.house import PASSWORD, token_in
from tests.provider import (
    EC,
    ENTRA,
    OIDC,
    OTHER_RSA,
    RSA,
    TENANT,
    Fake,
    oid,
    person,
    provider,
    public_as_secret,
    query_of,
    unsigned,
)
from tests.routes.test_login import attempt
from tests.routes.test_second_step import code_of, turned_on
from tests.routes.visitors import Visitor, text_of
from webapp import create_app
from webapp.services import accounts, login, providers, second_step
from webapp.services.audit import COMMAND
from webapp.services.roles import ROLES
from webapp.services.throttle import Limit
from webapp.store.fields import now
from webapp.store.models import Entry, LinkedAccount, Session, SignOn, Throttle, User, database

HERE = "http://localhost"
BACK = "/login/oidc/callback"


@pytest.fixture(scope="module")
def running() -> Iterator[Fake]:
    with provider() as fake:
        yield fake


@pytest.fixture
def fake(running: Fake) -> Fake:
    running.reset()
    return running


@pytest.fixture
def config(config: Config, fake: Fake) -> Config:
    return replace(config, providers=(fake.provider(ENTRA), fake.provider(OIDC)), login_tries=100)


@dataclass
class Door:
    """A browser in front of the sign-in page."""

    browser: FlaskClient
    fake: Fake

    def off(self, key: str = "oidc", **query: str) -> str:
        """The address of the provider's page."""
        reply = self.browser.get(f"/login/{key}", query_string=query)
        assert reply.status_code == 303, text_of(reply.text)
        return str(reply.headers["Location"])

    def back(self, address: str) -> TestResponse:
        parts = urlsplit(address)
        reply = self.browser.get(f"{parts.path}?{parts.query}")
        assert reply.status_code == 303 and "code=" not in reply.headers["Location"]
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        return reply

    def sign_in(self, key: str = "oidc", **query: str) -> TestResponse:
        return self.back(self.fake.walk(self.off(key, **query)))

    def why_not(self, reply: TestResponse) -> str:
        assert "/refused/" in reply.headers["Location"], reply.headers["Location"]
        page = self.browser.get(reply.headers["Location"])
        assert page.status_code == 403
        return text_of(page.text)

    @property
    def is_in(self) -> bool:
        return self.browser.get("/account").status_code == 200


@pytest.fixture
def door(app: Flask, fake: Fake) -> Door:
    return Door(app.test_client(), fake)


def refusals() -> list[dict[str, Any]]:
    rows = Entry.select().where(Entry.action == "sign_on.refused", Entry.outcome == "refused")
    return [json.loads(row.details) for row in rows]


def actions() -> list[str]:
    return [row.action for row in Entry.select().order_by(Entry.id)]


def user(email: str) -> User:
    found: User = User.get(User.email == email)
    return found


# --- the whole way


def test_whoever_has_a_role_there_gets_in_and_an_account(door: Door, fake: Fake) -> None:
    page = door.off(next="/approvals")
    asked = query_of(page)
    assert page.startswith(f"{fake.url}/authorize?")
    assert asked["redirect_uri"] == HERE + BACK and asked["scope"] == "openid profile email"
    assert all(len(asked[name]) >= 43 for name in ("state", "nonce", "code_challenge"))
    reply = door.back(fake.walk(page))
    assert reply.headers["Location"] == "/approvals"
    assert "Pat Doe" in door.browser.get("/account").text
    made = user("u-1@example.com")
    assert (made.role, made.name, made.password_hash) == ("technician", "Pat Doe", "")
    link = LinkedAccount.of(made)
    assert link and (link.issuer, link.subject) == (fake.url, "u-1")
    assert actions()[-2:] == ["sign_on.joined", "session.started"]


def test_the_second_time_it_is_the_same_account(app: Flask, door: Door, fake: Fake) -> None:
    door.sign_in()
    fake.person = person("u-1", email="renamed@example.com")
    other = Door(app.test_client(), fake)
    other.sign_in()
    assert other.is_in and User.select().where(User.email.contains("u-1")).count() == 1
    assert not User.get_or_none(User.email == "renamed@example.com")


def test_entra_people_are_known_by_their_object_id(app: Flask, door: Door, fake: Fake) -> None:
    door.sign_in("entra")
    link = LinkedAccount.get()
    assert (link.issuer, link.subject) == (fake.url + ENTRA, oid("u-1"))
    fake.person = person("u-1", sub="another sub for another app")
    other = Door(app.test_client(), fake)
    other.sign_in("entra")
    assert other.is_in and LinkedAccount.select().count() == 1


def test_the_sign_in_page_offers_it_and_keeps_the_way(door: Door) -> None:
    page = door.browser.get("/login?next=/tools").text
    assert "Sign in with Microsoft" in page and 'href="/login/oidc?next=/tools"' in page
    assert door.browser.get("/login/nobody").status_code == 404


def test_without_a_provider_nothing_is_offered(furnished: Any, config: Config) -> None:
    databases.copy(furnished, config.data)
    bare = create_app(replace(config, providers=())).test_client()
    assert "Sign in with" not in bare.get("/login").text
    assert bare.get("/login/oidc").status_code == 404
    database.close()


def test_before_set_up_nobody_comes_in_by_it(config: Config) -> None:
    empty = create_app(config).test_client()
    assert empty.get("/login/oidc").headers["Location"] == "/setup"
    database.close()


def test_nothing_secret_of_it_is_kept_or_logged(door: Door, fake: Fake, caplog: Any) -> None:
    page = door.off()
    door.back(fake.walk(page))
    asked, said = query_of(page), caplog.text
    kept = json.dumps(
        [[str(value) for value in row.values()] for model in (SignOn, Entry, LinkedAccount, Session, User)
         for row in model.select().dicts()]
    )  # fmt: skip
    assert len(fake.given_out) == 3, "a code, an access token and an ID token"
    for secret in (*fake.given_out, asked["state"], asked["nonce"], door.browser.get_cookie("away").value):  # type: ignore[union-attr]
        assert secret not in kept and secret not in said
    assert SignOn.get().secrets is None


def test_two_tabs_may_be_on_their_way_at_once(door: Door, fake: Fake) -> None:
    first, second = door.off(), door.off()
    assert door.back(fake.walk(second)).headers["Location"] == "/"
    assert door.back(fake.walk(first)).headers["Location"] == "/"


def test_it_works_on_any_worker(furnished: Any, config: Config, fake: Fake) -> None:
    databases.copy(furnished, config.data)
    begun, ended = create_app(config), create_app(config)
    browser = begun.test_client()
    answer = urlsplit(fake.walk(Door(browser, fake).off()))
    other = ended.test_client()
    other.set_cookie("away", browser.get_cookie("away").value)  # type: ignore[union-attr]
    assert other.get(f"{answer.path}?{answer.query}").headers["Location"] == "/"
    database.close()


# --- roles


def test_a_role_that_changed_there_changes_here(app: Flask, door: Door, fake: Fake) -> None:
    door.sign_in()
    fake.person = person("u-1", "Guests")
    other = Door(app.test_client(), fake)
    other.sign_in()
    assert user("u-1@example.com").role == "viewer"
    assert other.is_in and not door.is_in, "sessions with the old role have ended"
    entry = Entry.get(Entry.action == "user.role_followed")
    details = json.loads(entry.details)
    assert (details["from"], details["to"], details["provider"]) == ("technician", "viewer", "Keys Inc")


@pytest.mark.parametrize(
    "roles", [None, [], ["Somebody"], "admin", {"admin": True}, [1, None], ["gatehouse.admins"]]
)
def test_nobody_gets_in_without_a_role(door: Door, fake: Fake, roles: Any) -> None:
    fake.person = person("u-1", None) | ({} if roles is None else {"roles": roles})
    assert "You have no role in Gatehouse." in door.why_not(door.sign_in())
    assert not door.is_in and not LinkedAccount.select().exists()
    assert refusals()[0]["why"] == "You have no role in Gatehouse."


def test_whoever_lost_their_role_is_signed_out_everywhere(app: Flask, door: Door, fake: Fake) -> None:
    door.sign_in()
    assert door.is_in
    fake.person = person("u-1", None)
    other = Door(app.test_client(), fake)
    assert "no role" in other.why_not(other.sign_in())
    assert not other.is_in and not door.is_in and not Session.select().exists()


def test_the_highest_of_several_roles_counts(door: Door, fake: Fake) -> None:
    fake.person = person("u-1") | {"roles": ["Guests", "Gatehouse.Admins", "Helpdesk"]}
    door.sign_in()
    assert user("u-1@example.com").role == "admin"


@pytest.mark.parametrize(
    ("claim", "said"),
    [("groups", {"groups": "Helpdesk"}), ("realm_access.roles", {"realm_access": {"roles": ["Helpdesk"]}}),
     ("https://example.com/roles", {"https://example.com/roles": ["Helpdesk"]})],
)  # fmt: skip
def test_roles_may_stand_elsewhere(
    furnished: Any, config: Config, fake: Fake, claim: str, said: dict[str, Any]
) -> None:
    databases.copy(furnished, config.data)
    made = create_app(replace(config, providers=(fake.provider(roles_claim=claim),)))
    fake.person = person("u-1", None) | said
    door = Door(made.test_client(), fake)
    door.sign_in()
    assert door.is_in
    database.close()


def test_the_last_admin_is_not_made_less_but_does_not_get_in_either(
    app: Flask, door: Door, fake: Fake
) -> None:
    fake.person = person("u-1", "Gatehouse.Admins")
    door.sign_in()
    accounts.set_disabled(user("admin@example.com"), True, COMMAND)
    fake.person = person("u-1", "Guests")
    other = Door(app.test_client(), fake)
    assert "only admin left" in other.why_not(other.sign_in())
    assert user("u-1@example.com").role == "admin" and not other.is_in and not door.is_in
    fake.person = person("u-1", "Gatehouse.Admins")
    other.sign_in()
    assert other.is_in


def test_a_role_from_the_provider_is_not_changed_here(admin: Visitor, door: Door) -> None:
    door.sign_in()
    someone = user("u-1@example.com")
    page = admin.get(f"/settings/people/{someone.id}")
    assert "The role comes from there" in text_of(page) and 'name="role"' not in page
    assert admin.post(f"/settings/people/{someone.id}/role", role="admin").status_code == 409
    assert user("u-1@example.com").role == "technician" and door.is_in


# --- who is whom


def test_the_address_of_an_admin_opens_no_account(door: Door, fake: Fake) -> None:
    """Whoever may write an address into their own profile would be anybody here."""
    fake.person = person("u-1", "Gatehouse.Admins", email="admin@example.com")
    assert "has an account here that is not linked" in door.why_not(door.sign_in())
    assert not door.is_in and not LinkedAccount.select().exists()
    assert login.sign_in("admin@example.com", PASSWORD, "", "", Limit(9, 9)).token


def test_the_address_of_a_linked_admin_opens_nothing_with_another_id(
    app: Flask, door: Door, fake: Fake
) -> None:
    fake.person = person("u-1", "Gatehouse.Admins")
    door.sign_in("entra")
    fake.person = person(
        "u-2", "Gatehouse.Admins", email="u-1@example.com", preferred_username="u-1@example.com"
    )
    other = Door(app.test_client(), fake)
    assert "not linked" in other.why_not(other.sign_in("entra")) and not other.is_in


def test_the_same_subject_of_another_issuer_is_somebody_else(app: Flask, door: Door, fake: Fake) -> None:
    door.sign_in("entra")
    fake.person = person(oid("u-1"))
    other = Door(app.test_client(), fake)
    other.sign_in("oidc")
    assert LinkedAccount.select().count() == 2


def test_a_closed_account_stays_closed(app: Flask, door: Door, fake: Fake) -> None:
    door.sign_in()
    accounts.set_disabled(user("u-1@example.com"), True, COMMAND)
    fake.person = person("u-1", "Gatehouse.Admins")
    other = Door(app.test_client(), fake)
    assert "Your account here is closed." in other.why_not(other.sign_in())
    assert not other.is_in and not door.is_in and user("u-1@example.com").role == "technician"


@pytest.mark.parametrize("more", [{"email": None}, {"email": "no address"}, {"email_verified": False}])
def test_somebody_without_an_address_gets_no_account(door: Door, fake: Fake, more: dict[str, Any]) -> None:
    fake.claims = more
    assert "gave no e-mail address" in door.why_not(door.sign_in()) and not door.is_in


def test_nobody_signs_in_with_a_password_that_is_none(app: Flask, door: Door) -> None:
    door.sign_in()
    for password in ("", " ", "x" * 12):
        client = app.test_client()
        form = {
            "email": "u-1@example.com",
            "password": password,
            "csrf_token": token_in(client.get("/login").text),
        }
        assert client.post("/login", data=form).status_code == 401


# --- linking


def link(visitor: Visitor, fake: Fake) -> TestResponse:
    page = visitor.post("/account/link/oidc")
    assert page.status_code == 200, text_of(page.text)
    door = Door(visitor.browser, fake)
    address = page.text.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    return door.back(fake.walk(address))


def test_people_link_their_own_account_and_the_password_is_gone(
    app: Flask, viewer: Visitor, fake: Fake
) -> None:
    elsewhere = Visitor.signed_in(app, "viewer")
    assert "Link to Keys Inc" in viewer.get("/account")
    fake.person = person("u-1", "Guests")
    assert link(viewer, fake).headers["Location"] == "/account"
    page = text_of(viewer.get("/account"))
    assert "With Keys Inc, as u-1@example.com" in page and "Present password" not in page
    assert "/login" in elsewhere.browser.get("/account").headers["Location"]
    with pytest.raises(login.WrongCredentials):
        login.sign_in("viewer@example.com", PASSWORD, "", "", Limit(9, 9))
    door = Door(app.test_client(), fake)
    door.sign_in()
    assert "viewer@example.com" in door.browser.get("/account").text
    assert "sign_on.linked" in actions()


def test_linking_takes_over_the_role_there(viewer: Visitor, fake: Fake) -> None:
    fake.person = person("u-1", "Helpdesk")
    link(viewer, fake)
    assert user("viewer@example.com").role == "technician" and viewer.get("/account")


def test_linking_without_a_role_changes_nothing(viewer: Visitor, fake: Fake) -> None:
    fake.person = person("u-1", None)
    page = Door(viewer.browser, fake).why_not(link(viewer, fake))
    assert "Not linked" in page and "no role" in page
    assert not LinkedAccount.select().exists() and viewer.get("/account")
    assert login.sign_in("viewer@example.com", PASSWORD, "", "", Limit(9, 9)).token


def test_the_last_admin_does_not_lose_the_role_by_linking(admin: Visitor, fake: Fake) -> None:
    fake.person = person("u-1", "Guests")
    assert "only admin left" in Door(admin.browser, fake).why_not(link(admin, fake))
    assert not LinkedAccount.select().exists() and user("admin@example.com").password_hash


def test_an_account_there_is_linked_to_one_here(viewer: Visitor, door: Door, fake: Fake) -> None:
    door.sign_in()
    assert "Somebody else here is linked" in Door(viewer.browser, fake).why_not(link(viewer, fake))


def test_linking_is_begun_by_a_form_and_after_a_recent_sign_in_only(app: Flask, viewer: Visitor) -> None:
    """Else somebody could lead a person to link an account that is not theirs."""
    assert viewer.browser.get("/account/link/oidc").status_code == 405
    assert viewer.browser.post("/account/link/oidc").status_code == 400
    Session.update(created_at=now() - timedelta(hours=2)).execute()
    assert "Confirm that it is you" in viewer.post("/account/link/oidc").text
    assert not SignOn.select().exists()


def test_a_link_begun_by_one_person_is_not_ended_by_another(app: Flask, viewer: Visitor, fake: Fake) -> None:
    page = viewer.post("/account/link/oidc").text
    address = page.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    other = Visitor.signed_in(app, "technician")
    other.browser.set_cookie("away", viewer.browser.get_cookie("away").value)  # type: ignore[union-attr]
    assert "another browser" in Door(other.browser, fake).why_not(
        Door(other.browser, fake).back(fake.walk(address))
    )
    signed_out = Door(app.test_client(), fake)
    signed_out.browser.set_cookie("away", viewer.browser.get_cookie("away").value)  # type: ignore[union-attr]
    Session.delete().execute()
    assert "another browser" in signed_out.why_not(signed_out.back(fake.walk(address)))
    assert not LinkedAccount.select().exists()


def test_an_admin_links_somebody_by_their_id(app: Flask, admin: Visitor, fake: Fake) -> None:
    someone = user("viewer@example.com")
    path = f"/settings/people/{someone.id}"
    refused = admin.post(f"{path}/link", provider="entra", subject="viewer@example.com")
    assert refused.status_code == 422 and "This is no object ID." in refused.text
    assert admin.post(f"{path}/link", provider="entra", subject=oid("u-1").upper()).status_code == 303
    fake.person = person("u-1", "Guests")
    door = Door(app.test_client(), fake)
    door.sign_in("entra")
    assert "viewer@example.com" in door.browser.get("/account").text
    assert admin.post(f"{path}/link", provider="oidc", subject="x").status_code == 409


def test_a_password_from_an_admin_ends_the_link(app: Flask, admin: Visitor, door: Door, fake: Fake) -> None:
    door.sign_in()
    someone = user("u-1@example.com")
    assert admin.post(f"/settings/people/{someone.id}/password", password=PASSWORD).status_code == 303
    assert not door.is_in and not LinkedAccount.select().exists() and "sign_on.unlinked" in actions()
    other = Door(app.test_client(), fake)
    assert "not linked" in other.why_not(other.sign_in())


def test_settings_say_who_signs_in_how_and_what_to_register(admin: Visitor, door: Door) -> None:
    door.sign_in()
    page = text_of(admin.get("/settings/people"))
    assert "u-1@example.com Pat Doe technician Active Keys Inc Off" in page
    assert f"{HERE}/login/entra/callback" in page and "Helpdesk → technician" in page


# --- the second step


def test_a_second_step_that_is_on_is_asked_for_after_the_provider(app: Flask, door: Door, fake: Fake) -> None:
    door.sign_in()
    visitor = Visitor(door.browser, token_in(door.browser.get("/account").text))
    secret, _ = turned_on(visitor)
    other = Door(app.test_client(), fake)
    assert "/login/second-step" in other.sign_in(next="/tools").headers["Location"]
    assert not other.is_in
    form = {"code": code_of(secret), "csrf_token": token_in(other.browser.get("/login/second-step").text)}
    other.browser.post("/login/second-step", data=form)
    assert other.is_in


def test_a_role_that_needs_one_here_needs_none_at_the_provider(app: Flask, door: Door) -> None:
    second_step.require(["technician"], COMMAND)
    door.sign_in()
    assert door.is_in
    by_password = attempt(browser := app.test_client(), "technician@example.com")
    assert by_password.status_code == 303
    assert browser.get("/account").headers["Location"] == "/account/second-step"


# --- is it still you


def make_old() -> None:
    then = now() - timedelta(minutes=61)
    Session.update(created_at=then, confirmed_at=None).execute()


@pytest.fixture
def boss(door: Door, fake: Fake) -> Door:
    """An admin who signs in at the provider, an hour ago."""
    fake.person = person("u-1", "Gatehouse.Admins")
    door.sign_in()
    make_old()
    return door


def test_people_without_a_password_confirm_at_the_provider(boss: Door, fake: Fake) -> None:
    page = boss.browser.get("/settings/people")
    assert page.headers["Location"] == "/confirm?next=/settings/people"
    asking = boss.browser.get(page.headers["Location"]).text
    assert "Confirm with Keys Inc" in asking and 'type="password"' not in asking
    away = boss.browser.get("/confirm/oidc?next=/settings/people")
    asked = query_of(away.headers["Location"])
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert boss.back(fake.walk(away.headers["Location"])).headers["Location"] == "/settings/people"
    assert boss.browser.get("/settings/people").status_code == 200


def test_a_provider_that_knew_them_did_not_ask_them(app: Flask, fake: Fake) -> None:
    """Signing out and in again would else be a way round the question: nobody types anything."""
    fake.person = person("u-1", "Gatehouse.Admins")
    for ago, status in (
        (timedelta(minutes=61), 303),
        (timedelta(minutes=59), 200),
        (timedelta(hours=-1), 200),
    ):
        fake.claims = {"auth_time": int((now() - ago).timestamp())}
        here = Door(app.test_client(), fake)
        assert here.sign_in().headers["Location"] == "/"
        assert here.browser.get("/settings/people").status_code == status
        assert here.browser.get("/settings/agents").status_code == 200


def test_a_form_that_comes_too_late_leads_there_and_back(boss: Door) -> None:
    token = token_in(boss.browser.get("/account").text)
    form = {"csrf_token": token, "name": "Night", "scope": "all"}
    headers = {"Referer": f"{HERE}/settings/agents/new", "Origin": HERE}
    reply = boss.browser.post("/settings/agents", data=form, headers=headers)
    assert reply.headers["Location"] == "/confirm?next=/settings/agents/new"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"auth_time": timedelta(minutes=-10)}, "you signed in earlier"),
        ({"auth_time": timedelta(hours=1)}, "did not ask who you are"),
        ({"auth_time": None}, "does not say when"),
        ({"auth_time": "now"}, "can’t be trusted"),
        ({"auth_time": True}, "does not say when"),
        ({"sub": "u-2"}, "as somebody else"),
        ({"roles": []}, "no role"),
    ],
)
def test_what_does_not_confirm(boss: Door, fake: Fake, claims: dict[str, Any], why: str) -> None:
    fake.claims = claims
    away = boss.browser.get("/confirm/oidc?next=/settings/people").headers["Location"]
    assert why in boss.why_not(boss.back(fake.walk(away)))
    assert boss.browser.get("/settings/people").status_code == 303


def test_a_plain_sign_in_of_somebody_else_confirms_nothing(app: Flask, boss: Door, fake: Fake) -> None:
    """A password of one person, or the way back of a mere sign-in, is not for the session of another."""
    token = token_in(boss.browser.get("/account").text)
    reply = boss.browser.post(
        "/confirm", data={"csrf_token": token, "confirm-proof": PASSWORD}, headers={"Origin": HERE}
    )
    assert reply.status_code == 422
    assert boss.browser.get("/settings/people").status_code == 303


def test_signing_out_says_what_goes_on(door: Door) -> None:
    door.sign_in()
    token = token_in(door.browser.get("/account").text)
    reply = door.browser.post(
        "/logout", data={"csrf_token": token}, headers={"Origin": HERE}, follow_redirects=True
    )
    assert "At Keys Inc you may still be signed in." in reply.text and not door.is_in


# --- hostile answers: none opens anything


BAD_CLAIMS = {
    "wrong issuer": ({"iss": "https://login.example.com"}, "another issuer"),
    "an issuer that is longer": ({"iss": "{url}/"}, "another issuer"),
    "no issuer": ({"iss": None}, "another issuer"),
    "for another app": ({"aud": "another"}, "another app"),
    "for another app, given to us": ({"aud": "another", "azp": "gatehouse"}, "another app"),
    "for other apps": ({"aud": ["another", "gatehouse2"]}, "another app"),
    "for nobody": ({"aud": None}, "another app"),
    "for us among others, given to another": ({"aud": ["gatehouse", "x"], "azp": "x"}, "given to another app"),
    "for us among others, given to nobody": ({"aud": ["gatehouse", "x"]}, "given to another app"),
    "given to another": ({"azp": "another"}, "given to another app"),
    "expired": ({"exp": timedelta(seconds=-120)}, "clocks"),
    "never expires": ({"exp": None}, "clocks"),
    "expires at a word": ({"exp": "tomorrow"}, "clocks"),
    "from the future": ({"iat": timedelta(seconds=600)}, "clocks"),
    "not valid yet": ({"nbf": timedelta(seconds=600)}, "clocks"),
    "of another sign-in": ({"nonce": "x" * 43}, "another sign-in"),
    "of no sign-in": ({"nonce": None}, "another sign-in"),
    "about nobody": ({"sub": None}, "who has signed in"),
    "about an empty name": ({"sub": ""}, "who has signed in"),
    "about a number": ({"sub": 7}, "who has signed in"),
    "about a novel": ({"sub": "x" * 5000}, "who has signed in"),
    "with another access token": ({"at_hash": "x" * 22}, "came with"),
}  # fmt: skip


def test_a_token_that_is_not_for_this_sign_in_opens_nothing(app: Flask, fake: Fake) -> None:
    for case, (claims, why) in BAD_CLAIMS.items():
        fake.claims = {
            name: value.replace("{url}", fake.url) if isinstance(value, str) else value
            for name, value in claims.items()
        }
        door, before = Door(app.test_client(), fake), len(refusals())
        said = door.why_not(door.sign_in())
        assert "The provider’s answer can’t be trusted." in said and why in said, (case, said)
        assert not door.is_in and len(refusals()) == before + 1, case
    assert not LinkedAccount.select().exists()


def right_claims(fake: Fake) -> dict[str, Any]:
    base = {"iss": fake.url, "aud": "gatehouse", "exp": int(time.time()) + 300, "iat": int(time.time())}
    return base | person("u-1", "Gatehouse.Admins")


@pytest.mark.parametrize(
    ("alg", "why"), [("none", "anybody could have signed"), ("None", "anybody"), ("NONE", "anybody")]
)
def test_a_token_that_nobody_signed_opens_nothing(door: Door, fake: Fake, alg: str, why: str) -> None:
    page = door.off()
    fake.id_token = unsigned(right_claims(fake) | {"nonce": query_of(page)["nonce"]}, alg)
    assert why in door.why_not(door.back(fake.walk(page))) and not door.is_in


@pytest.mark.parametrize("alg", ["HS256", "HS512"])
def test_a_public_key_is_no_secret_to_sign_with(door: Door, fake: Fake, alg: str) -> None:
    fake.key, fake.header = public_as_secret(RSA), {"alg": alg, "kid": "one"}
    assert "anybody could have signed" in door.why_not(door.sign_in()) and not door.is_in


def test_a_key_of_somebody_else_opens_nothing(door: Door, fake: Fake) -> None:
    fake.key, fake.header = OTHER_RSA, {"kid": "one"}
    assert "not signed with a key of this provider" in door.why_not(door.sign_in())
    fake.key, fake.header = EC, {"alg": "ES256", "jwk": EC.as_dict(private=False)}
    assert "not signed with a key of this provider" in door.why_not(door.sign_in())
    assert not door.is_in


def test_a_key_for_other_uses_signs_nothing(door: Door, fake: Fake) -> None:
    fake.key = RSAKey.generate_key(2048, {"kid": "sealing", "use": "enc"})
    fake.published = [RSA, fake.key]
    fake.key = RSAKey.import_key(fake.key.as_dict(private=True) | {"use": "sig"})
    assert "not signed with a key" in door.why_not(door.sign_in()) and not door.is_in


def test_a_short_key_signs_nothing(door: Door, fake: Fake) -> None:
    with pytest.warns(SecurityWarning):
        fake.key = RSAKey.generate_key(1024, {"kid": "short", "use": "sig"})
        fake.published = [RSA, fake.key]
        assert "not signed with a key" in door.why_not(door.sign_in()) and not door.is_in


@pytest.mark.parametrize("key", [OTHER_RSA, EC], ids=["rsa", "curve"])
def test_keys_turn_at_once(app: Flask, door: Door, fake: Fake, key: Any) -> None:
    door.sign_in()
    fake.key, fake.published = key, [key]
    fake.header = {"alg": "ES256"} if key is EC else {}
    other = Door(app.test_client(), fake)
    other.sign_in()
    assert other.is_in
    fake.key, fake.header = RSA, {}
    third = Door(app.test_client(), fake)
    assert "not signed with a key" in third.why_not(third.sign_in()), "the old one is taken back"


def test_unknown_keys_and_headers_are_passed_over(door: Door, fake: Fake) -> None:
    odd = [{"kty": "AKP", "alg": "ML-DSA-44"}, {"kty": "RSA"}, {}, {"kty": 7}, RSA.as_dict(private=False)]
    fake.raw["/keys"] = (200, json.dumps({"keys": odd}).encode())
    door.sign_in()
    assert door.is_in


def test_what_is_no_token_opens_nothing(app: Flask, fake: Fake) -> None:
    for token in ("", "x", "a.b.c", "ä.ö.ü", "e30.e30.e30", "." * 5, "x" * 200_000):
        fake.id_token = token
        door = Door(app.test_client(), fake)
        assert door.why_not(door.sign_in()) and not door.is_in


# --- another tenant


@pytest.mark.parametrize(
    "claims",
    [
        {"tid": "11111111-2222-4333-8444-555555555555"},
        {"tid": None},
        {"tid": TENANT.upper()},
        {"tid": [TENANT]},
    ],
)
def test_people_of_another_tenant_do_not_get_in(door: Door, fake: Fake, claims: dict[str, Any]) -> None:
    fake.claims = claims
    assert "another organisation" in door.why_not(door.sign_in("entra")) and not door.is_in


def test_entra_without_an_object_id_is_nobody(door: Door, fake: Fake) -> None:
    fake.claims = {"oid": None}
    assert "does not say who you are" in door.why_not(door.sign_in("entra")) and not door.is_in


def test_a_document_for_all_tenants_is_not_the_one_of_ours(door: Door, fake: Fake) -> None:
    fake.document = {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}
    reply = door.browser.get("/login/entra")
    assert reply.status_code == 502 and "is about another issuer" in text_of(reply.text)


# --- the way back


def test_a_way_back_works_once(app: Flask, door: Door, fake: Fake) -> None:
    address = fake.walk(door.off())
    door.back(address)
    again = door.browser.get(f"{BACK}?{urlsplit(address).query}")
    assert again.headers["Location"].endswith("/refused/used")
    exchanges = fake.seen.count("/token")
    thief = Door(app.test_client(), fake)
    assert "another browser" in thief.why_not(thief.back(address))
    assert not thief.is_in and fake.seen.count("/token") == exchanges, "the code was shown to nobody again"


def test_of_two_that_bring_it_at_once_one_gets_in(door: Door, fake: Fake, monkeypatch: Any) -> None:
    """The second has read the row before the first took it."""
    address, read = fake.walk(door.off()), SignOn.get()
    door.back(address)
    monkeypatch.setattr(SignOn, "get_or_none", lambda *_: read)
    assert "works once" in door.why_not(door.back(address)) and fake.seen.count("/token") == 1


def test_a_code_that_was_used_elsewhere_opens_nothing(door: Door, fake: Fake) -> None:
    address = fake.walk(door.off())
    next(iter(fake.codes.values())).used = True
    said = door.why_not(door.back(address))
    assert "invalid_grant" in said and not any(code in said for code in fake.codes)


def test_a_code_of_another_sign_in_opens_nothing(app: Flask, door: Door, fake: Fake) -> None:
    """Injected into the victim's own sign-in: the verifier does not fit."""
    other = query_of(fake.walk(Door(app.test_client(), fake).off()))
    mine = query_of(door.off())
    reply = door.browser.get(
        BACK, query_string={"code": other["code"], "state": mine["state"], "iss": fake.url}
    )
    assert "invalid_grant" in door.why_not(reply) and not door.is_in


def test_the_way_back_works_in_the_same_browser_only(app: Flask, door: Door, fake: Fake) -> None:
    address = fake.walk(door.off())
    victim = Door(app.test_client(), fake)
    assert "another browser" in victim.why_not(victim.back(address)) and not victim.is_in
    victim.off()  # a way of their own makes no difference
    assert "another browser" in victim.why_not(victim.back(address)) and not victim.is_in
    door.back(address)
    assert door.is_in, "nobody can spoil it for the one who began"


@pytest.mark.parametrize(
    "state", ["", "x", "x" * 43, "ä\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace")]
)
def test_a_state_that_nobody_gave_out_is_unknown_and_fills_no_log(door: Door, fake: Fake, state: str) -> None:
    before = Entry.select().count()
    reply = door.browser.get(BACK, query_string={"code": "x", "state": state})
    assert "not known here" in door.why_not(reply) and Entry.select().count() == before
    assert "/token" not in fake.seen


def test_a_way_back_works_for_ten_minutes(door: Door, fake: Fake) -> None:
    address = fake.walk(door.off())
    SignOn.update(expires_at=now() - timedelta(seconds=1)).execute()
    assert "longer than ten minutes" in door.why_not(door.back(address)) and not door.is_in


def test_old_ways_are_forgotten(door: Door) -> None:
    door.off()
    SignOn.update(created_at=now() - timedelta(days=2)).execute()
    door.off()
    assert SignOn.select().count() == 1


def test_the_answer_for_one_provider_is_none_for_the_other(door: Door, fake: Fake) -> None:
    address = fake.walk(door.off("entra"))
    reply = door.browser.get(f"{BACK}?{urlsplit(address).query}")
    assert reply.headers["Location"].endswith("/refused/elsewhere") and not door.is_in


@pytest.mark.parametrize("iss", ["https://mix-up.example", "{url}/", "", None])
def test_an_answer_of_another_issuer_is_not_believed(door: Door, fake: Fake, iss: str | None) -> None:
    fake.answer = {"iss": iss.replace("{url}", fake.url) if iss else iss}
    assert "did not come from the provider" in door.why_not(door.sign_in())
    assert not door.is_in and "/token" not in fake.seen


def test_a_provider_that_promises_no_issuer_may_leave_it_out(door: Door, fake: Fake) -> None:
    fake.document, fake.answer = {"authorization_response_iss_parameter_supported": None}, {"iss": None}
    door.sign_in()
    assert door.is_in


def test_one_parameter_twice_counts_as_none(door: Door, fake: Fake) -> None:
    address = fake.walk(door.off())
    assert "not known here" in door.why_not(door.back(f"{address}&state=other"))
    assert "without a sign-in code" in door.why_not(door.back(f"{address}&code=other"))
    assert not door.is_in and "/token" not in fake.seen


def test_whoever_cancels_reads_so(door: Door, fake: Fake) -> None:
    poison = '<script>alert(1)</script>"\r\nSet-Cookie: a=b' + "x" * 5000
    fake.answer = {"error": "access_denied", "error_description": poison, "code": None}
    reply = door.sign_in()
    page = door.browser.get(reply.headers["Location"])
    assert "<script>alert" not in page.text and "access_denied" in page.text and "Sign in" in page.text
    assert not door.is_in and refusals()[0]["provider"] == "oidc"


def test_why_not_is_for_the_browser_that_was_refused(app: Flask, door: Door, fake: Fake) -> None:
    fake.person = person("u-1", None)
    address = door.sign_in().headers["Location"]
    assert app.test_client().get(address).status_code == 404
    assert door.browser.get(address.replace("oidc", "entra")).status_code == 404


def test_a_fault_of_ours_leaves_no_code_in_the_address_bar(door: Door, fake: Fake, monkeypatch: Any) -> None:
    address = fake.walk(door.off())

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(login, "let_in", broken)
    reply = door.back(address)
    assert "a fault of its own" in door.why_not(reply) and not door.is_in


# --- what a provider publishes


BAD_DOCUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"issuer": "https://evil.example"}, "is about another issuer"),
    ({"issuer": None}, "is about another issuer"),
    ({"token_endpoint": "http://169.254.169.254/token"}, "169.254.169.254"),
    ({"token_endpoint": "https://10.0.0.1/token"}, "10.0.0.1"),
    ({"jwks_uri": "https://127.0.0.1:1/keys"}, "127.0.0.1"),
    ({"jwks_uri": "file:///etc/passwd"}, "https://"),
    ({"jwks_uri": None}, "names no jwks_uri"),
    ({"token_endpoint": ["x"]}, "names no token_endpoint"),
    ({"authorization_endpoint": "javascript:alert(1)"}, "https://"),
    ({"authorization_endpoint": "http://login.example.com/authorize"}, "http://"),
    ({"authorization_endpoint": "https://user:pass@login.example.com/"}, "user name or password"),
    ({"authorization_endpoint": "https://login.example.com/?redirect_uri=x"}, "our own parameters"),
]


def test_a_document_leads_nowhere_else(door: Door, fake: Fake) -> None:
    for document, why in BAD_DOCUMENTS:
        fake.document = document
        reply = door.browser.get("/login/oidc")
        assert reply.status_code == 502 and why in text_of(reply.text), (document, text_of(reply.text))
    assert not SignOn.select().exists()


def test_a_document_is_asked_for_once_in_some_minutes_and_a_failure_is_not_kept(
    app: Flask, door: Door, fake: Fake, monkeypatch: Any
) -> None:
    asked = "/.well-known/openid-configuration"
    fake.raw[asked] = (500, b"")
    assert [door.browser.get("/login/oidc").status_code for _ in range(2)] == [502, 502]
    fake.raw.clear()
    assert door.sign_in().headers["Location"] == "/" and fake.seen.count(asked) == 3
    fake.raw[asked] = (500, b"")
    for _ in range(3):
        assert Door(app.test_client(), fake).off().startswith(fake.url)
    assert fake.seen.count(asked) == 3, "nobody asks again"
    monkeypatch.setattr(providers, "GOOD_FOR", 0.0)
    assert Door(app.test_client(), fake).browser.get("/login/oidc").status_code == 502
    assert fake.seen.count(asked) == 4


def test_a_picture_on_another_page_begins_no_sign_in(door: Door) -> None:
    """Fifty of them would keep a whole office from signing in."""
    for place in ("image", "iframe", "script", "empty"):
        reply = door.browser.get(
            "/login/oidc", headers={"Sec-Fetch-Dest": place, "Sec-Fetch-Site": "cross-site"}
        )
        assert reply.status_code == 403 and "a page of its own" in text_of(reply.text)
    assert not SignOn.select().exists() and not Throttle.select().exists()
    link = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}
    assert door.browser.get("/login/oidc", headers=link).status_code == 303


def test_a_document_that_can_not_be_read_is_said_so(door: Door, fake: Fake) -> None:
    for status, body in (
        (200, b"<html>"),
        (200, b"[]"),
        (404, b"{}"),
        (302, b"{}"),
        (200, b"[" * 100_000),
        (200, b"\xff"),
    ):
        fake.raw["/.well-known/openid-configuration"] = (status, body)
        reply = door.browser.get("/login/oidc")
        assert reply.status_code == 502 and "openid-configuration" in text_of(reply.text), (status, body[:20])


@pytest.mark.parametrize("path", ["/token", "/keys"])
def test_answers_that_can_not_be_read_open_nothing(door: Door, fake: Fake, path: str) -> None:
    for status, body in (
        (200, b"<html>"),
        (200, b"[]"),
        (500, b"{}"),
        (200, b"{}"),
        (200, b'{"keys": 7}'),
        (200, b"null"),
    ):
        fake.raw[path] = (status, body)
        assert door.why_not(door.sign_in()) and not door.is_in, (status, body)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
def test_a_flood_ends_at_its_limit(door: Door, fake: Fake, path: str) -> None:
    fake.raw[path], fake.floods = (200, b"{"), True
    begun = path.startswith("/.")
    said = text_of(door.browser.get("/login/oidc").text) if begun else door.why_not(door.sign_in())
    assert "is larger than 1 MB" in said and not door.is_in


def test_a_provider_that_drips_is_not_waited_for(door: Door, fake: Fake, monkeypatch: Any) -> None:
    monkeypatch.setattr("webapp.upstream.provider.SECONDS", 0.5)
    fake.raw["/.well-known/openid-configuration"], fake.drips = (200, b"{"), True
    reply = door.browser.get("/login/oidc")
    assert reply.status_code == 502 and "0.5 seconds" in text_of(reply.text)


def test_beginnings_are_counted_for_each_network(furnished: Any, config: Config, fake: Fake) -> None:
    databases.copy(furnished, config.data)
    made = create_app(replace(config, login_tries=1))
    door = Door(made.test_client(), fake)
    for _ in range(5):
        door.off()
    assert door.browser.get("/login/oidc").status_code == 429
    assert Throttle.select().where(Throttle.bucket.contains("sign-on")).count() == 1
    database.close()


# --- passwords for admins only


def test_passwords_may_be_for_admins_only(furnished: Any, config: Config) -> None:
    databases.copy(furnished, config.data)
    made = create_app(replace(config, password_sign_in="admins"))
    for role, status in (("admin", 303), ("technician", 403)):
        client = made.test_client()
        form = {
            "email": f"{role}@example.com",
            "password": PASSWORD,
            "csrf_token": token_in(client.get("/login").text),
        }
        assert client.post("/login", data=form).status_code == status
    assert not Session.select().join(User).where(User.role == "technician").exists()
    database.close()


# --- settings

ENTRA_SET = {"ENTRA_TENANT": TENANT.upper(), "ENTRA_CLIENT_ID": "app", "ENTRA_CLIENT_SECRET": "x" * 40}
OIDC_SET = {
    "OIDC_ISSUER": "https://id.example.com/realms/ours/",
    "OIDC_CLIENT_ID": "app",
    "OIDC_CLIENT_SECRET": "x" * 40,
}


def test_settings_of_both_kinds(tmp_path: Any) -> None:
    (tmp_path / "secret").write_text("y" * 40 + "\n")
    more = {"OIDC_CLIENT_SECRET": "", "OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret"), "OIDC_NAME": "Keycloak",
            "OIDC_ROLES": "gate=way=admin, Helpdesk = technician", "OIDC_ROLES_CLAIM": "groups"}  # fmt: skip
    entra, oidc = from_environment(ENTRA_SET | OIDC_SET | more).providers
    assert (entra.name, entra.issuer) == ("Microsoft", f"https://login.microsoftonline.com/{TENANT}/v2.0")
    assert entra.tenant == TENANT and entra.roles == {role: role for role in ROLES}
    assert (oidc.name, oidc.issuer, oidc.client_secret) == ("Keycloak", OIDC_SET["OIDC_ISSUER"], "y" * 40)
    assert (oidc.roles, oidc.roles_claim) == ({"gate=way": "admin", "Helpdesk": "technician"}, "groups")
    assert "x" * 40 not in repr(entra) and from_environment({}).providers == ()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (ENTRA_SET | {"ENTRA_TENANT": "common"}, "ENTRA_TENANT must be"),
        (ENTRA_SET | {"ENTRA_TENANT": "organizations"}, "ENTRA_TENANT must be"),
        (ENTRA_SET | {"ENTRA_TENANT": "contoso.onmicrosoft.com"}, "ENTRA_TENANT must be"),
        (ENTRA_SET | {"ENTRA_CLIENT_SECRET": ""}, "ENTRA_CLIENT_SECRET is missing"),
        (ENTRA_SET | {"ENTRA_AUTHORITY": "http://login.example.com"}, "ENTRA_AUTHORITY must be an https"),
        ({"ENTRA_TENANT": TENANT}, "ENTRA_CLIENT_ID is missing"),
        (OIDC_SET | {"OIDC_ISSUER": "http://id.example.com"}, "OIDC_ISSUER must be an https"),
        (OIDC_SET | {"OIDC_ISSUER": "https://id.example.com/?x=y"}, "OIDC_ISSUER must be"),
        (OIDC_SET | {"OIDC_ISSUER": "https://["}, "OIDC_ISSUER must be"),
        (OIDC_SET | {"OIDC_ROLES": "Helpdesk=boss"}, "OIDC_ROLES must be pairs"),
        (OIDC_SET | {"OIDC_ROLES": "admin"}, "OIDC_ROLES must be pairs"),
        (OIDC_SET | {"OIDC_CLIENT_SECRET": "short"}, "OIDC_CLIENT_SECRET must have"),
        ({"OIDC_ROLES": "a=admin"}, "OIDC_ISSUER is missing"),
        ({"PASSWORD_SIGN_IN": "admins"}, "needs a provider"),
        (OIDC_SET | {"PASSWORD_SIGN_IN": "nobody"}, "must be everyone or admins"),
    ],
)
def test_settings_that_can_not_be_used_are_refused_with_a_sentence(
    settings: dict[str, str], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        from_environment(settings)


def test_gatehouse_opened_elsewhere_than_the_provider_sends_back_to(furnished: Any, config: Config) -> None:
    databases.copy(furnished, config.data)
    made = create_app(replace(config, public_url="https://gate.example.com", trusted_hosts=("localhost",)))
    reply = made.test_client().get("/login/oidc")
    assert reply.status_code == 422 and "Open Gatehouse at https://gate.example.com" in reply.text
    create_app(config)
    database.close()
