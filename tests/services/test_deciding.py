"""Who may decide, and who may run what was decided: asked of the services themselves, whoever calls them."""

from __future__ import annotations

import pytest

from tests.services.conftest import Connect
from tests.services.farm import Farm, tool
from tests.upstream.zoo import modern
from webapp.errors import Forbidden
from webapp.services import agents, approvals
from webapp.services.audit import COMMAND, Actor
from webapp.store.database import writing
from webapp.store.models import Approval, Tool


@pytest.fixture
def waiting(servers: Farm, connect: Connect) -> str:
    servers.put(modern((tool("delete_ticket"),)))
    connect()
    agent, _ = agents.create("Claude", COMMAND)
    what = Tool.get(Tool.name == "delete_ticket")
    asked = approvals.Asked(
        agent.id, "Claude", what.id, what.catalogue_name, "desk", what.definition_digest, {"id": 1}
    )
    with writing():
        return approvals.ask(asked, minutes=30, most_open=20, log_arguments="redacted")


@pytest.mark.parametrize("decision", ["approve", "approve-same", "deny"])
def test_a_viewer_decides_nothing(waiting: str, vic: Actor, decision: str) -> None:
    with pytest.raises(Forbidden):
        approvals.decide(waiting, decision, vic)
    assert Approval.get_by_id(waiting).state == "waiting"


def test_of_two_workers_one_takes_it(waiting: str, tom: Actor) -> None:
    approvals.decide(waiting, "approve", tom)
    with writing():
        assert approvals.claim(waiting, "one")
    with writing():
        assert approvals.claim(waiting, "two") is None
    assert Approval.get_by_id(waiting).worker == "one"


def test_what_nobody_has_approved_is_not_taken(waiting: str) -> None:
    with writing():
        assert approvals.claim(waiting, "one") is None
    assert Approval.get_by_id(waiting).state == "waiting"
