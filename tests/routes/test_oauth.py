"""Signing in to a server in the browser, through HTTP: the pages, the jump, the way back, and every refusal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.authority import Service, authority
from tests.routes.settings_house import SETTINGS
from tests.routes.visitors import HTMX, Visitor, opened, text_of
from webapp.services import checks, integrations, sign_ins
from webapp.services.audit import COMMAND
from webapp.store.fields import now
from webapp.store.models import Connection, Entry, Grant, OAuthClient, SignIn, database

SETUP = f"{SETTINGS}/notes/setup"
BEGIN = f"{SETUP}/sign-in/oauth"


@pytest.fixture
def service() -> Iterator[Service]:
    with authority(email="ops@msp.example") as one:
        yield one


@pytest.fixture
def draft(app: Flask, service: Service) -> str:
    """Checked, so that the wizard knows that it wants a sign-in in the browser."""
    with database.connection_context():
        added = integrations.add_server(service.mcp_url, COMMAND, name="notes")
        checks.run(integrations.allow_private(added, service.allowance(), COMMAND))
    return "notes"


@pytest.fixture
def rows(app: Flask) -> Iterator[None]:
    with database.connection_context():
        yield


def begun(visitor: Visitor, **form: str) -> str:
    """The page before the jump."""
    reply = visitor.post(BEGIN, **form)
    assert reply.status_code == 303, text_of(reply.text)
    assert re.fullmatch(r"/oauth/sign-in/[\w-]{20,}", reply.location)
    return str(reply.location)


def jumped(visitor: Visitor, page: str) -> str:
    reply = visitor.browser.get(f"{page}/go")
    assert reply.status_code == 303
    return str(reply.location)


def back(visitor: Visitor, callback: str) -> TestResponse:
    parts = urlsplit(callback)
    return visitor.browser.get(f"{parts.path}?{parts.query}")


def signed_in(visitor: Visitor, service: Service) -> TestResponse:
    return back(visitor, service.walk(jumped(visitor, begun(visitor))))


# --- the way


def test_a_server_is_signed_in_to_in_the_browser(
    admin: Visitor, service: Service, draft: str, rows: None
) -> None:
    step = text_of(admin.get(f"{SETUP}/sign-in"))
    assert f"Sign in at 127.0.0.1:{service.port}" in step and "Use a bearer token instead" in step
    page = begun(admin)
    text = text_of(admin.get(page))
    for shown in (
        service.issuer,
        "notes.read",
        "http://localhost/oauth/callback",
        "a registration it just made",
    ):
        assert shown in text
    reply = back(admin, service.walk(jumped(admin, page)))
    assert reply.status_code == 303 and reply.location == f"{SETUP}/tools"
    tools = text_of(admin.get(reply.location))
    assert "2 Auto, 1 Approval needed" in tools
    admin.post(f"{SETUP}/tools")
    server = text_of(admin.get(f"{SETTINGS}/notes"))
    assert "OAuth" in server and "ops@msp.example" in server and "Connected" in server
    assert Connection.get().account == "ops@msp.example"


def test_what_leaves_for_the_sign_in_service_is_all_it_should_be(
    admin: Visitor, service: Service, draft: str
) -> None:
    signed_in(admin, service)
    asked = service.asked("/authorize")[0].query
    assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) >= 43 and len(asked["code_challenge"]) == 43
    assert asked["resource"] == service.mcp_url
    assert asked["redirect_uri"] == "http://localhost/oauth/callback"
    exchanged = service.asked("/token")[0].form
    assert exchanged["resource"] == service.mcp_url and exchanged["redirect_uri"] == asked["redirect_uri"]
    assert 43 <= len(exchanged["code_verifier"]) <= 128


def test_no_page_holds_a_state_a_verifier_or_a_code(admin: Visitor, service: Service, draft: str) -> None:
    page = begun(admin)
    before = admin.get(page)
    url = jumped(admin, page)
    state = dict(part.split("=", 1) for part in urlsplit(url).query.split("&"))["state"]
    after = admin.get(page)
    reply = back(admin, service.walk(url))
    pages = [before, after, reply.text, admin.get(reply.location), admin.get(page), admin.get("/activity")]
    pages.append(admin.get(f"{SETTINGS}/notes/check"))
    for secret in (state, service.asked("/token")[0].form["code_verifier"], *service.secrets):
        assert not [one for one in pages if secret in one]


def test_htmx_is_told_where_to_go(admin: Visitor, draft: str) -> None:
    reply = admin.post(BEGIN, htmx=True)
    assert reply.status_code == 204 and reply.headers["HX-Redirect"].startswith("/oauth/sign-in/")


def test_a_second_jump_voids_the_first(admin: Visitor, service: Service, draft: str) -> None:
    page = begun(admin)
    first, second = jumped(admin, page), jumped(admin, page)
    assert back(admin, service.walk(first)).location == "/oauth/ended/unknown"
    assert back(admin, service.walk(second)).location == f"{SETUP}/tools"


def test_signing_in_again_keeps_the_tools_and_says_so_on_the_servers_page(
    admin: Visitor, service: Service, draft: str, rows: None
) -> None:
    signed_in(admin, service)
    admin.post(f"{SETUP}/tools")
    service.revoke_grant()
    admin.post(f"{SETTINGS}/notes/sync")
    page = admin.get(f"{SETTINGS}/notes")
    assert "Sign-in expired" in text_of(page) and ">Reconnect<" in page
    assert signed_in(admin, service).location == f"{SETTINGS}/notes"
    assert "Connected" in text_of(admin.get(f"{SETTINGS}/notes"))
    assert Grant.get().version == 2


# --- who may


@pytest.mark.parametrize("role", ["technician", "viewer"])
def test_only_an_admin_signs_in(app: Flask, role: str, draft: str, service: Service) -> None:
    visitor = Visitor.signed_in(app, role)
    assert visitor.post(BEGIN).status_code == 403
    assert not service.asked("/register")


def test_the_page_is_for_the_browser_that_began(
    app: Flask, admin: Visitor, client: FlaskClient, draft: str
) -> None:
    page = begun(admin)
    other = Visitor.signed_in(app, "admin")
    for path in (page, f"{page}/go"):
        assert other.browser.get(path).status_code == 404
        assert client.get(path).status_code == 303 and "/login" in client.get(path).location


@pytest.mark.parametrize("who", ["nobody", "another browser", "signed out since"])
def test_the_way_back_works_in_the_same_browser_only(
    app: Flask, admin: Visitor, service: Service, draft: str, rows: None, who: str
) -> None:
    callback = service.walk(jumped(admin, begun(admin)))
    if who == "signed out since":
        admin.post("/logout")
    stranger = app.test_client() if who == "nobody" else admin.browser
    if who == "another browser":
        stranger = Visitor.signed_in(app, "admin").browser
    parts = urlsplit(callback)
    reply = stranger.get(f"{parts.path}?{parts.query}")
    assert reply.status_code == 303 and reply.location == "/oauth/ended/elsewhere"
    assert "begun in another browser" in text_of(stranger.get(reply.location).text)
    assert service.exchanges == 0 and Grant.select().count() == 0
    refused = Entry.select().where(Entry.action == "sign_in.refused").get()
    assert refused.outcome == "refused"


# --- what comes back


def test_a_way_back_works_once(admin: Visitor, service: Service, draft: str) -> None:
    callback = service.walk(jumped(admin, begun(admin)))
    assert back(admin, callback).location == f"{SETUP}/tools"
    reply = back(admin, callback)
    assert reply.location == "/oauth/ended/used" and service.exchanges == 1


def test_a_way_back_works_for_ten_minutes(admin: Visitor, service: Service, draft: str, rows: None) -> None:
    page = begun(admin)
    callback = service.walk(jumped(admin, page))
    SignIn.update(expires_at=now()).execute()
    assert back(admin, callback).location == "/oauth/ended/expired"
    assert "longer than ten minutes" in text_of(admin.get(page))
    assert admin.browser.get(f"{page}/go").status_code == 409
    assert service.exchanges == 0


def test_a_fault_of_ours_leaves_no_code_in_the_address_bar(
    admin: Visitor, service: Service, draft: str, rows: None
) -> None:
    callback = service.walk(jumped(admin, begun(admin)))
    database.execute_sql('ALTER TABLE "grant" RENAME TO "lost"')
    reply = back(admin, callback)
    assert (reply.status_code, reply.location) == (303, "/oauth/ended/failed")
    shown = text_of(admin.get(reply.location))
    assert "fault of its own" in shown and "Integrations" in shown


@pytest.mark.parametrize(
    "query", ["", "?state=", "?state=x", "?code=c&state=" + "s" * 5000, "?state=%ff%fe", "?x=1"]
)
def test_a_way_back_that_belongs_to_nothing_is_refused(admin: Visitor, draft: str, query: str) -> None:
    reply = admin.browser.get(f"/oauth/callback{query}")
    assert (reply.status_code, reply.location) == (303, "/oauth/ended/unknown")


def test_a_parameter_that_comes_twice_counts_for_nothing(
    admin: Visitor, service: Service, draft: str
) -> None:
    callback = service.walk(jumped(admin, begun(admin)))
    reply = back(admin, callback + "&code=another")
    assert service.exchanges == 0
    assert "without a sign-in code" in text_of(admin.get(reply.location))


def refusals() -> list[tuple[str, Callable[[Service], Any], str]]:
    return [
        (
            "pressed Cancel",
            lambda s: setattr(s.faults, "consent", "access_denied"),
            "Somebody pressed Cancel",
        ),
        ("wrong iss", lambda s: setattr(s.faults, "iss", "wrong"), "did not come from the sign-in service"),
        ("no iss", lambda s: setattr(s.faults, "iss", "missing"), "did not come from the sign-in service"),
        ("html token", lambda s: setattr(s.faults, "token", "html"), "not with a token"),
        (
            "500",
            lambda s: (setattr(s.faults, "token_status", 500), setattr(s.faults, "token_troubles", -1)),
            "answered 500",
        ),
    ]


@pytest.mark.parametrize(("fault", "words"), [pytest.param(f, w, id=i) for i, f, w in refusals()])
def test_a_sign_in_that_fails_says_why_and_offers_ways_on(
    admin: Visitor, service: Service, draft: str, rows: None, fault: Callable[[Service], Any], words: str
) -> None:
    page = begun(admin)
    fault(service)
    reply = back(admin, service.walk(jumped(admin, page)))
    assert reply.status_code == 303 and reply.location == page
    shown = admin.get(page)
    assert words in text_of(shown)
    assert "Try again" in shown and "Use a token instead" in shown
    assert Grant.select().count() == 0 and integrations.find("notes").state == "draft"


POISON = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


@pytest.mark.parametrize("name", ["error", "error_description", "iss", "state", "code"])
def test_nothing_that_comes_back_runs_on_a_page(
    admin: Visitor, service: Service, draft: str, name: str
) -> None:
    page = begun(admin)
    state = dict(part.split("=", 1) for part in urlsplit(jumped(admin, page)).query.split("&"))["state"]
    query: dict[str, str] = {"state": state, "error": "server_error"} if name != "code" else {"state": state}
    query[name] = POISON
    reply = admin.browser.get("/oauth/callback", query_string=query)
    assert reply.status_code == 303 and "?" not in reply.location
    assert "<script>alert" not in admin.get(reply.location) and "onerror=alert(2)>" not in admin.get(page)


# --- before the jump


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"pkce": "plain"}, "does not offer PKCE"),
        ({"pkce": "silent"}, "does not offer PKCE"),
        ({"resource_metadata": "elsewhere"}, "about another server"),
        ({"issuer": "https://evil.example"}, "calls itself"),
        ({"page": "http"}, "is not encrypted"),
        ({"page": "userinfo"}, "user name or password"),
        ({"page": "javascript"}, "does not describe itself"),
        ({"lures": {"token_endpoint": "link-local"}}, "169.254.169.254"),
        ({"lures": {"registration_endpoint": "private"}}, "10.0.0.1"),
        ({"registration": "refused"}, "refused to register us"),
        ({"resource_metadata": "trouble"}, "answered 500"),
    ],
)
def test_what_the_standard_forbids_stops_before_the_jump(
    admin: Visitor, service: Service, draft: str, rows: None, faults: dict[str, Any], words: str
) -> None:
    for name, value in faults.items():
        setattr(service.faults, name, value)
    reply = admin.post(BEGIN)
    assert reply.status_code in (422, 502)
    text = text_of(reply.text)
    assert words in text and "Use a bearer token instead" in text
    assert SignIn.select().count() == 0
    assert not re.findall(r'href="(?!https?:|/|#)[^"]*"', reply.text)
    assert not service.asked("/authorize") and not service.asked("/token") and not service.decoy_hits


def test_a_service_silent_on_pkce_may_be_trusted_by_an_admin(
    admin: Visitor, service: Service, draft: str
) -> None:
    service.faults.pkce = "silent"
    reply = admin.post(f"{SETUP}/sign-in/dialect", pkce_unannounced="yes", introduce="auto")
    assert reply.status_code == 200 and "Saved." in reply.text
    assert signed_in(admin, service).location == f"{SETUP}/tools"
    assert service.asked("/authorize")[0].query["code_challenge_method"] == "S256"


def test_the_resource_can_be_left_out_for_services_that_refuse_it(
    admin: Visitor, service: Service, draft: str
) -> None:
    service.faults.resource_rule = "refuse"
    page = begun(admin)
    reply = back(admin, service.walk(jumped(admin, page)))
    assert "leave the resource out" in text_of(admin.get(reply.location))
    admin.post(f"{SETUP}/sign-in/dialect", resource="none", introduce="auto")
    assert signed_in(admin, service).location == f"{SETUP}/tools"
    assert "resource" not in service.asked("/token")[-1].form


def test_the_resource_can_have_another_name(admin: Visitor, service: Service, draft: str, rows: None) -> None:
    service.faults.resource_rule, service.faults.resources = "require", ("api://notes",)
    dialect = f"{SETUP}/sign-in/dialect"
    for odd in ("", "no address"):
        reply = admin.post(dialect, resource="other", other_resource=odd, introduce="auto")
        assert reply.status_code == 422 and 'name="other_resource"' in reply.text
    assert (
        admin.post(dialect, resource="other", other_resource="api://notes", introduce="auto").status_code
        == 200
    )
    assert signed_in(admin, service).location == f"{SETUP}/tools"
    assert service.asked("/token")[-1].form["resource"] == "api://notes"
    admin.post(f"{SETTINGS}/notes/setup/check")
    assert "by another name" not in text_of(admin.get(f"{SETTINGS}/notes/check"))


def test_extra_scopes_are_asked_for_and_odd_ones_refused(
    admin: Visitor, service: Service, draft: str
) -> None:
    assert admin.post(f"{SETUP}/sign-in/dialect", extra_scope='a"b', introduce="auto").status_code == 422
    admin.post(f"{SETUP}/sign-in/dialect", extra_scope="offline_access", introduce="auto")
    assert "offline_access" in text_of(admin.get(begun(admin)))


def test_a_service_without_registration_asks_for_a_client_id(
    admin: Visitor, service: Service, draft: str, rows: None
) -> None:
    service.faults.registration = "absent"
    reply = admin.post(BEGIN)
    assert reply.status_code == 422
    assert "http://localhost/oauth/callback" in reply.text and 'data-copy="#return-address"' in reply.text
    app = service.client("basic", "http://localhost/oauth/callback")
    reply = admin.post(f"{SETUP}/sign-in/client", issuer=service.issuer, client_id="", client_secret="")
    assert reply.status_code == 422 and "client id is missing" in text_of(reply.text)
    reply = admin.post(
        f"{SETUP}/sign-in/client", issuer=service.issuer, client_id=app.client_id, client_secret=app.secret
    )
    assert reply.status_code == 303
    page = str(reply.location)
    assert "the client id that was entered here" in text_of(admin.get(page))
    assert back(admin, service.walk(jumped(admin, page))).location == f"{SETUP}/tools"
    assert service.asked("/token")[0].headers["authorization"].startswith("Basic ")
    assert OAuthClient.get().issuer == service.issuer


def test_a_service_that_refuses_to_register_us_asks_for_a_client_id(
    admin: Visitor, service: Service, draft: str
) -> None:
    service.faults.registration = "refused"
    reply = admin.post(BEGIN)
    assert reply.status_code == 422 and "refused to register us" in text_of(reply.text)
    assert 'data-copy="#return-address"' in reply.text and 'name="client_id"' in reply.text


@pytest.mark.parametrize(
    ("consent", "words"),
    [
        ("invalid_target", "Change how the server is named"),
        ("invalid_scope", "Try again with what the server asks for"),
        ("unauthorized_client", "Enter a client id from the vendor"),
    ],
)
def test_a_refusal_that_a_switch_would_help_leads_there(
    admin: Visitor, service: Service, draft: str, consent: str, words: str
) -> None:
    page = begun(admin)
    service.faults.consent = consent
    back(admin, service.walk(jumped(admin, page)))
    assert words in text_of(admin.get(page))


def test_where_tokens_come_from_is_said_if_it_is_elsewhere_than_the_page(
    admin: Visitor, service: Service, draft: str
) -> None:
    assert "Tokens come from" not in admin.get(begun(admin))
    service.faults.published = {"authorization_endpoint": "https://signin.example/authorize"}
    shown = text_of(admin.get(begun(admin)))
    assert "Sign in at signin.example" in shown and "Tokens come from 127.0.0.1" in shown
    assert "two different hosts" in shown


def test_a_client_secret_goes_to_the_service_that_the_page_named(
    admin: Visitor, service: Service, draft: str, rows: None
) -> None:
    """A check in between, and the server names somebody else by then."""
    service.faults.registration = "absent"
    app = service.client("basic", "http://localhost/oauth/callback")
    seen = re.search(r'name="issuer" value="([^"]+)"', admin.post(BEGIN).text)
    assert seen and seen[1] == service.issuer
    with authority(registration="absent") as other:
        service.faults.authorization_servers = [other.issuer]
        checks.run(integrations.allow_private(integrations.find("notes"), other.allowance(), COMMAND))
        form = {"issuer": seen[1], "client_id": app.client_id, "client_secret": app.secret}
        reply = admin.post(f"{SETUP}/sign-in/client", **form)
        assert reply.status_code == 422 and app.secret not in reply.text
        assert "names another sign-in service" in text_of(reply.text)
        assert f'name="issuer" value="{other.issuer}"' in reply.text
        assert OAuthClient.select().count() == 0 and not other.asked("/token")


def test_a_client_id_is_never_shown_to_another_service(admin: Visitor, service: Service, draft: str) -> None:
    app = service.client("none", "http://localhost/oauth/callback")
    admin.post(f"{SETUP}/sign-in/client", issuer=service.issuer, client_id=app.client_id, client_secret="")
    with authority() as other:
        service.faults.authorization_servers = [other.issuer]
        with database.connection_context():
            integrations.allow_private(integrations.find("notes"), other.allowance(), COMMAND)
        reply = admin.post(BEGIN)
        assert reply.status_code == 422 and "given out by" in text_of(reply.text)
        assert not other.asked("/authorize") and not other.asked("/token")


def test_a_service_that_moved_is_pointed_out_before_the_jump(
    admin: Visitor, service: Service, draft: str, rows: None
) -> None:
    signed_in(admin, service)
    with authority() as other:
        service.faults.authorization_servers = [other.issuer]
        integrations.allow_private(integrations.find("notes"), other.allowance(), COMMAND)
        text = text_of(admin.get(begun(admin)))
    assert "names another sign-in service than before" in text and service.issuer in text


# --- our own address


def visitor_at(app_data: Any, **settings: Any) -> Visitor:
    return Visitor.signed_in(opened(app_data, **settings))


@pytest.fixture
def lan(app: Flask, draft: str) -> Visitor:
    """Over http under a name of the own network, where no sign-in service sends anybody."""
    data = app.extensions["gatehouse"].data
    return Visitor.signed_in(opened(data, public_url="http://gate.lan:8000", trusted_hosts=("localhost",)))


def brought_by_hand(admin: Visitor, service: Service, page: str) -> str:
    callback = service.walk(jumped(admin, page))
    assert callback.startswith("http://127.0.0.1:8000/oauth/callback?")
    assert admin.post(f"{page}/pasted", address="https://evil.example/?code=1").status_code == 422
    reply = admin.post(f"{page}/pasted", address=f"  {callback} ")
    assert reply.status_code == 303
    return str(reply.location)


def test_over_plain_http_the_problem_is_said_before_the_jump_and_the_address_is_pasted(
    lan: Visitor, service: Service
) -> None:
    text = text_of(lan.get(f"{SETUP}/sign-in"))
    assert "own address begins with http://" in text and "Sign in and paste the address by hand" in text
    assert brought_by_hand(lan, service, begun(lan)) == f"{SETUP}/tools"
    lan.post(f"{SETUP}/tools")
    assert ">Reconnect<" in lan.get(f"{SETTINGS}/notes")
    assert brought_by_hand(lan, service, begun(lan)) == f"{SETTINGS}/notes", "by that button as well"


def test_over_plain_http_the_address_to_register_is_the_one_that_is_used(
    lan: Visitor, service: Service
) -> None:
    service.faults.registration = "absent"
    shown = lan.get(f"{SETUP}/sign-in?way=client")
    address = "http://127.0.0.1:8000/oauth/callback"
    assert f'<pre id="return-address" tabindex="0">{address}</pre>' in shown
    app = service.client("none", address)
    form = {"issuer": service.issuer, "client_id": app.client_id, "client_secret": ""}
    reply = lan.post(f"{SETUP}/sign-in/client", **form)
    assert brought_by_hand(lan, service, str(reply.location)) == f"{SETUP}/tools"


def test_who_came_by_another_name_is_sent_to_the_public_one(app: Flask, draft: str) -> None:
    app = opened(app.extensions["gatehouse"].data, public_url="https://gate.example.com")
    visitor = Visitor.signed_in(app)
    for way in ("", "?way=client"):
        page = visitor.get(f"{SETUP}/sign-in{way}")
        assert f'href="https://gate.example.com{SETUP}/sign-in{way}"' in page
        assert f'action="{BEGIN}"' not in page and 'name="client_id"' not in page
    reply = visitor.post(BEGIN)  # as Reconnect does
    assert reply.status_code == 422 and "https://gate.example.com" in reply.text


@pytest.mark.parametrize(
    ("public_url", "served"),
    [
        ("https://gate.example.com", True),
        ("https://gate.lan", False),
        ("https://10.0.0.5", False),
        ("https://gate", False),
        ("http://gate.example.com", False),
        ("", False),
    ],
)
def test_the_client_document_is_served_where_others_can_read_it(
    app: Flask, public_url: str, served: bool
) -> None:
    client = opened(app.extensions["gatehouse"].data, public_url=public_url).test_client()
    reply = client.get("/.well-known/oauth-client/gatehouse.json")
    assert reply.status_code == (200 if served else 404)
    if served:
        assert reply.is_json and reply.json
        assert reply.json["client_id"] == f"{public_url}/.well-known/oauth-client/gatehouse.json"
        assert reply.json["redirect_uris"] == [f"{public_url}/oauth/callback"]
        assert reply.json["token_endpoint_auth_method"] == "none"
        assert reply.json["grant_types"] == ["authorization_code", "refresh_token"]


def test_pages_about_endings_have_fixed_words(client: FlaskClient) -> None:
    for reason in sign_ins.ENDINGS:
        assert sign_ins.ENDINGS[reason] in unescape(client.get(f"/oauth/ended/{reason}").text)
    assert client.get("/oauth/ended/<script>").status_code == 404
    assert client.get("/oauth/ended/unknown", headers=HTMX).status_code == 200
