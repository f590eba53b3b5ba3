"""The page of one agent: how much it may call."""

from __future__ import annotations

import re

import pytest

from tests.keys import AGENTS
from tests.routes.settings_house import admin, app, furnished, technician  # noqa: F401
from tests.routes.visitors import Visitor, text_of
from webapp.services import agents, quotas
from webapp.services.audit import COMMAND
from webapp.services.quotas import Quota
from webapp.store.models import Agent, Entry

# ruff: noqa: F811


@pytest.fixture
def path(app: object) -> str:
    agent, _ = agents.create("Claude", COMMAND)
    return f"{AGENTS}/{agent.id}"


def test_a_quota_is_saved_shown_and_written_down_once(admin: Visitor, path: str) -> None:
    assert "any number a minute, any number at once; a call waits 45 seconds" in text_of(admin.get(path))
    form = {"calls_per_minute": "600", "calls_at_once": "0", "hold_seconds": "300"}
    assert admin.post(f"{path}/quota", **form).status_code == 303
    assert quotas.of(Agent.get()) == Quota(600, 0, 300)
    page = admin.get(path)
    assert "600 a minute, any number at once; a call waits 300 seconds" in text_of(page)
    assert re.search(r'name="calls_at_once"[^>]*value="0"', page), "no limit is not: as for every agent"
    assert "client_session_timeout_seconds=315" in page
    admin.post(f"{path}/quota", **form)
    assert Entry.select().where(Entry.action == "agent.quota").count() == 1
    assert "set how much the agent Claude may call" in text_of(admin.get("/activity"))
    admin.post(f"{path}/quota", calls_per_minute="", calls_at_once="", hold_seconds="")
    assert quotas.of(Agent.get()) == Quota()


@pytest.mark.parametrize(
    "form",
    [
        {"calls_per_minute": "-1"},
        {"calls_per_minute": "1000001"},
        {"calls_at_once": "many"},
        {"calls_at_once": "1.5"},
        {"hold_seconds": "601"},
        {"hold_seconds": "٣"},
        {"hold_seconds": "9" * 5000},
    ],
)
def test_what_is_no_quota_is_refused_and_nothing_changes(
    admin: Visitor, path: str, form: dict[str, str]
) -> None:
    reply = admin.post(f"{path}/quota", **form)
    assert reply.status_code == 422 and "whole number from 0 to" in text_of(reply.text)
    name = next(iter(form))
    assert re.search(rf'name="{name}"[^>]*aria-invalid="true"', reply.text)
    assert quotas.of(Agent.get()) == Quota()


def test_a_technician_does_not_see_the_form(technician: Visitor, path: str) -> None:
    assert 'name="calls_per_minute"' not in technician.get(path)
    assert technician.post(f"{path}/quota", calls_per_minute="5").status_code == 403
