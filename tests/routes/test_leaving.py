"""Somebody leaves: their page says what hangs on their login, one step hands it over and closes the account."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from flask import Flask

from tests.mail_server import mail_server
from tests.routes.test_login import attempt
from tests.routes.visitors import Visitor, text_of
from webapp.errors import Forbidden
from webapp.services import accounts, agents, approvals, audit, integrations, invites, leaving, notices
from webapp.services.approvals import standing
from webapp.services.audit import COMMAND, Actor
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import (
    Agent,
    Approval,
    Connection,
    Entry,
    Integration,
    Invite,
    Session,
    Standing,
    Tool,
    User,
)

PHRASE = "a fine long pass phrase"
LEFT = ("Claude", "Desk", "desk@vendor.example", "Half done", "halo", "new@example.com")


def person(role: str) -> User:
    found: User = User.get(User.role == role)
    return found


def as_actor(user: User) -> Actor:
    return Actor("user", user.email, user.id, "admin")


def page_of(user: User) -> str:
    return f"/settings/people/{user.id}"


def server(name: str, by: User, *, kind: str = "", finished: bool = True) -> Integration:
    made = integrations.add_server(
        f"https://{name}.example.com/mcp", as_actor(by), name=name, title=name.title()
    )
    Integration.update(state="connected", finished_at=now() if finished else None).where(
        Integration.id == made.id
    ).execute()
    if kind:
        Connection.create(integration=made, kind=kind, given_by=by, account="desk@vendor.example")
    return made


def tool(on: Integration, *, second: bool = False) -> Tool:
    made: Tool = Tool.create(
        integration=on, name="delete", catalogue_name=f"mcp:{on.name}:delete", wire_name=f"{on.name}__delete",
        definition={"name": "delete"}, definition_digest="d", kind="write", seed_policy="approval",
        seed_reason="", policy="approval", second_person=second,
    )  # fmt: skip
    return made


def waiting(of: Tool, agent: Agent | None = None, by: User | None = None) -> str:
    asked = approvals.Asked(
        agent.id if agent else None, agent.name if agent else by.email, of.id, of.catalogue_name, of.integration.name,
        "d", {"id": agent.id if agent else 0}, asked_by=by.id if by else None,
    )  # fmt: skip
    with writing():
        return str(approvals.ask(asked, minutes=30, most_open=20, log_arguments="redacted"))


@pytest.fixture
def tom(app: Flask, admin: Visitor) -> User:
    """A technician on whose login hangs all that can: he was an admin once."""
    tom = person("technician")
    Visitor.signed_in(app, "technician")
    desk, halo = server("desk", tom, kind="oauth"), server("halo", tom, kind="bearer")
    draft = server("half done".replace(" ", "-"), tom, finished=False)
    Integration.update(title="Half done").where(Integration.id == draft.id).execute()
    agent, _ = agents.create("Claude", as_actor(tom))
    Connection.create(integration=server("open", person("admin")), kind="none", given_by=tom)
    waiting(tool(desk), agent)
    given = approvals.get(waiting(tool(halo), agent))
    with writing():
        standing.give(given, as_actor(tom))
    invites.invite("new@example.com", "admin", as_actor(tom))
    return tom


def preview(admin: Visitor, tom: User, heir: User | None = None) -> tuple[str, dict[str, str]]:
    """The page in words, and what its form would send."""
    page = admin.get(f"{page_of(tom)}/leave" + (f"?heir={heir.id}" if heir else ""))
    form = dict(re.findall(r'name="(heir|seen)" value="([^"]*)"', page))
    return text_of(page), form


def owned_by(user: User) -> tuple[list[str], list[str]]:
    agents = Agent.select().where(Agent.owner == user)
    servers = Integration.select().where(Integration.created_by == user).order_by(Integration.name)
    return [one.name for one in agents], [one.name for one in servers]


# --- what is said before


def test_a_persons_page_says_what_hangs_on_their_login(admin: Visitor, tom: User) -> None:
    page = text_of(admin.get(page_of(tom)))
    for words in LEFT:
        assert words in page.partition("What their login is used for")[2], words
    assert "signed in as desk@vendor.example at the vendor" in page and "with a token that they gave" in page
    assert "in one browser" in page and "may call mcp:halo:delete until" in page
    assert "Open" not in re.findall(r"Servers used with their sign-in(.*)To the vendor", page)[0]
    assert "Nothing hangs on it." in text_of(admin.get(page_of(person("viewer"))))


def test_the_preview_names_who_gets_what_and_changes_nothing(admin: Visitor, tom: User) -> None:
    before = Entry.select().count(), owned_by(tom)
    words, form = preview(admin, tom)
    assert "Claude – goes to Admin" in words and "Stays theirs" in words and "withdrawn" in words
    assert form["heir"] == str(person("admin").id)
    assert (Entry.select().count(), owned_by(tom)) == before and not accounts.get_user(tom.id).disabled_at


@pytest.mark.parametrize("kind", ["oauth", "bearer"])
def test_a_sign_in_at_the_vendor_is_not_handed_over_but_done_again(
    admin: Visitor, tom: User, kind: str
) -> None:
    page = admin.get(f"{page_of(tom)}/leave")
    assert 'action="/settings/integrations/desk/setup/sign-in/oauth"' in page
    assert 'href="/settings/integrations/halo/setup/sign-in"' in page
    _, form = preview(admin, tom)
    admin.post(f"{page_of(tom)}/leave", **form)
    connection = Connection.get(Connection.kind == kind)
    assert connection.given_by == tom
    name = connection.integration.name
    assert "(whose account is closed: reconnect as somebody else)" in admin.get(
        f"/settings/integrations/{name}"
    )
    home = text_of(admin.get("/").partition('id="needs"')[2])
    assert f"{name.title()} is used with the sign-in of Technician, whose account is closed" in home
    Connection.update(given_by=person("admin")).execute()
    assert "whose account is closed" not in admin.get("/")


def test_calls_that_only_they_may_decide_are_named(admin: Visitor, tom: User) -> None:
    both = tool(server("rule", person("admin")), second=True)
    mine, _ = agents.create("Mine", as_actor(person("admin")))
    asked = waiting(both, mine)
    assert f"/approvals/{asked}" in admin.get(page_of(tom)).partition("Waiting for them alone")[2]
    words, _ = preview(admin, tom)
    assert "One waiting call could then be approved by nobody: Mine: mcp:rule:delete" in words
    other = accounts.create_user("other@example.com", "", PHRASE, "technician", COMMAND)
    assert "Waiting for them alone" not in admin.get(page_of(tom))
    theirs = waiting(both, agents.by_name("Claude"))
    assert theirs and "approved by nobody" not in preview(admin, tom, other)[0]
    accounts.set_role(other, "viewer", COMMAND)
    assert "2 waiting calls could then be approved by nobody" in preview(admin, tom)[0]


# --- doing it


def test_one_step_hands_all_of_it_over_and_closes_the_account(app: Flask, admin: Visitor, tom: User) -> None:
    theirs = Visitor.signed_in(app, "technician")
    try_it = waiting(tool(server("own", tom)), by=tom)
    _, form = preview(admin, tom)
    reply = admin.post(f"{page_of(tom)}/leave", **form)
    assert reply.status_code == 303
    assert owned_by(tom) == ([], [])
    assert owned_by(person("admin")) == (["Claude"], ["desk", "half-done", "halo", "open", "own"])
    assert accounts.get_user(tom.id).disabled_at and not Session.select().where(Session.user == tom).exists()
    assert theirs.browser.get("/").headers["Location"].startswith("/login")
    assert attempt(app.test_client(), tom.email).status_code == 401
    assert Approval.get_by_id(try_it).state == "withdrawn" and not Invite.select().exists()
    assert Approval.waiting().count() == 2, "those of the agent go on waiting"
    assert Standing.get().ended_at and not standing.serving(Standing.get().key)
    told = Entry.get(Entry.action == "user.handed_over")
    details = json.loads(told.details)
    assert (told.actor, details["to"], details["agents"]) == (
        "admin@example.com",
        "admin@example.com",
        ["Claude"],
    )
    assert (details["calls_withdrawn"], details["approvals_ended"], details["notices"]) == (1, 1, False)
    assert details["servers"] == ["desk", "halo", "own", "half-done"] and details["sign_ins_left"] == [
        "desk",
        "halo",
    ]
    assert Entry.select().where(Entry.action == "user.disabled").count() == 1 and audit.verify().intact
    page = text_of(admin.get(page_of(tom)))
    assert (
        "The account is closed" in page
        and "Servers used with their sign-in" in page
        and "Hand over what they left" not in page
    )


def test_a_draft_is_gone_on_with_by_whoever_has_it_now(app: Flask, admin: Visitor, tom: User) -> None:
    _, form = preview(admin, tom)
    admin.post(f"{page_of(tom)}/leave", **form)
    assert "Half done" in admin.get(page_of(person("admin"))).partition("Set-ups they began")[2]
    assert admin.browser.get("/settings/integrations/half-done/setup").status_code == 303


def test_notices_to_them_go_to_whoever_takes_over(app: Flask, admin: Visitor, tom: User) -> None:
    with mail_server() as post:
        typed = notices.Mail("127.0.0.1", str(post.port), "none", "", "", "gate@example.com",
                             "ann@example.com Technician@example.com", True)  # fmt: skip
        notices.save_mail(typed, COMMAND)
    words, form = preview(admin, tom)
    assert "mailed to them – go to admin@example.com" in words
    admin.post(f"{page_of(tom)}/leave", **form)
    channel = notices.of("mail")
    assert channel and channel.settings["recipients"] == ["ann@example.com", "admin@example.com"]


def test_what_was_left_can_follow_after_a_quick_closing(admin: Visitor, tom: User) -> None:
    admin.post(f"{page_of(tom)}/state", state="disabled")
    closed = accounts.get_user(tom.id).disabled_at
    assert "Hand over what they left" in admin.get(page_of(tom))
    words, form = preview(admin, tom)
    assert "The account is closed already." in words
    admin.post(f"{page_of(tom)}/leave", **form)
    assert owned_by(tom) == ([], []) and accounts.get_user(tom.id).disabled_at == closed


# --- what is refused


def test_what_has_changed_since_the_look_is_looked_at_again(admin: Visitor, tom: User) -> None:
    _, form = preview(admin, tom)
    agents.create("Another", as_actor(tom))
    reply = admin.post(f"{page_of(tom)}/leave", **form)
    assert reply.status_code == 409 and "Something has changed here since you looked." in text_of(reply.text)
    assert "Another" in reply.text and owned_by(tom)[0] and not accounts.get_user(tom.id).disabled_at
    again = dict(re.findall(r'name="(heir|seen)" value="([^"]*)"', reply.text))
    assert admin.post(f"{page_of(tom)}/leave", **again).status_code == 303


@pytest.mark.parametrize("seen", ["", "x"])
def test_without_a_look_nothing_is_done(admin: Visitor, tom: User, seen: str) -> None:
    form = {"heir": str(person("admin").id), "seen": seen}
    assert admin.post(f"{page_of(tom)}/leave", **form).status_code == 409
    assert owned_by(tom)[0] == ["Claude"] and not accounts.get_user(tom.id).disabled_at


def test_the_last_admin_can_not_leave(admin: Visitor, tom: User) -> None:
    me = person("admin")
    other = accounts.create_user("other@example.com", "", PHRASE, "admin", COMMAND)
    _, form = preview(admin, me, tom)
    accounts.set_disabled(other, True, COMMAND)
    for reply in (
        admin.browser.get(f"{page_of(me)}/leave?heir={tom.id}"),
        admin.post(f"{page_of(me)}/leave", **form),
    ):
        assert reply.status_code == 409 and "admin@example.com is the only admin left." in text_of(reply.text)
    assert admin.get("/settings/people") and not accounts.get_user(me.id).disabled_at


@pytest.mark.parametrize("who", ["themselves", "viewer", "closed", "999", "x", "9" * 400])
def test_only_somebody_who_can_work_with_it_takes_over(admin: Visitor, tom: User, who: str) -> None:
    closed = accounts.create_user("gone@example.com", "", PHRASE, "admin", COMMAND)
    accounts.set_disabled(closed, True, COMMAND)
    ids = {"themselves": tom.id, "viewer": person("viewer").id, "closed": closed.id}
    _, form = preview(admin, tom)
    reply = admin.post(f"{page_of(tom)}/leave", **form | {"heir": str(ids.get(who, who))})
    assert reply.status_code in (
        (303,) if who[0] == "x" or len(who) > 99 else (404,) if who == "999" else (422,)
    ), reply.text
    assert (owned_by(tom)[0] == []) == (reply.status_code == 303), (
        "no number is no choice: whoever asks gets it, as was shown"
    )


def test_only_admins_let_somebody_leave(admin: Visitor, tom: User) -> None:
    accounts.set_disabled(tom, True, COMMAND)  # else closing the account would ask for the role itself
    _, form = preview(admin, tom)
    with pytest.raises(Forbidden):
        leaving.leave(tom, person("admin"), form["seen"], Actor("user", tom.email, tom.id, "technician"))
    assert owned_by(tom)[0] == ["Claude"]


def test_a_technician_is_refused_the_page_itself(technician: Visitor) -> None:
    assert technician.post(f"{page_of(person('viewer'))}/leave", heir="1", seen="x").status_code == 403


def test_what_goes_wrong_on_the_way_changes_nothing(
    admin: Visitor, tom: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    handover = leaving.plan(tom, person("admin"))
    monkeypatch.setattr(accounts, "set_disabled", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        leaving.leave(tom, person("admin"), handover.digest, as_actor(person("admin")))
    assert owned_by(tom)[0] == ["Claude"] and Invite.select().exists()
    assert not Entry.select().where(Entry.action == "user.handed_over").exists()


def test_an_admin_who_leaves_is_out_at_once(app: Flask, admin: Visitor) -> None:
    other = accounts.create_user("other@example.com", "", PHRASE, "admin", COMMAND)
    me = person("admin")
    agents.create("Mine", as_actor(me))
    _, form = preview(admin, me)
    assert form["heir"] == str(other.id)
    admin.post(f"{page_of(me)}/leave", **form)
    assert admin.browser.get("/").headers["Location"].startswith("/login")
    assert owned_by(other)[0] == ["Mine"]
    assert now() - accounts.get_user(me.id).disabled_at < timedelta(minutes=5)
