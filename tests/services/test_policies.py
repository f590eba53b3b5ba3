"""Who may set which policy, and what a person's choice means."""

from __future__ import annotations

import json

import pytest

from tests.services.conftest import Connect
from tests.services.farm import Farm, tool
from tests.upstream.zoo import modern
from webapp.errors import Forbidden, InvalidInput, NotFound, Stale
from webapp.services import integrations, policies, sync
from webapp.services.audit import COMMAND, Actor
from webapp.store.models import Entry, State, Tool
from webapp.upstream.listing import Listing, parse_tools

READ = tool("get_ticket", "Get one ticket")
WRITE = tool("delete_ticket", "Delete one ticket")


@pytest.fixture
def desk(servers: Farm, connect: Connect) -> dict[str, Tool]:
    servers.put(modern((READ, WRITE)))
    connect()
    return {row.name: row for row in Tool.select()}


def change(name: str, description: str, ann: Actor) -> Tool:
    tools, _ = parse_tools([tool(name, description), *(t for t in (READ, WRITE) if t["name"] != name)])
    sync.reconcile(integrations.find("desk"), Listing(tools, [], complete=True), ann)
    return Tool.get(Tool.name == name)


def test_an_admin_sets_any_policy_and_it_is_written_down(desk: dict[str, Tool], ann: Actor) -> None:
    stored = policies.set_policy(desk["delete_ticket"], "auto", ann)
    assert (stored.policy, stored.policy_by) == ("auto", "ann@example.com")
    entry = Entry.select().order_by(Entry.id.desc()).get()
    assert (entry.action, entry.tool, entry.actor) == (
        "policy.set",
        "mcp:desk:delete_ticket",
        "ann@example.com",
    )
    assert json.loads(entry.details) == {"from": "approval", "to": "auto", "seed": "approval"}


def test_a_change_raises_the_generation_so_that_every_worker_notices(
    desk: dict[str, Tool], ann: Actor
) -> None:
    before = State.get_by_id("generation").value
    policies.set_policy(desk["get_ticket"], "disabled", ann)
    assert State.get_by_id("generation").value > before


def test_setting_what_is_set_already_writes_nothing(desk: dict[str, Tool], ann: Actor) -> None:
    before = Entry.select().count()
    policies.set_policy(desk["get_ticket"], "auto", ann)
    assert Entry.select().count() == before


@pytest.mark.parametrize(
    ("name", "policy", "may"),
    [
        ("get_ticket", "auto", True),
        ("get_ticket", "approval", True),
        ("get_ticket", "disabled", True),
        ("delete_ticket", "auto", False),
        ("delete_ticket", "disabled", True),
    ],
)
def test_a_technician_sets_auto_for_reads_only(
    desk: dict[str, Tool], tom: Actor, name: str, policy: str, may: bool
) -> None:
    if may:
        assert policies.set_policy(desk[name], policy, tom).policy == policy
    else:
        with pytest.raises(Forbidden):
            policies.set_policy(desk[name], policy, tom)
        assert Tool.get_by_id(desk[name].id).policy == desk[name].policy


def test_a_viewer_sets_nothing(desk: dict[str, Tool], vic: Actor) -> None:
    for policy in policies.POLICIES:
        with pytest.raises(Forbidden):
            policies.set_policy(desk["get_ticket"], policy, vic)
    with pytest.raises(Forbidden):
        policies.reset(desk["get_ticket"], vic)


@pytest.mark.parametrize("policy", ["", "Auto", "allow", "auto "])
def test_an_unknown_policy_is_refused(desk: dict[str, Tool], ann: Actor, policy: str) -> None:
    with pytest.raises(InvalidInput):
        policies.set_policy(desk["get_ticket"], policy, ann)


def test_reset_goes_back_to_the_seed_by_the_same_rules(desk: dict[str, Tool], ann: Actor, tom: Actor) -> None:
    policies.set_policy(desk["delete_ticket"], "disabled", ann)
    stored = policies.reset(desk["delete_ticket"], tom)
    assert (stored.policy, stored.policy_by, stored.changed_from_seed) == (
        "approval",
        "tom@example.com",
        False,
    )


def test_what_waits_for_a_look_gets_no_more_permission_in_passing(
    desk: dict[str, Tool], ann: Actor, tom: Actor
) -> None:
    changed = change("get_ticket", "Get one ticket, quickly", ann)
    for actor in (ann, tom):
        for act in (
            lambda who: policies.set_policy(changed, "auto", who),
            lambda who: policies.reset(changed, who),
        ):
            with pytest.raises(Forbidden, match="Nobody has looked"):
                act(actor)
    assert policies.set_policy(changed, "disabled", tom).policy == "disabled"
    with pytest.raises(Forbidden, match="Nobody has looked"):
        policies.set_policy(changed, "approval", ann)
    assert integrations.find("desk").state == "needs_review"


def test_the_command_line_names_the_tool_and_that_is_a_look(desk: dict[str, Tool], ann: Actor) -> None:
    changed = change("get_ticket", "Get one ticket, quickly", ann)
    assert policies.set_policy(changed, "disabled", COMMAND).waits
    assert not policies.set_policy(changed, "auto", COMMAND).waits
    assert integrations.find("desk").state == "connected"


def test_a_choice_made_for_an_older_definition_is_refused(desk: dict[str, Tool], ann: Actor) -> None:
    """What somebody saw is what they decide about."""
    seen = desk["get_ticket"].definition_digest
    change("get_ticket", "Get one ticket and mail it away", ann)
    for act in (
        lambda: policies.set_policy(desk["get_ticket"], "auto", ann, seen=seen),
        lambda: policies.reset(desk["get_ticket"], ann, seen=seen),
    ):
        with pytest.raises(Stale):
            act()
    assert Tool.get(Tool.name == "get_ticket").policy == "approval"


def test_a_tool_of_a_server_that_is_gone_is_not_found(desk: dict[str, Tool], ann: Actor) -> None:
    integrations.disconnect(integrations.find("desk"), "desk", ann)
    with pytest.raises(NotFound):
        policies.set_policy(desk["get_ticket"], "auto", ann)
