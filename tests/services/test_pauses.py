"""The brake: who pulls it and who releases it, what is written down, and clocks that stand still."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.services.conftest import Connect
from tests.services.farm import Farm, tool
from tests.upstream.zoo import modern
from webapp.errors import Forbidden, InvalidInput, Stale
from webapp.services import agents, approvals, health, integrations, pauses, standstill
from webapp.services.approvals import freezing
from webapp.services.audit import COMMAND, Actor
from webapp.services.standstill import EVERYTHING, Standstill
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, Approval, Entry, Integration, Pause, State, Tool
from webapp.store.models import approvals as tables

READ = tool("get_ticket", "Get one ticket")
WRITE = tool("delete_ticket", "Delete one ticket")
PLUMBER = tool("frobnicate")


@pytest.fixture
def desk(servers: Farm, connect: Connect) -> Integration:
    servers.put(modern((READ, WRITE, PLUMBER)))
    return connect()


@pytest.fixture
def claude(desk: Integration) -> Agent:
    agent, _ = agents.create("Claude", COMMAND)
    return agent


def last() -> tuple[str, str, dict[str, Any]]:
    entry = Entry.select().where(Entry.kind == "change").order_by(Entry.id.desc()).get()
    return entry.action, entry.actor, json.loads(entry.details)


def ask(agent: Agent, name: str = "delete_ticket", number: int = 1) -> str:
    one = Tool.get(Tool.name == name)
    asked = approvals.Asked(
        agent.id, agent.name, one.id, one.catalogue_name, "desk", one.definition_digest, {"id": number}
    )
    with writing():
        return approvals.ask(asked, minutes=30, most_open=20, log_arguments="full")


def found(approval: str) -> Approval:
    return Approval.get_by_id(approval)  # type: ignore[no-any-return]


def let_pass(monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    """The clock of everything that looks at it here."""
    later = now() + timedelta(minutes=minutes)
    for module in (
        freezing,
        pauses,
        approvals.endings,
        approvals.decisions,
        approvals.asking,
        approvals.runs,
        tables,
    ):
        monkeypatch.setattr(module, "now", lambda: later)


@pytest.mark.parametrize(("standing", "expected"), [
    (Standstill(), ["", "", ""]),
    (Standstill(everything="writes"), ["", "writes", "writes"]),
    (Standstill(everything="calls"), ["calls", "calls", "calls"]),
    (Standstill(servers=frozenset({1})), ["server", "server", "server"]),
    (Standstill(servers=frozenset({2}), agents=frozenset({8})), ["", "", ""]),
    (Standstill(agents=frozenset({7})), ["agent", "agent", "agent"]),
    (Standstill(everything="writes", agents=frozenset({7})), ["agent", "writes", "writes"]),
])  # fmt: skip
def test_what_keeps_a_call_from_running(standing: Standstill, expected: list[str]) -> None:
    """What may write counts as a write."""
    assert [standing.scope(7, 1, kind) for kind in ("read", "write", "unknown")] == expected
    assert standing.scope(None, 3, "write") == standing.everything


def test_a_server_is_paused_with_who_and_why(desk: Integration, tom: Actor) -> None:
    pauses.pause_server(desk, tom, "  It deletes\nwhat it should not.  ")
    paused = integrations.find("desk")
    assert (paused.state, health.of(paused).word) == ("paused", "Paused")
    assert health.of(paused).sentence == "By tom@example.com: It deletes what it should not."
    assert last() == ("integration.paused", tom.name, {"reason": "It deletes what it should not."})
    assert standstill.now_standing().servers == {desk.id}
    pauses.resume("server:desk", tom)
    assert integrations.find("desk").state == "connected"
    action, by, details = last()
    assert (action, by, details["paused_by"]) == ("integration.resumed", tom.name, tom.name)
    assert standstill.now_standing() == Standstill()


@pytest.mark.parametrize("way", [
    lambda desk, claude, who, why: pauses.pause_server(desk, who, why),
    lambda desk, claude, who, why: pauses.pause_agent(claude, who, why),
    lambda desk, claude, who, why: pauses.stop("calls", who, why),
    lambda desk, claude, who, why: pauses.stop("writes", who, why),
])  # fmt: skip
def test_every_pause_needs_a_role_and_a_reason_is_on_record_once_and_wakes_the_workers(
    desk: Integration, claude: Agent, vic: Actor, tom: Actor, way: Callable[..., Pause]
) -> None:
    with pytest.raises(Forbidden):
        way(desk, claude, vic, "Because")
    for empty in ("", "  \n"):
        with pytest.raises(InvalidInput):
            way(desk, claude, tom, empty)
    assert Pause.select().count() == 0
    before, rows = State.get_by_id("generation").value, Entry.select().count()
    made = way(desk, claude, tom, "Because")
    assert (made.by, made.by_role, made.reason) == (tom.name, "technician", "Because")
    assert State.get_by_id("generation").value > before
    assert way(desk, claude, tom, "Another reason").reason == "Because"
    assert Entry.select().count() == rows + 1
    with pytest.raises(Forbidden):
        pauses.resume(made.key, vic)
    pauses.resume(made.key, tom)
    pauses.resume(made.key, tom)
    assert Entry.select().count() == rows + 2


def test_whoever_releases_has_at_least_the_role_of_whoever_pulled(
    desk: Integration, claude: Agent, tom: Actor, ann: Actor
) -> None:
    for key, pause in (
        ("server:desk", lambda who: pauses.pause_server(desk, who, "Because")),
        (f"agent:{claude.id}", lambda who: pauses.pause_agent(claude, who, "Because")),
        (EVERYTHING, lambda who: pauses.stop("calls", who, "Because")),
    ):
        for who in (ann, COMMAND):
            pause(who)
            with pytest.raises(Forbidden, match="An admin has paused it"):
                pauses.resume(key, tom)
            pauses.resume(key, ann)
        pause(tom)
        pauses.resume(key, ann)
        pause(tom)
        pauses.resume(key, Actor("user", "tim@example.com", role="technician"))
    assert Pause.select().count() == 0


def test_more_can_be_stopped_by_anybody_but_less_is_a_release(
    ann: Actor, tom: Actor, desk: Integration
) -> None:
    """A technician who stops more does not become the one who may release all."""
    pauses.stop("writes", ann, "Audit")
    assert pauses.stop("calls", tom, "Strange calls").scope == "calls"
    assert standstill.now_standing().everything == "calls"
    for release in (lambda: pauses.stop("writes", tom, "Less"), lambda: pauses.resume(EVERYTHING, tom)):
        with pytest.raises(Forbidden):
            release()
    assert standstill.now_standing().everything == "calls"
    assert pauses.stop("writes", ann, "Less").scope == "writes"
    with pytest.raises(InvalidInput):
        pauses.stop("everything", ann, "Because")


def test_only_servers_in_use_are_paused(desk: Integration, ann: Actor) -> None:
    integrations.ensure_builtins()
    draft = integrations.add_server("https://mcp.example.com", ann, name="draft")
    for one in (draft, integrations.find("network")):
        with pytest.raises(Stale):
            pauses.pause_server(one, ann, "Because")


def test_what_goes_takes_its_pause_along(desk: Integration, claude: Agent, ann: Actor) -> None:
    pauses.pause_server(desk, ann, "Because")
    pauses.pause_agent(claude, ann, "Because")
    integrations.disconnect(integrations.find("desk"), "desk", ann)
    agents.revoke(claude, ann)
    assert pauses.standing() == []


# --- calls that wait


def test_waiting_calls_freeze_and_their_clock_stands_still(
    desk: Integration, claude: Agent, tom: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = ask(claude)
    expires_at = found(waiting).expires_at
    pauses.stop("writes", tom, "Because")
    assert last()[2]["frozen"] == 1
    let_pass(monkeypatch, 120)
    with writing():
        assert approvals.expire_old() == 0
    assert [one.id for one in Approval.waiting()] == [waiting]
    with pytest.raises(Stale, match="can't run: all writes are stopped"):
        approvals.decide(waiting, "approve", tom)
    with pytest.raises(Stale, match="clock stands still"):
        approvals.extend(waiting, expires_at + timedelta(minutes=30), tom)
    assert ask(claude) == waiting  # a repeat meets it
    pauses.resume(EVERYTHING, tom)
    assert last()[2]["thawed"] == 1
    left = found(waiting).expires_at - expires_at
    assert timedelta(minutes=119) < left < timedelta(minutes=121)
    assert approvals.decide(waiting, "approve", tom).state == "approved"


def test_a_frozen_call_can_be_denied(desk: Integration, claude: Agent, tom: Actor) -> None:
    waiting = ask(claude)
    pauses.pause_agent(claude, tom, "Because")
    assert approvals.decide(waiting, "deny", tom).state == "denied"


def test_two_pauses_hold_until_both_are_gone(desk: Integration, claude: Agent, tom: Actor) -> None:
    waiting = ask(claude)
    pauses.pause_server(desk, tom, "Because")
    frozen_at = found(waiting).frozen_at
    pauses.stop("calls", tom, "Because")
    pauses.resume("server:desk", tom)
    assert found(waiting).frozen_at == frozen_at
    pauses.resume(EVERYTHING, tom)
    assert found(waiting).frozen_at is None


def test_only_what_is_paused_freezes(desk: Integration, claude: Agent, tom: Actor) -> None:
    other, _ = agents.create("Codex", COMMAND)
    read, write, of_other = ask(claude, "get_ticket"), ask(claude), ask(other)
    frozen = lambda: {one.id for one in Approval.select().where(Approval.frozen_at.is_null(False))}  # noqa: E731
    pauses.stop("writes", tom, "Because")
    assert frozen() == {write, of_other}
    pauses.resume(EVERYTHING, tom)
    pauses.pause_agent(claude, tom, "Because")
    assert frozen() == {read, write}


def test_what_was_approved_but_had_not_begun_is_decided_anew(
    desk: Integration, claude: Agent, tom: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a person approved before the alarm must not run by itself when all goes on."""
    waiting = ask(claude)
    approvals.decide(waiting, "approve", tom)
    pauses.stop("calls", tom, "Because")
    frozen = found(waiting)
    assert (frozen.state, frozen.decided_by, frozen.decided_at) == ("waiting", "", None)
    entry = Entry.select().where(Entry.action == "approval.frozen").get()
    assert json.loads(entry.details)["by"] == tom.name
    let_pass(monkeypatch, 600)
    pauses.resume(EVERYTHING, tom)
    with writing():
        assert approvals.claim(waiting, "worker") is None
    assert approvals.decide(waiting, "approve", tom).state == "approved"


def test_a_worker_that_claims_a_moment_late_runs_nothing(
    desk: Integration, claude: Agent, tom: Actor
) -> None:
    waiting = ask(claude)
    pauses.pause_server(desk, tom, "Because")
    Approval.update(state="approved", decided_at=now(), frozen_at=None).where(
        Approval.id == waiting
    ).execute()
    with writing():
        assert approvals.claim(waiting, "worker") is None
    assert (found(waiting).state, found(waiting).frozen_at is None) == ("waiting", False)


def test_a_call_that_was_on_its_way_to_the_inbox_freezes_there(
    desk: Integration, claude: Agent, tom: Actor
) -> None:
    pauses.stop("writes", tom, "Because")
    assert found(ask(claude)).frozen_at is not None
    assert found(ask(claude, "get_ticket")).frozen_at is None
