"""The connection doctor from outside: each fault has its line, its next step and a way out; nothing secret is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests import databases
from tests.authority import Service, authority
from tests.canaries import leaks
from tests.house import served
from tests.routes.settings_house import (  # noqa: F401
    SETTINGS,
    Connect,
    admin,
    app,
    checked,
    connect,
    furnished,
    meadow,
    servers,
    technician,
    value_of,
    viewer,
)
from tests.routes.visitors import Visitor, opened, plain, text_of
from tests.services.farm import Farm
from tests.signing_in import answer_of, connected
from tests.upstream.zoo import Answer, Ask, always, as_json, error, guarded, modern, page
from webapp.practice import create_app as practice_app
from webapp.services import checks, connections, integrations, sync
from webapp.services.audit import COMMAND
from webapp.store.models import Check, Grant, Integration, database
from webapp.upstream.findings import Finding

# ruff: noqa: F811
NOTES = f"{SETTINGS}/notes"
WIZARD = f"{NOTES}/setup/check"
CHECK = f"{NOTES}/check"


def begun(admin: Visitor, address: str) -> str:
    """The wizard's check page of a new server, with what it may use in the own network allowed."""
    admin.post(f"{SETTINGS}/new", url=address, name="notes")
    checked("notes")
    for _ in range(2):
        html = admin.get(WIZARD)
        if 'name="place"' in html:
            admin.post(f"{WIZARD}/allow", place=value_of(html, "place"))
            checked("notes")
    return admin.get(WIZARD)


def looked_again(visitor: Visitor) -> str:
    """The check page of a server in use, after one more look."""
    assert visitor.post(CHECK).status_code == 303
    checked("notes")
    return visitor.get(CHECK)


def line(html: str, step: str) -> str:
    """What the page says of one step."""
    found = re.search(rf'<li id="check-{step}".*?\n    </li>', html, re.S)
    assert found, f"no line for {step}: {text_of(html)}"
    return text_of(found[0])


def report(html: str) -> str:
    assert 'data-copy="#check-report"' in html
    found = re.search(r'<pre id="check-report"[^>]*>(.*?)</pre>', html, re.S)
    assert found
    return unescape(found[1])


def ways(html: str) -> list[str]:
    """Where the ways out lead."""
    found = re.search(r'<section class="ways-out".*?</section>', html, re.S)
    return [unescape(way) for way in re.findall(r'(?:href|action)="([^"]+)"', found[0])] if found else []


# --- every kind of fault of a sign-in has its line


@dataclass(frozen=True)
class Fault:
    """`said` and `next_step` are pieces of the step's line; `way` is the end of one way out."""

    faults: dict[str, Any]
    step: str
    said: str
    next_step: str
    way: str = "?way=bearer"
    state: str = "Problem"
    seen: tuple[str, ...] = field(default=())


WELL_KNOWN = "/.well-known/oauth-protected-resource/mcp → "
SERVICE = "/.well-known/oauth-authorization-server → "
FAULTS = {
    "the named document is missing": Fault(
        {"resource_metadata": "missing", "metadata": "missing"},
        "resource_metadata", "nothing can be read there", "use a token instead", "?way=oauth#old-note",
        seen=(WELL_KNOWN + "404 Not Found",),
    ),
    "about another server": Fault(
        {"resource_metadata": "elsewhere"},
        "resource_metadata", "about another server: https://other.example/mcp", "Check the Server URL", "/address",
        seen=("resource: https://other.example/mcp",),
    ),
    "trouble at the resource": Fault(
        {"resource_metadata": "trouble"}, "resource_metadata", "answered 500", "Try again later",
        seen=(WELL_KNOWN + "500 Internal Server Error",),
    ),
    "no metadata of the service": Fault(
        {"metadata": "missing"}, "service_metadata", "does not describe itself", "use a token instead",
        seen=(SERVICE + "404 Not Found", "/.well-known/openid-configuration → 404"),
    ),
    "trouble at the service": Fault(
        {"metadata": "trouble"}, "service_metadata", "answered 500", "Try again later", seen=(SERVICE + "500",)
    ),
    "no usable metadata": Fault(
        {"page": "javascript"}, "service_metadata", "authorization_endpoint is not usable", "use a token instead"
    ),
    "another issuer": Fault(
        {"issuer": "https://evil.example"}, "service_metadata", "calls itself https://evil.example", "use a token"
    ),
    "no PKCE": Fault(
        {"pkce": "plain"}, "service_metadata", "does not offer PKCE", "use an API token instead",
        seen=("code_challenge_methods_supported: plain",),
    ),
    "silent on PKCE": Fault(
        {"pkce": "silent"}, "service_metadata", "or does not say so", "under Advanced", "?way=oauth#pkce-note",
        seen=("code_challenge_methods_supported: not said",),
    ),
    "a page in the clear": Fault(
        {"page": "http"}, "service_metadata", "is not encrypted", "use a token instead", seen=("signin.example",)
    ),
    "a page with a user name": Fault(
        {"page": "userinfo"}, "service_metadata", "has a user name or password in it", "use a token instead"
    ),
    "a lure to the cloud's machinery": Fault(
        {"lures": {"authorization_servers": "link-local"}}, "service_metadata",
        "a place where Gatehouse does not go", "use a token instead", seen=("169.254.169.254",),
    ),
    "no registration": Fault(
        {"registration": "absent"}, "registration", "wants a client id", "Register an app there",
        "?way=client", "Note", ("registration_endpoint: no",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_of_a_sign_in_has_its_line_its_evidence_and_a_way_out(admin: Visitor, name: str) -> None:
    fault = FAULTS[name]
    with authority(**fault.faults) as service:
        html = begun(admin, service.mcp_url)
    said = line(html, fault.step)
    for piece in (fault.state, fault.said, "Next:", fault.next_step):
        assert piece in said
    for piece in fault.seen:
        assert piece in said and piece in report(html)
    assert f'{fault.way}">' in html
    assert ways(html)
    assert fault.said in report(html)
    assert "Try again" in html


@pytest.mark.parametrize("name", FAULTS)
def test_no_way_out_is_a_dead_end(admin: Visitor, name: str) -> None:
    with authority(**FAULTS[name].faults) as service:
        html = begun(admin, service.mcp_url)
        found = ways(html)
        assert found
        for way in found:
            address, _, place = way.partition("#")
            there = admin.get(address)
            assert "<form" in there
            assert not place or f'id="{place}"' in there
        token = f"{NOTES}/setup/sign-in?way=bearer"
        assert f'href="{token}"' in html and "Bearer token" in text_of(admin.get(token))


def test_the_switch_for_old_servers_is_a_way_that_leads_to_the_end(admin: Visitor) -> None:
    with authority(resource_metadata="missing", metadata="missing") as service:
        assert f"{NOTES}/setup/sign-in?way=oauth#old-note" in ways(begun(admin, service.mcp_url))
        admin.post(f"{NOTES}/setup/sign-in/dialect", old_endpoints="yes")
        admin.post(f"{NOTES}/setup/check")
        checked("notes")
        html = admin.get(WIZARD)
        assert "usual addresses of old servers" in line(html, "service_metadata")
        assert "Continue: sign in" in html
        assert came_back(admin, service) == f"{NOTES}/setup/tools"


def test_the_switch_for_silent_services_is_a_way_that_leads_to_the_end(admin: Visitor) -> None:
    with authority(pkce="silent") as service:
        assert "Continue: enter a token" in begun(admin, service.mcp_url)
        admin.post(f"{NOTES}/setup/sign-in/dialect", pkce_unannounced="yes")
        admin.post(f"{NOTES}/setup/check")
        checked("notes")
        html = admin.get(WIZARD)
        assert "An admin has set so under Advanced" in line(html, "service_metadata")
        assert "Continue: sign in" in html
        assert came_back(admin, service) == f"{NOTES}/setup/tools"


def came_back(admin: Visitor, service: Service) -> str:
    """From the sign-in step to wherever the way back leads."""
    before = admin.post(f"{NOTES}/setup/sign-in/oauth")
    assert before.status_code == 303, text_of(before.text)
    jump = admin.browser.get(f"{before.location}/go")
    return str(
        admin.browser.get("/oauth/callback", query_string=answer_of(service.walk(jump.location))).location
    )


def test_a_client_id_that_is_wanted_is_said_at_the_top(admin: Visitor) -> None:
    with authority(registration="absent") as service:
        html = begun(admin, service.mcp_url)
        assert "something is needed first" in html and "all is well" not in html
        app = service.client("none", "http://localhost/oauth/callback")
        admin.post(
            f"{NOTES}/setup/sign-in/client", issuer=service.issuer, client_id=app.client_id, client_secret=""
        )
        admin.post(f"{NOTES}/setup/check")
        checked("notes")
        html = admin.get(WIZARD)
        assert "A client id was entered for 127.0.0.1" in line(html, "registration")
        assert f"client_id: {app.client_id}" in report(html) and "all is well" in html


def test_a_server_that_publishes_nothing_may_be_an_old_one(admin: Visitor) -> None:
    with authority(resource_metadata="missing", metadata="missing", challenge="bare") as service:
        html = begun(admin, service.mcp_url)
    assert "The server wants a token" in line(html, "sign_in")
    assert "Other ways" in html and "Continue: sign in" in html
    assert f"{NOTES}/setup/sign-in?way=oauth#old-note" in ways(html)


# --- faults before the sign-in


@pytest.mark.parametrize(
    ("answer", "step", "said", "way"),
    [
        (always(page()), "protocol", "a web page, not as an MCP server", "/address"),
        (always(as_json({}, 404)), "protocol", "nothing at this address", "/address"),
        (always(as_json({}, 500)), "protocol", "500", "/address"),
        (always(as_json({}, 403)), "sign_in", "refuses us without saying how", "?way=header"),
    ],
    ids=["web page", "nothing", "a fault", "blocked"],
)
def test_what_is_no_mcp_server_has_a_way_out(
    admin: Visitor, servers: Farm, answer: Any, step: str, said: str, way: str
) -> None:
    servers.put(answer)
    html = begun(admin, servers.url())
    assert said in line(html, step)
    assert any(one.endswith(way) for one in ways(html)), ways(html)
    assert "Not looked at: " in text_of(html)
    assert said in report(html)


def test_an_address_where_nothing_listens_can_be_changed(admin: Visitor) -> None:
    with authority() as service:
        address = service.mcp_url
    html = begun(admin, address)
    assert "Problem" in line(html, "address")
    assert ways(html) == [f"{NOTES}/setup/address"]


def test_all_lines_are_there_from_the_start_and_fill_one_by_one(admin: Visitor) -> None:
    draft = integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="notes")
    Check.create(integration=draft, findings=[vars(Finding("address", "ok", "It is public."))])
    html = admin.get(f"{WIZARD}/findings")
    steps = re.findall(r'<li id="check-(\w+)"', html)
    assert steps == [
        "address", "tls", "protocol", "server", "sign_in", "resource_metadata", "service_metadata",
        "registration", "return_address", "token", "tools",
    ]  # fmt: skip
    assert line(html, "tls").endswith("Looking…")
    assert line(html, "tools").endswith("To come")
    assert html.count('aria-busy="true"') == 1
    assert "Copy report" not in html


# --- the return address, before any jump


@pytest.mark.parametrize(
    ("public_url", "way_back", "said", "next_step"),
    [
        (
            "http://gate.lan:8000",
            "http://127.0.0.1:8000",
            "own address begins with http:// (gate.lan:8000)",
            "behind https",
        ),
        (
            "https://gate.example.com",
            "https://gate.example.com",
            "You came by localhost",
            "Open Gatehouse at https://gate.example.com",
        ),
    ],
)
def test_a_return_address_that_cannot_work_is_explained_before_the_jump(
    furnished: Path, tmp_path: Path, public_url: str, way_back: str, said: str, next_step: str
) -> None:
    databases.copy(furnished, tmp_path / "data")
    admin = Visitor.signed_in(opened(tmp_path / "data", public_url=public_url, trusted_hosts=("localhost",)))
    with authority() as service, database.connection_context():
        html = begun(admin, service.mcp_url)
        assert "Problem" in line(html, "return_address")
        assert said in line(html, "return_address") and next_step in line(html, "return_address")
        assert f"redirect_uri: {way_back}/oauth/callback" in report(html)
        assert "Continue: sign in" in html and f"{NOTES}/setup/sign-in?way=bearer" in ways(html)
        assert not service.asked("/authorize") and not service.asked("/register")


def test_a_return_address_that_changed_since_registering_is_told(admin: Visitor, service: Service) -> None:
    """Signed in by 127.0.0.1, looked at by localhost."""
    in_use(service)
    said = line(looked_again(admin), "registration")
    assert "Gatehouse is known at 127.0.0.1, as it registered itself" in said
    assert "The next sign-in registers Gatehouse anew" in said
    assert "return address today: http://localhost/oauth/callback" in said


def test_localhost_will_do(admin: Visitor) -> None:
    with authority() as service:
        html = begun(admin, service.mcp_url)
    assert "Sign-in services can send you back" in line(html, "return_address")
    assert "registers itself there" in line(html, "registration")
    assert "all is well" in html
    assert service.registrations == 0


# --- connected


@pytest.fixture
def service(app: Flask) -> Iterator[Service]:
    with authority(email="ops@msp.example") as one:
        yield one


def in_use(service: Service) -> Integration:
    """Signed in, its tools fetched."""
    row = connected(service)
    sync.sync(row, COMMAND)
    integrations.finish(integrations.find(row.name), COMMAND)
    return integrations.find(row.name)


def test_the_check_of_a_connected_server_shows_its_sign_in_and_uses_up_nothing(
    technician: Visitor, service: Service
) -> None:
    in_use(service)
    grant, asked = Grant.get(), len(service.asked("/token"))
    for _ in range(2):
        html = looked_again(technician)
        assert "all is well" in html
    said = line(html, "token")
    assert "Signed in at 127.0.0.1 as ops@msp.example; the token is renewed by itself" in said
    for piece in ("valid until: ", "renewable: yes", "scope granted: ", "last renewed: "):
        assert piece in said and piece in report(html)
    assert "The credentials work" in said
    assert "It offers" in line(html, "tools")
    assert len(service.asked("/token")) == asked and service.registrations == 1
    assert Grant.get().version == grant.version
    assert not ways(html)


def test_a_token_that_is_over_is_renewed_once_as_a_call_would(admin: Visitor, service: Service) -> None:
    in_use(service)
    service.expire_access_tokens()
    assert "all is well" in looked_again(admin)
    assert service.refreshes == 1
    looked_again(admin)
    assert service.refreshes == 1


def test_a_sign_in_that_was_revoked_there_offers_reconnect_and_that_works(
    admin: Visitor, service: Service
) -> None:
    in_use(service)
    service.revoke_grant()
    html = looked_again(admin)
    assert "Problem" in line(html, "token")
    assert "there is a problem with" in html
    assert ways(html)[0] == f"{NOTES}/setup/sign-in/oauth"
    assert came_back(admin, service) == NOTES
    assert "all is well" in looked_again(admin)


def test_a_server_that_refuses_every_token_is_asked_for_one_new_one_only(
    admin: Visitor, service: Service
) -> None:
    in_use(service)
    service.faults.always_401 = True
    for _ in range(3):
        html = looked_again(admin)
        assert "Problem" in line(html, "token")
        assert ways(html)[0] == f"{NOTES}/setup/sign-in/oauth"
    assert service.refreshes == 1


def test_a_sign_in_service_that_is_down_is_a_matter_of_waiting(admin: Visitor, service: Service) -> None:
    in_use(service)
    service.faults.token_status, service.faults.token_troubles = 503, -1
    service.expire_access_tokens()
    html = looked_again(admin)
    assert "503" in line(html, "token")
    assert "Check again" in html and ways(html)
    assert Grant.get().tokens


def test_more_access_that_the_server_wants_is_a_button(admin: Visitor, service: Service) -> None:
    in_use(service)
    service.demand_scope("gatehouse-check.no-such-tool", "notes.admin")
    html = looked_again(admin)
    assert "lack a permission" in line(html, "token")
    assert "notes.admin" in line(html, "token")
    assert value_of(html, "wish") == "more"
    assert "Grant more access" in html
    reply = admin.post(f"{NOTES}/setup/sign-in/oauth", wish="more")
    assert "notes.admin" in text_of(admin.get(reply.location))


def test_a_token_that_cannot_be_renewed_says_until_when(admin: Visitor, app: Flask) -> None:
    with authority(refresh_token="never") as service:
        in_use(service)
        html = looked_again(admin)
    assert "can’t be renewed by itself" in line(html, "token")
    assert "offline_access" in line(html, "token")
    assert f"{NOTES}/setup/sign-in?way=oauth#extra-scope-note" in ways(html)


def test_a_sign_in_service_that_moved_is_noted_and_gets_no_token(admin: Visitor, service: Service) -> None:
    desk = in_use(service)
    with authority() as other:
        service.faults.authorization_servers = [other.issuer]
        integrations.allow_private(desk, other.allowance(), COMMAND)
        html = looked_again(admin)
        assert "names another sign-in service now" in line(html, "service_metadata")
        assert f"issuer then: {service.issuer}" in report(html)
        assert ways(html)[0] == f"{NOTES}/setup/sign-in/oauth"
        assert not other.asked("/token") and not other.asked("/register")


def test_a_server_that_went_away_can_be_added_at_another_address(admin: Visitor, service: Service) -> None:
    in_use(service)
    Integration.update(url=f"{service.decoy}/mcp").execute()
    html = looked_again(admin)
    assert "there is a problem with" in html
    (way,) = [way for way in ways(html) if way.startswith(f"{SETTINGS}/new?url=")]
    assert f'value="{service.decoy}/mcp"' in admin.get(way)


def test_a_refused_token_of_a_server_in_use_can_be_replaced(
    admin: Visitor, connect: Connect, servers: Farm
) -> None:
    connect("notes")
    token = ("authorization", "Bearer tok-3c1f9a7e5d")
    connections.save_headers(
        integrations.find("notes"),
        "bearer",
        [("Authorization", "Bearer {secret}", "tok-3c1f9a7e5d")],
        COMMAND,
    )
    servers.put(guarded(modern(()), "Bearer", credentials=("authorization", "Bearer another-one")), "/notes")
    html = looked_again(admin)
    assert "does not accept these credentials" in line(html, "token")
    assert ways(html) == [f"{NOTES}/setup/sign-in", f"{NOTES}/setup/sign-in?way=oauth#old-note"]
    assert token[1].split()[1] not in html


@pytest.mark.parametrize("role", ["technician", "viewer"])
def test_who_may_not_go_a_way_out_is_told_whom_to_ask(app: Flask, service: Service, role: str) -> None:
    in_use(service)
    service.revoke_grant()
    checks.run(integrations.find("notes"))
    html = Visitor.signed_in(app, role).get(CHECK)
    assert "ask one of them" in html and "Reconnect: sign in again." in html
    assert not ways(html)
    assert ("Check again" in html) == (role == "technician")


def test_the_fragment_is_the_piece_of_the_page(admin: Visitor, service: Service) -> None:
    in_use(service)
    html = looked_again(admin)
    assert plain(admin.get(f"{CHECK}/findings")).strip() in plain(html)


# --- nothing secret


@pytest.mark.parametrize("echo", ["plain", "body", "header", "code"])
def test_no_check_tells_a_secret_whatever_the_other_side_repeats(
    admin: Visitor, service: Service, echo: str
) -> None:
    in_use(service)
    service.faults.echo = echo  # type: ignore[assignment]
    pages = [looked_again(admin)]
    service.faults.always_401 = True
    pages.append(looked_again(admin))
    service.faults.always_401 = False
    service.faults.refresh_error = "invalid_grant"
    service.expire_access_tokens()
    pages.append(looked_again(admin))
    secrets = {*service.secrets, *[seen.form["code_verifier"] for seen in service.asked("/token")[:1]]}
    places = {f"page {number}": html.encode() for number, html in enumerate(pages)}
    places |= {f"report {number}": report(html).encode() for number, html in enumerate(pages)}
    places["row"] = repr(Check.select().dicts().get()).encode()
    assert len(secrets) >= 3 and not leaks(secrets, places)


def test_a_secret_in_the_address_is_not_in_the_report(admin: Visitor, servers: Farm) -> None:
    servers.put(modern(()))
    html = begun(admin, f"{servers.url()}?api_key=K3Y-51d0c7f2a9")
    assert f"Server: {servers.url()}?…" in report(html)
    assert "K3Y-51d0c7f2a9" not in report(html)


def test_a_password_that_is_repeated_is_cut_out(admin: Visitor, connect: Connect, servers: Farm) -> None:
    connect("notes")
    row = ("Authorization", "Basic {secret}", "cGF0OnMzY3JldC1wYXNzd29yZA==")
    connections.save_headers(integrations.find("notes"), "header", [row], COMMAND)

    async def repeating(ask: Ask) -> Answer:
        said = f"{ask.headers.get('authorization')} is pat with s3cret-password"
        return error(ask, -32001, said)

    servers.put(repeating, "/notes")
    html = looked_again(admin)
    assert "would not begin: ••• is pat with •••" in line(html, "protocol")
    assert "s3cret-password" not in html and "cGF0OnMzY3JldC1wYXNzd29yZA" not in html


# --- the practice server


@pytest.fixture(scope="module")
def practice() -> Iterator[str]:
    with served(practice_app()) as url:
        yield url


@pytest.mark.parametrize(
    ("door", "step", "said"),
    [
        ("open", "sign_in", "No sign-in is needed"),
        ("bearer", "sign_in", "The server wants a token"),
        ("oauth", "service_metadata", "You sign in at 127.0.0.1"),
    ],
)
def test_each_door_of_the_practice_server_is_recognised(
    admin: Visitor, practice: str, door: str, step: str, said: str
) -> None:
    html = begun(admin, f"{practice}/{door}/mcp")
    assert said in line(html, step)
    assert "all is well" in html and "Continue: " in html
