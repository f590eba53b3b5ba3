"""The catalogue in memory: after each change it is what a fresh one would be, and only what changed is read again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.routes.settings_house import (  # noqa: F401
    READ,
    WRITE,
    Connect,
    app,
    connect,
    furnished,
    meadow,
    servers,
)  # fmt: skip
from tests.services.farm import tool
from webapp.gateway import catalogue
from webapp.gateway.catalogue import Catalogue, Catalogues, load, newest
from webapp.services import (
    agents,
    approvals,
    bulk,
    integrations,
    patience,
    pauses,
    policies,
    quotas,
    reviews,
    sync,
)
from webapp.services.audit import COMMAND
from webapp.services.bulk import Selection
from webapp.services.wishes import named
from webapp.store import generation
from webapp.store.database import writing
from webapp.store.models import Agent, Extent, Integration, Tool, database
from webapp.upstream.client import ServerInfo
from webapp.upstream.listing import Listing, parse_tools

# ruff: noqa: F811

MORE = tool("list_devices", "List the devices")
OTHERWISE = tool("list_devices", "List the devices, or something else")


def offers(server: Integration, *tools: object, speaks: ServerInfo | None = None) -> None:
    good, aside = parse_tools(list(tools))
    sync.reconcile(server, Listing(good, aside, complete=True), COMMAND, server=speaks)


def same(one: Catalogue, other: Catalogue) -> bool:
    """Whatever agents can notice; the lists are made on demand."""
    return replace(one, lists={}) == replace(other, lists={})


def named_tool(name: str) -> Tool:
    found: Tool = Tool.get(Tool.catalogue_name == f"mcp:{name}")
    return found


def in_bulk(policy: str) -> None:
    selection = Selection(ids=tuple(one.id for one in Tool.select()))
    seen = bulk.plan(selection, named(policy), COMMAND.role).digest
    bulk.change(selection, named(policy), COMMAND, seen=seen)


def ask(agent: Agent, name: str, number: int) -> str:
    one = named_tool(name)
    asked = approvals.Asked(
        agent.id, agent.name, one.id, one.catalogue_name, "desk", one.definition_digest, {"id": number}
    )
    with writing():
        return approvals.ask(asked, minutes=30, most_open=20, log_arguments="full")


def look_at(name: str) -> None:
    one = named_tool(name)
    reviews.keep(one, COMMAND, seen=one.definition_digest)


def count_otherwise(server: Integration) -> None:
    """As an older version of Gatehouse would have written it."""
    Tool.update(definition_digest="older").where(Tool.integration == server).execute()
    with writing():
        generation.raise_by_one()


def test_after_every_kind_of_change_it_is_what_a_fresh_one_is(connect: Connect) -> None:
    desk, other = connect("desk", READ, WRITE, MORE), connect("other", READ)
    agent, _ = agents.create("Claude", COMMAND)
    speaks = ServerInfo("2025-06-18", logs=True)
    changes: list[Callable[[], object]] = [
        lambda: policies.set_policy(named_tool("desk:list_devices"), "disabled", COMMAND),
        lambda: policies.reset(named_tool("desk:list_devices"), COMMAND),
        lambda: in_bulk("approval"),
        lambda: bulk.undo(bulk.latest()[0], COMMAND),
        lambda: offers(desk, READ, WRITE, OTHERWISE),
        lambda: look_at("desk:list_devices"),
        lambda: ask(agent, "desk:delete_ticket", 1),
        lambda: approvals.decide(ask(agent, "desk:delete_ticket", 2), "deny", COMMAND),
        lambda: count_otherwise(desk),
        lambda: offers(desk, READ, WRITE, OTHERWISE),
        lambda: offers(desk, READ, WRITE, OTHERWISE, speaks=speaks),
        lambda: offers(desk, READ, OTHERWISE),
        lambda: policies.set_policy(named_tool("desk:delete_ticket"), "disabled", COMMAND),
        lambda: offers(desk, READ, WRITE, MORE, tool("get_more", "Get more")),
        lambda: quotas.change(agent, {"calls_per_minute": "7"}, COMMAND),
        lambda: pauses.pause_agent(agent, COMMAND, "Why not"),
        lambda: integrations.rename(desk, "The desk", COMMAND),
        lambda: patience.change(desk, "7", COMMAND),
        lambda: pauses.pause_server(desk, COMMAND, "Why not"),
        lambda: policies.set_policy(named_tool("desk:get_ticket"), "disabled", COMMAND),
        lambda: pauses.resume(pauses.key_of_server(desk), COMMAND),
        lambda: (in_bulk("disabled"), policies.set_policy(named_tool("other:get_ticket"), "auto", COMMAND)),
        lambda: integrations.disconnect(other, "other", COMMAND),
        lambda: agents.revoke(agent, COMMAND),
    ]
    held = newest(Catalogue())
    for number, change in enumerate(changes):
        change()
        held = newest(held)
        assert same(held, load()), number
        assert held.generation == generation.read(), number
        assert all(tool.on_the_wire["name"] == tool.wire_name for tool in held.tools)


def test_of_single_tools_that_change_only_these_are_read_again(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect("desk", READ, WRITE, MORE)
    agent, _ = agents.create("Claude", COMMAND)
    before = newest(Catalogue())
    monkeypatch.setattr(catalogue, "load", None)
    asked_for = list[int]()
    monkeypatch.setattr(catalogue, "_lean_rows", counting(asked_for))
    policies.set_policy(named_tool("desk:get_ticket"), "approval", COMMAND)
    policies.set_policy(named_tool("desk:list_devices"), "disabled", COMMAND)
    after = newest(before)
    assert asked_for == [2]
    assert policies_in(after) == ["approval", "approval", "disabled"]
    assert policies_in(before) == ["approval", "auto", "auto"], "calls under way keep theirs"
    for name, one in before.by_name.items():
        assert after.by_name[name].definition is one.definition
    ask(agent, "desk:get_ticket", 1)
    assert newest(after) is after and asked_for == [2], "a call that waits changes no tool"


def policies_in(known: Catalogue) -> list[str]:
    return [one.policy for one in known.tools if one.source.name == "desk"]


def counting(asked_for: list[int], real: Callable[..., list[object]] = catalogue._lean_rows) -> object:
    def read(which: object) -> list[object]:
        rows = real(which)
        asked_for.append(len(rows))
        return rows

    return read


def test_whoever_is_woken_after_a_change_is_told_of_it(connect: Connect) -> None:
    """One look at the store serves all who run in one turn of the event loop, and nobody after that."""
    connect("desk", READ)

    def change(policy: str) -> None:
        with database.connection_context():
            policies.set_policy(named_tool("desk:get_ticket"), policy, COMMAND)

    async def live() -> list[list[str]]:
        catalogues, seen = Catalogues(), list[list[str]]()
        for policy in ("approval", "auto", "disabled"):
            await catalogues.current()
            await asyncio.to_thread(change, policy)
            seen.append(policies_in(await catalogues.current()))
        return seen

    assert asyncio.run(asyncio.wait_for(live(), 60)) == [["approval"], ["auto"], ["disabled"]]


def test_how_far_changes_went_is_forgotten_and_then_all_is_read_again(connect: Connect) -> None:
    connect("desk", READ, WRITE)
    held = newest(Catalogue())
    with writing():
        for _ in range(generation.MOST_CHANGES + 200):
            generation.raise_by_one(tools=())
    assert Extent.select().count() <= generation.MOST_CHANGES + 100
    assert generation.touched(held.generation, generation.read()) is None
    assert same(newest(held), load())
    late = generation.read()
    with writing():
        generation.raise_by_one(tools=[7, 7, 8])
        generation.raise_by_one(tools=[9])
    assert generation.touched(late, late + 2) == {7, 8, 9}
    with writing():
        generation.raise_by_one()
    assert generation.touched(late, late + 3) is None, "one of them may have been about anything"
    with writing():
        generation.raise_by_one(tools=range(generation.MOST_TOOLS + 1))
    assert generation.touched(late + 3, late + 4) is None, "so many are read at once as well"
