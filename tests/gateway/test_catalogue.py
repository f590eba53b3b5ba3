"""The catalogue in memory: loaded anew after each change, but what did not change is not read again."""

from __future__ import annotations

from tests.routes.settings_house import READ, WRITE, Connect, connect, meadow, servers  # noqa: F401
from tests.services.farm import tool
from webapp.gateway.catalogue import Catalogue, load
from webapp.services import integrations, policies, sync
from webapp.services.audit import COMMAND
from webapp.store.models import Integration, Tool
from webapp.upstream.listing import Listing, parse_tools

# ruff: noqa: F811

MORE = tool("list_devices", "List the devices")


def offers(server: Integration, *tools: object) -> None:
    good, aside = parse_tools(list(tools))
    sync.reconcile(server, Listing(good, aside, complete=True), COMMAND)


def same(one: Catalogue, other: Catalogue) -> bool:
    return (one.tools, one.by_name, one.by_source) == (other.tools, other.by_name, other.by_source)


def test_after_every_kind_of_change_it_is_what_a_fresh_one_is(connect: Connect) -> None:
    desk, other = connect("desk", READ, WRITE, MORE), connect("other", READ)
    held = load()
    changes = [
        lambda: policies.set_policy(Tool.get(Tool.name == "list_devices"), "disabled", COMMAND),
        lambda: offers(desk, READ, tool("delete_ticket", "Delete it twice"), MORE),
        lambda: offers(desk, READ, MORE),
        lambda: offers(desk, READ, WRITE, MORE, tool("get_more", "Get more")),
        lambda: Integration.update(title="The desk").where(Integration.id == desk.id).execute(),
        lambda: Integration.update(state="paused").where(Integration.id == desk.id).execute(),
        lambda: Integration.update(state="connected").where(Integration.id == desk.id).execute(),
        lambda: integrations.disconnect(other, "other", COMMAND),
    ]
    for number, change in enumerate(changes):
        change()
        held, fresh = load(held), load()
        assert same(held, fresh), number
        assert all(tool.on_the_wire["name"] == tool.wire_name for tool in held.tools)


def test_a_policy_reads_no_definition_again(connect: Connect) -> None:
    connect("desk", READ, WRITE)
    before = load()
    policies.set_policy(Tool.get(Tool.name == "get_ticket"), "approval", COMMAND)
    after = load(before)
    for name in ("mcp:desk:get_ticket", "mcp:desk:delete_ticket"):
        assert after.by_name[name].definition is before.by_name[name].definition
    assert after.by_name["mcp:desk:get_ticket"].policy == "approval"
