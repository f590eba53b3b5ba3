"""Servers that are signed in to, on the pages: what will need a person, more access, and taking it all back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask

from tests.authority import Service, authority
from tests.routes.settings_house import SETTINGS
from tests.routes.test_oauth import BEGIN, SETUP, back, jumped, signed_in
from tests.routes.visitors import Visitor, opened, text_of
from webapp.services import checks, grants, integrations
from webapp.services.audit import COMMAND
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Entry, Grant, Integration, OAuthClient, Tool, database

NONE = "None: all sign-ins renew themselves."


@pytest.fixture
def service() -> Iterator[Service]:
    with authority(email="ops@msp.example") as one:
        yield one


@pytest.fixture
def rows(app: Flask) -> Iterator[None]:
    with database.connection_context():
        yield


def connect(admin: Visitor, service: Service) -> None:
    added = integrations.add_server(service.mcp_url, COMMAND, name="notes")
    checks.run(integrations.allow_private(added, service.allowance(), COMMAND))
    assert signed_in(admin, service).location == f"{SETUP}/tools"
    admin.post(f"{SETUP}/tools")


def forecast(visitor: Visitor) -> str:
    page = visitor.get(SETTINGS)
    assert 'id="forecast"' in page
    return text_of(page[page.index('id="forecast"') : page.index("</section>", page.index('id="forecast"'))])


# --- what will need a person


def test_a_sign_in_that_renews_itself_needs_nobody(admin: Visitor, service: Service, rows: None) -> None:
    connect(admin, service)
    assert NONE in forecast(admin)


def test_without_oauth_there_is_nothing_to_forecast(admin: Visitor, app: Flask) -> None:
    assert 'id="forecast"' not in admin.get(SETTINGS)


def test_a_token_that_can_not_be_renewed_is_announced_with_its_end(
    admin: Visitor, service: Service, rows: None
) -> None:
    service.faults.refresh_token = "never"
    connect(admin, service)
    text = forecast(admin)
    assert "can’t be renewed by itself" in text and "Later" in text and "Reconnect" in text


def test_a_client_secret_that_runs_out_soon_is_announced(
    admin: Visitor, service: Service, rows: None
) -> None:
    service.faults.assigned = "basic"
    service.faults.secret_expires_at = int((now() + timedelta(days=20)).timestamp())
    connect(admin, service)
    assert "client secret there runs out" in forecast(admin)
    OAuthClient.update(secret_expires_at=now() + timedelta(days=200)).execute()
    assert NONE in forecast(admin)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("cimd", "Gatehouse’s address of then"), ("manual", "return address of then"), ("dcr", "")],
)
def test_a_public_url_that_has_changed_is_said_for_each_sign_in_that_suffers(
    app: Flask, admin: Visitor, service: Service, kind: str, words: str
) -> None:
    with database.connection_context():
        connect(admin, service)
        OAuthClient.update(kind=kind).execute()
    moved = opened(app.extensions["gatehouse"].data, public_url="http://localhost")
    assert NONE in forecast(Visitor.signed_in(moved))
    moved = opened(
        app.extensions["gatehouse"].data, public_url="https://gate.example.com", trusted_hosts=("localhost",)
    )
    said = forecast(Visitor.signed_in(moved))
    assert words in said if words else NONE in said


def test_a_sign_in_that_was_lost_is_needed_now(admin: Visitor, service: Service, rows: None) -> None:
    connect(admin, service)
    service.revoke_grant()
    admin.post(f"{SETTINGS}/notes/sync")
    text = forecast(admin)
    assert "Now" in text and "Reconnect" in text


@pytest.mark.parametrize("role", ["technician", "viewer"])
def test_who_may_not_sign_in_sees_the_forecast_without_buttons(
    app: Flask, admin: Visitor, service: Service, rows: None, role: str
) -> None:
    connect(admin, service)
    service.revoke_grant()
    admin.post(f"{SETTINGS}/notes/sync")
    text = forecast(Visitor.signed_in(app, role))
    assert "Now" in text and "Reconnect" not in text
    page = Visitor.signed_in(app, role).get(f"{SETTINGS}/notes")
    assert "Sign-in expired" in text_of(page) and ">Reconnect<" not in page


# --- more access


def test_more_access_is_granted_by_a_button_for_old_and_new_scopes_together(
    admin: Visitor, service: Service, rows: None
) -> None:
    service.faults.resource_scopes, service.faults.challenge_scope = ("notes.read",), "notes.read"
    connect(admin, service)
    with writing():
        assert grants.demand(Grant.get().integration_id, "notes.write")
    server = admin.get(f"{SETTINGS}/notes")
    assert ">Grant more access<" in server and "notes.write" in text_of(server)
    assert "It wants more access: notes.write." in forecast(admin)
    reply = admin.post(BEGIN, wish="more")
    before = len(service.asked("/authorize"))
    assert back(admin, service.walk(jumped(admin, reply.location))).location == f"{SETTINGS}/notes"
    asked = service.asked("/authorize")[before].query["scope"].split()
    assert {"notes.read", "notes.write"} <= set(asked)
    assert Grant.get().needed_scope == "" and NONE in forecast(admin)


def test_what_was_granted_already_is_not_asked_for_again(
    admin: Visitor, service: Service, rows: None
) -> None:
    connect(admin, service)
    with writing():
        assert not grants.demand(Grant.get().integration_id, "notes.read")
    assert ">Grant more access<" not in admin.get(f"{SETTINGS}/notes")


# --- disconnecting


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("", "was told to forget the sign-in"),
        ("absent", "takes nothing back"),
        ("trouble", "could not be told"),
    ],
)
def test_disconnecting_takes_the_sign_in_back_and_says_how_that_went(
    admin: Visitor, service: Service, rows: None, fault: str, said: str
) -> None:
    service.faults.revocation = fault  # type: ignore[assignment]
    connect(admin, service)
    reply = admin.post(f"{SETTINGS}/notes/disconnect", confirm="notes")
    assert reply.status_code == 303
    text = text_of(admin.get(reply.location))
    assert said in text, text
    assert not Integration.select().where(Integration.name == "notes").exists()
    assert not Tool.select().where(Tool.catalogue_name.startswith("mcp:notes:")).exists()
    assert Grant.select().count() == OAuthClient.select().count() == 0
    assert (service.revocations > 0) == (fault == "")
    assert Entry.select().where(Entry.action == "integration.disconnected").count() == 1
