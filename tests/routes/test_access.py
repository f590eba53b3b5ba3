"""Who may use what: every route of the URL map against every kind of visitor. A new route needs its line here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.routing import Rule

from tests.routes.settings_house import app, furnished  # noqa: F401
from tests.routes.visitors import Visitor
from webapp.services import agents, approvals, audit, integrations
from webapp.services.audit import COMMAND
from webapp.store.fields import now
from webapp.store.models import Approval, Check, Entry, Integration, Tool, User, database

# The lowest role that may use an endpoint; "anyone" needs no sign-in.
ROLES = {
    "health.alive": "anyone", "health.ready": "anyone", "health.csp_report": "anyone", "health.numbers": "anyone",
    "setup.show": "anyone", "setup.create": "anyone", "login.show": "anyone", "login.create": "anyone",
    "login.end": "viewer", "login.ask_code": "anyone", "login.check_code": "anyone",
    "sign_on.go": "anyone", "sign_on.callback": "anyone", "sign_on.refused": "anyone",
    "account.link": "viewer", "confirming.again": "viewer", "people.link_to_provider": "admin",
    "second_step.show": "viewer", "second_step.begin": "viewer", "second_step.confirm": "viewer",
    "second_step.renew_codes": "viewer", "second_step.turn_off": "viewer",
    "confirming.show": "viewer", "confirming.confirm": "viewer",
    "leaving.show": "admin", "leaving.leave": "admin",
    "people.new": "admin", "people.invite": "admin", "people.withdraw": "admin",
    "invites.open_link": "anyone", "invites.show": "anyone", "invites.accept": "anyone",
    "people.require_second_step": "admin", "people.reset_second_step": "admin",
    "home.index": "viewer", "help.show": "viewer", "approvals.download": "technician",
    "approvals.arguments": "viewer",
    "approvals.index": "viewer", "approvals.inbox": "viewer", "approvals.count": "viewer",
    "approvals.history": "viewer", "approvals.show": "viewer", "approvals.decide": "technician",
    "notices.show": "admin", "notices.save_mail": "admin", "notices.save_webhook": "admin",
    "notices.send_test": "admin", "notices.set_state": "admin",
    "approvals.ahead": "viewer", "approvals.end_standing": "technician", "approvals.decide_all": "technician",
    "approvals.extend": "technician", "approvals.look": "technician", "approvals.set_second_person": "admin",
    "tools.index": "viewer", "tools.show": "viewer", "tools.set_policy": "technician",
    "reviews.index": "viewer", "reviews.accept": "technician", "reviews.accept_many": "technician",
    "integrations.set_new_tools": "admin", "integrations.set_time_out": "admin", "agents.set_state": "technician",
    "pauses.index": "viewer", "pauses.stop": "technician", "pauses.resume": "technician",
    "tools.reset": "technician", "tools.review": "technician", "tools.definition": "viewer",
    "bulk.index": "viewer", "bulk.preview": "technician", "bulk.change": "technician", "bulk.show": "viewer",
    "bulk.undo": "technician",
    "trying.show": "admin", "trying.run": "admin",
    "activity.index": "viewer", "activity.show": "viewer", "activity.download": "technician",
    "integrations.index": "viewer", "integrations.show": "viewer", "integrations.add_practice": "admin",
    "integrations.sync_now": "technician", "integrations.set_state": "technician",
    "integrations.rename": "admin", "integrations.ask_disconnect": "admin", "integrations.disconnect": "admin",
    "integrations.check": "viewer",
    "integrations.findings": "viewer",
    "integrations.discard": "admin", "integrations.start_check": "technician",
    "integrations.configure": "admin", "integrations.switch": "admin",
    "oauth.show": "admin", "oauth.go": "admin", "oauth.pasted": "admin",
    "oauth.callback": "anyone", "oauth.ended": "anyone", "oauth.document": "anyone",
    "agents.index": "viewer", "agents.show": "viewer", "agents.new": "admin", "agents.create": "admin",
    "agents.limit": "admin", "agents.set_expiry": "admin", "agents.replace_key": "admin",
    "agents.set_tool_search": "admin", "agents.set_quota": "admin",
    "agents.ask_revoke": "admin", "agents.revoke": "admin",
    "people.index": "admin", "people.create": "admin", "people.show": "admin", "people.set_role": "admin",
    "people.set_state": "admin", "people.reset_password": "admin", "people.end_sessions": "admin",
    "general.index": "viewer", "general.show": "viewer", "general.check_log": "technician",
    "general.keep_log": "admin", "general.back_up": "admin", "general.download_backup": "admin",
    "general.rotate_key": "admin",
    "inventory.show": "admin", "inventory.download": "admin", "inventory.preview": "admin",
    "inventory.bring_in": "admin", "general.download_segment": "admin",
    "account.show": "viewer", "account.rename": "viewer", "account.change_password": "viewer",
    "account.end_session": "viewer", "account.choose_zone": "viewer", "account.choose_theme": "viewer",
}  # fmt: skip
WIZARD = "admin"  # every step of it
RANK = ["anonymous", "viewer", "technician", "admin"]
# The end of the visit; the old password; and checks, which go on in a thread after the answer.
ONLY_REFUSED = (
    "login.end",
    "account.change_password",
    "account.end_session",
    "integrations.start_check",
    "integrations.add_practice",
    "wizard.check",
    "wizard.create",
    "wizard.use_suggestion",
    "wizard.allow_private",
    "wizard.change_address",
    "integrations.discard",
)


@pytest.fixture
def house(app: Flask) -> Iterator[Flask]:  # noqa: F811
    """With a row behind every kind of address."""
    desk = integrations.add_server("https://desk.example.com/mcp", COMMAND, name="desk")
    Integration.update(state="connected", connected_at=now(), synced_at=now()).where(
        Integration.id == desk.id
    ).execute()
    tool = Tool.create(
        integration=desk, name="get_ticket", catalogue_name="mcp:desk:get_ticket", wire_name="desk__get_ticket",
        definition={"name": "get_ticket", "inputSchema": {"type": "object"}}, definition_digest="d", kind="read",
        seed_policy="auto", seed_reason="the name says “get”", policy="auto",
    )  # fmt: skip
    agent, _ = agents.create("Claude", COMMAND)
    asked = approvals.Asked(agent.id, "Claude", tool.id, tool.catalogue_name, "desk", "d", {"id": 1})
    with database.atomic():
        approvals.ask(asked, minutes=30, most_open=20, log_arguments="redacted")
    Check.create(integration=desk, finished_at=now())
    yield app


def lowest(endpoint: str) -> str:
    return WIZARD if endpoint.startswith("wizard.") else ROLES[endpoint]


def path_for(rule: Rule) -> str:
    approval = Approval.select().first()
    values = {
        "name": "desk", "step": "address", "catalogue_name": "mcp:desk:get_ticket", "approval_id": approval.id,
        "tool_id": Tool.get().id, "agent_id": 1, "user_id": User.select().order_by(User.id.desc()).first().id,
        "entry_id": Entry.select().first().id, "segment_id": 999, "invite_id": 999, "token": "none",
        "session_id": 999, "filename": "app.css",
        "sign_in_id": "none", "standing_id": 999, "kind": "mail", "reason": "unknown", "bulk_id": "none",
        "key": "oidc", "which": "unknown",
    }  # fmt: skip
    return rule.build({name: values[name] for name in rule.arguments}, append_unknown=False)[1]  # type: ignore[index]


def rules(app: Flask) -> list[tuple[Rule, str]]:  # noqa: F811
    found = [
        (rule, method)
        for rule in app.url_map.iter_rules()
        for method in ("GET", "POST")
        if method in (rule.methods or ()) and rule.endpoint != "static"
    ]
    return sorted(found, key=lambda pair: (pair[0].rule, pair[1]))


def test_every_route_has_its_line(app: Flask) -> None:  # noqa: F811
    named = {rule.endpoint for rule, _ in rules(app) if not rule.endpoint.startswith("wizard.")}
    assert named == set(ROLES)


@pytest.mark.parametrize("who", RANK)
def test_nobody_gets_further_than_their_role(house: Flask, who: str) -> None:
    visitor = Visitor(house.test_client(), "") if who == "anonymous" else Visitor.signed_in(house, who)
    wrong = []
    for rule, method in rules(house):
        role = lowest(rule.endpoint)
        allowed = role == "anyone" or (who != "anonymous" and RANK.index(who) >= RANK.index(role))
        if allowed and rule.endpoint in ONLY_REFUSED:
            continue
        before = Entry.select().where(Entry.kind == "change").count()
        reply = (
            visitor.browser.get(path_for(rule)) if method == "GET" else visitor.post(path_for(rule), note="x")
        )
        changed = Entry.select().where(Entry.kind == "change").count() != before
        to_login = reply.status_code == 303 and "/login" in reply.headers["Location"]
        refused = reply.status_code == 403 or to_login or (who == "anonymous" and reply.status_code == 400)
        broken = reply.status_code in (500, 503)
        if (role != "anyone" and refused == allowed) or broken or (changed and not allowed):
            wrong.append((method, rule.rule, role, reply.status_code))
    assert wrong == []


def test_a_disabled_person_is_out_at_once(house: Flask) -> None:
    from webapp.services import accounts

    visitor = Visitor.signed_in(house, "technician")
    visitor.get("/approvals")
    accounts.set_disabled(User.get(User.role == "technician"), True, COMMAND)
    for rule, method in rules(house):
        if method == "GET" and lowest(rule.endpoint) != "anyone":
            assert "/login" in visitor.browser.get(path_for(rule)).headers["Location"]


def test_reading_changes_nothing(house: Flask) -> None:
    visitor = Visitor.signed_in(house, "admin")
    with database.atomic():
        audit.record("user.renamed", COMMAND)
    before = Entry.select().count()
    for rule, method in rules(house):
        if method == "GET" and rule.endpoint != "oauth.callback":  # the end of a sign-in, allowed or refused
            visitor.browser.get(path_for(rule))
    assert Entry.select().count() == before


def test_a_view_without_a_role_is_closed(house: Flask) -> None:
    house._got_first_request = False
    house.add_url_rule("/forgotten", "forgotten", lambda: "secret")
    reply = Visitor.signed_in(house, "admin").browser.get("/forgotten")
    assert reply.status_code == 403 and "secret" not in reply.text


def test_sessions_end_by_themselves(house: Flask) -> None:
    from webapp.store.models import Session

    visitor = Visitor.signed_in(house, "viewer")
    for column, age in ((Session.seen_at, timedelta(hours=13)), (Session.created_at, timedelta(days=8))):
        visitor.get("/approvals")
        was = Session.get()
        Session.update({column: now() - age}).execute()
        assert "/login" in visitor.browser.get("/approvals").headers["Location"]
        Session.update(seen_at=was.seen_at, created_at=was.created_at).execute()
