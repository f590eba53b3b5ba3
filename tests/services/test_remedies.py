"""Ways out: there is one for every problem, and none that leads nowhere."""

from __future__ import annotations

from typing import get_args

import pytest

from webapp.services import remedies
from webapp.upstream.findings import STEPS, Finding, State, Step, Switch

KINDS = ("", "none", "bearer", "header", "basic", "oauth")


def found(step: Step, state: State = "problem", switch: Switch = "") -> Finding:
    return Finding(step, state, "Something.", switch=switch)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("draft", [True, False])
@pytest.mark.parametrize("step", STEPS)
def test_every_problem_has_a_way_out(step: Step, draft: bool, kind: str) -> None:
    ways = remedies.fitting([found(step)], kind, draft=draft)
    assert ways
    assert len(set(ways)) == len(ways) <= remedies.MOST
    assert ("elsewhere" if draft else "address") not in ways
    assert set(ways) <= set(remedies.WAYS)


@pytest.mark.parametrize("kind", KINDS)
def test_where_all_is_well_nothing_is_offered(kind: str) -> None:
    assert remedies.fitting([found(step, "ok") for step in STEPS], kind, draft=False) == ()


@pytest.mark.parametrize("switch", [switch for switch in get_args(Switch) if switch])
@pytest.mark.parametrize("state", ["problem", "note", "info"])
def test_a_switch_that_would_help_is_offered_first_where_it_is_the_problem(
    switch: Switch, state: State
) -> None:
    ways = remedies.fitting([found("service_metadata", state, switch)], "", draft=True)
    assert ways[0] in ("pkce", "old_addresses")
    assert ("token" in ways) == (state == "problem")


def test_more_access_comes_before_a_mere_new_sign_in() -> None:
    ways = remedies.fitting([found("token")], "oauth", draft=False, more_wanted=True)
    assert ways[:2] == ("grant", "reconnect")
    assert not {"sign_in", "header"} & set(ways)


@pytest.mark.parametrize("kind", ["bearer", "header"])
def test_a_token_on_record_is_replaced_not_entered_once_more(kind: str) -> None:
    assert remedies.fitting([found("token")], kind, draft=False) == ("replace",)


def test_nobody_is_sent_to_a_sign_in_page_that_is_not_there() -> None:
    assert "sign_in" not in remedies.fitting([found("token")], "none", draft=False)
    offered = [found("return_address", "ok"), found("token")]
    assert "sign_in" in remedies.fitting(offered, "none", draft=False)
