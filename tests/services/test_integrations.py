"""The life of an integration: draft, in use, paused, gone."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.services.conftest import Connect
from tests.services.farm import Farm, tool
from tests.upstream.zoo import modern
from webapp.errors import Forbidden, InvalidInput, NotFound, Stale
from webapp.services import connections, headers, health, integrations, pauses, practice
from webapp.services.audit import Actor
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import (
    Agent,
    AgentIntegration,
    Approval,
    Check,
    Connection,
    Entry,
    Integration,
    Quarantine,
    Tool,
)
from webapp.upstream.egress import Allowance

READ = tool("get_ticket", "Get one ticket")


def last_entry() -> Entry:
    return Entry.select().order_by(Entry.id.desc()).get()


# --- drafts


def test_an_added_server_is_a_draft_with_a_name_from_its_host(store: None, ann: Actor) -> None:
    draft = integrations.add_server("mcp.halopsa.com/mcp", ann)
    assert (draft.state, draft.name, draft.url) == ("draft", "halopsa", "https://mcp.halopsa.com/mcp")
    assert integrations.next_step(draft) == "check"
    assert (last_entry().action, last_entry().integration) == ("integration.added", "halopsa")


def test_the_same_address_may_be_added_twice_under_two_names(store: None, ann: Actor) -> None:
    first = integrations.add_server("https://mcp.example.com/mcp", ann)
    second = integrations.add_server("https://mcp.example.com/mcp", ann)
    assert first.name != second.name


@pytest.mark.parametrize("name", ["Has Space", "x" * 40, "-a", "new", "mcp", "ünicode", "a__b", "a:b"])
def test_names_that_cannot_be_names_are_refused(store: None, ann: Actor, name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        integrations.add_server("https://mcp.example.com/mcp", ann, name=name)
    assert refusal.value.field == "name"
    assert Integration.select().count() == 0


def test_a_taken_name_is_refused(store: None, ann: Actor) -> None:
    integrations.add_server("https://a.example.com/mcp", ann, name="desk")
    with pytest.raises(InvalidInput):
        integrations.add_server("https://b.example.com/mcp", ann, name="Desk")


def test_another_address_forgets_what_belonged_to_the_old_one(store: None, servers: Farm, ann: Actor) -> None:
    draft = integrations.add_server(servers.url(), ann, name="desk")
    integrations.allow_private(draft, servers.allowance, ann)
    moved = integrations.change_draft(draft, "https://mcp.example.com/mcp", "helpdesk", ann)
    assert (moved.url, moved.name, moved.allowances) == ("https://mcp.example.com/mcp", "helpdesk", [])


def test_the_same_address_again_keeps_everything(store: None, servers: Farm, ann: Actor) -> None:
    draft = integrations.add_server(servers.url(), ann, name="desk")
    integrations.allow_private(draft, servers.allowance, ann)
    same = integrations.change_draft(draft, servers.url(), "desk", ann)
    assert len(same.allowances) == 1


def test_name_and_address_stay_once_the_tools_are_in(servers: Farm, connect: Connect, ann: Actor) -> None:
    servers.put(modern((READ,)))
    desk = connect()
    with pytest.raises(Stale):
        integrations.change_draft(desk, "https://evil.example.com/mcp", "desk", ann)
    assert integrations.find("desk").url == servers.url()


def test_the_next_step_is_a_fact_about_the_row(servers: Farm, connect: Connect, ann: Actor) -> None:
    servers.put(modern((READ,)))
    desk = connect(finished=False)
    assert integrations.next_step(desk) == "tools"
    assert integrations.next_step(integrations.finish(desk, ann)) == "done"


def test_a_draft_without_a_sign_in_cannot_be_finished(store: None, ann: Actor) -> None:
    draft = integrations.add_server("https://mcp.example.com/mcp", ann)
    with pytest.raises(Stale):
        integrations.finish(draft, ann)


def test_a_discarded_draft_is_gone_and_a_server_in_use_cannot_be_discarded(
    servers: Farm, connect: Connect, ann: Actor
) -> None:
    servers.put(modern((READ,)))
    integrations.discard_draft(integrations.add_server("https://mcp.example.com", ann, name="idea"), ann)
    with pytest.raises(NotFound):
        integrations.find("idea")
    with pytest.raises(Stale):
        integrations.discard_draft(connect(), ann)


# --- exceptions of the guard


def test_an_exception_is_stored_for_one_server_exactly_and_written_down(store: None, ann: Actor) -> None:
    one = integrations.add_server("https://192.168.7.5/mcp", ann, name="one")
    other = integrations.add_server("https://192.168.7.5/mcp", ann, name="other")
    allowance = Allowance("192.168.7.5", 443, "192.168.7.0/24")
    integrations.allow_private(one, allowance, ann)
    assert integrations.find("one").allowances == [
        {"host": "192.168.7.5", "port": 443, "network": "192.168.7.0/24", "cleartext": False}
    ]
    assert integrations.find("other").allowances == other.allowances == []
    assert last_entry().action == "integration.private_allowed"
    assert json.loads(last_entry().details)["network"] == "192.168.7.0/24"


def test_only_admins_add_allow_and_end(store: None, ann: Actor, tom: Actor, vic: Actor) -> None:
    draft = integrations.add_server("https://mcp.example.com", ann)
    allowance = Allowance("mcp.example.com", 443, "10.0.0.0/24")
    for actor in (tom, vic):
        for act in (
            lambda: integrations.add_server("https://x.example.com", actor),  # noqa: B023
            lambda: integrations.allow_private(draft, allowance, actor),  # noqa: B023
            lambda: integrations.change_draft(draft, "https://x.example.com", "x", actor),  # noqa: B023
            lambda: integrations.rename(draft, "New", actor),  # noqa: B023
            lambda: integrations.finish(draft, actor),  # noqa: B023
            lambda: integrations.discard_draft(draft, actor),  # noqa: B023
            lambda: integrations.disconnect(draft, draft.name, actor),  # noqa: B023
        ):
            with pytest.raises(Forbidden):
                act()
    assert Integration.select().count() == 1


# --- in use


def test_a_rename_changes_the_title_and_no_name(servers: Farm, connect: Connect, ann: Actor) -> None:
    servers.put(modern((READ,)))
    desk = connect()
    renamed = integrations.rename(desk, "  The  Help Desk ", ann)
    assert (renamed.title, renamed.name) == ("The Help Desk", "desk")
    assert [row.wire_name for row in Tool.select()] == ["desk__get_ticket"]
    with pytest.raises(InvalidInput):
        integrations.rename(desk, "   ", ann)


def test_a_mark_is_logged_when_the_state_changes_and_only_then(servers: Farm, connect: Connect) -> None:
    servers.put(modern((READ,)))
    desk = connect()
    integrations.mark(desk, "needs_sign_in", "It answered 401.")
    rows = Entry.select().count()
    integrations.mark(desk, "needs_sign_in", "It answered 401 again.")
    assert Entry.select().count() == rows
    assert last_entry().action == "integration.state"
    assert health.of(integrations.find("desk")).sentence == "It answered 401 again."


def test_a_mark_wakes_neither_drafts_nor_paused_servers(servers: Farm, connect: Connect, ann: Actor) -> None:
    servers.put(modern((READ,)))
    draft = integrations.add_server("https://mcp.example.com", ann, name="draft")
    desk = connect()
    pauses.pause_server(desk, ann, "a test")
    for one in (draft, desk):
        integrations.mark(one, "connected", "")
        integrations.mark(one, "unreachable", "gone")
        assert integrations.find(one.name).state in ("draft", "paused")


# --- the end


def ask_for(target: Tool, number: int) -> None:
    with writing():
        agent, _ = Agent.get_or_create(name="claude", defaults={"key_prefix": "gh_1", "key_hash": "h"})
        Approval.create(
            id=f"apr_{number}", open_key=f"key-{number}", agent=agent, agent_name="claude", tool=target,
            catalogue_name=target.catalogue_name, arguments=b"", arguments_digest="", definition_digest="",
            expires_at=now() + timedelta(minutes=5),
        )  # fmt: skip


def test_disconnect_takes_tools_secret_grants_and_waiting_approvals_and_leaves_the_log(
    servers: Farm, connect: Connect, ann: Actor
) -> None:
    servers.put(modern((READ, {"name": "broken"})))
    desk, other = connect("desk"), connect("other")
    connections.save_headers(desk, "bearer", [headers.bearer("token-token")], ann)
    mine, others = (Tool.get(Tool.integration == one) for one in (desk, other))
    ask_for(mine, 1)
    ask_for(others, 2)
    with writing():
        AgentIntegration.create(agent=Agent.get(), integration=desk)
    rows = Entry.select().count()
    going = integrations.going(desk)
    assert (going.tools, going.waiting, going.secret, going.agents) == (1, 1, True, 1)

    integrations.disconnect(desk, "desk", ann)

    assert [one.name for one in Integration.select()] == ["other"]
    for table in (Tool, Connection, Quarantine):
        assert {row.integration_id for row in table.select()} == {other.id}
    assert AgentIntegration.select().count() == 0
    withdrawn, waiting = Approval.get_by_id("apr_1"), Approval.get_by_id("apr_2")
    assert (withdrawn.state, withdrawn.open_key) == ("withdrawn", None)
    assert (waiting.state, waiting.open_key) == ("waiting", "key-2")
    assert Entry.select().count() > rows
    assert last_entry().action == "integration.disconnected"


@pytest.mark.parametrize("typed", ["", "Desk", "other", "desk2"])
def test_disconnect_without_the_right_name_removes_nothing(
    servers: Farm, connect: Connect, ann: Actor, typed: str
) -> None:
    servers.put(modern((READ,)))
    desk = connect()
    with pytest.raises(InvalidInput):
        integrations.disconnect(desk, typed, ann)
    assert (Integration.select().count(), Tool.select().count()) == (1, 1)


# --- the practice server


def test_the_practice_server_is_offered_until_something_is_connected(servers: Farm, connect: Connect) -> None:
    servers.put(modern((READ,)))
    assert practice.offered("http://127.0.0.1:8001")
    assert not practice.offered("")
    connect()
    assert not practice.offered("http://127.0.0.1:8001")


def test_the_practice_server_needs_no_confirmation_of_its_address(store: None, ann: Actor) -> None:
    draft = practice.add("http://127.0.0.1:8001", "open", ann)
    assert draft.url == "http://127.0.0.1:8001/open/mcp"
    assert draft.allowances == [
        {"host": "127.0.0.1", "port": 8001, "network": "127.0.0.1/32", "cleartext": True}
    ]
    again = practice.add("http://127.0.0.1:8001", "open", ann)
    assert (draft.name, again.name) == ("practice", "practice-2")


def test_no_other_place_passes_as_the_practice_server(store: None, ann: Actor) -> None:
    for url, door in (("http://192.168.1.5:8001", "open"), ("http://127.0.0.1:8001", "../admin")):
        with pytest.raises(InvalidInput):
            practice.add(url, door, ann)
    assert Integration.select().count() == Check.select().count() == 0
