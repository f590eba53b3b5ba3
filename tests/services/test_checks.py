"""The check: its findings as they arrive, its verdict, its end when nobody comes back."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.services.conftest import Connect
from tests.services.farm import Farm, tool
from tests.upstream.zoo import Answer, always, guarded, modern, page, silent
from tests.waiting import until
from webapp.errors import Forbidden
from webapp.services import checks, integrations
from webapp.services.audit import Actor
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Check, Integration

READ = tool("get_ticket", "Get one ticket")


@pytest.fixture
def draft(store: None, servers: Farm, ann: Actor) -> Integration:
    made = integrations.add_server(servers.url(), ann, name="desk")
    return integrations.allow_private(made, servers.allowance, ann)


def nothing_runs() -> bool:
    return not any(thread.name == "check" for thread in threading.enumerate())


def test_a_check_that_is_well_leads_to_the_sign_in_step(servers: Farm, draft: Integration) -> None:
    servers.put(modern((READ,)))
    verdict = checks.run(draft)
    assert verdict.usable
    assert verdict.sign_in == "none"
    draft = integrations.find("desk")
    assert draft.protocol == "2026-07-28"
    assert draft.server["title"] == "The Menagerie"
    assert integrations.next_step(draft) == "sign-in"


def test_what_was_found_is_read_back_whole(servers: Farm, draft: Integration) -> None:
    servers.put(guarded(modern((READ,)), "Bearer"))
    verdict = checks.run(draft)
    read = checks.progress(draft)
    assert (read.state, read.verdict) == ("finished", verdict)
    assert tuple(read.findings) == verdict.findings
    assert verdict.sign_in == "bearer"


def test_a_private_address_is_offered_as_an_exception(store: None, servers: Farm, ann: Actor) -> None:
    servers.put(modern((READ,)))
    draft = integrations.add_server(servers.url(), ann, name="desk")
    verdict = checks.run(draft)
    assert (verdict.kind, verdict.usable) == ("private", False)
    assert verdict.offer is not None
    assert servers.zoo.asked == []
    assert integrations.next_step(draft) == "check"
    allowed = integrations.allow_private(draft, verdict.offer, ann)
    assert checks.run(allowed).usable


def test_a_check_in_the_background_writes_its_findings_as_they_arrive(
    servers: Farm, draft: Integration, ann: Actor
) -> None:
    servers.put(modern((READ,)))
    checks.start(draft, ann)
    assert checks.progress(draft).state in ("running", "finished")
    until(nothing_runs)
    assert checks.progress(draft).usable


def test_a_web_page_is_named_as_one(servers: Farm, draft: Integration) -> None:
    servers.put(always(page()))
    verdict = checks.run(draft)
    assert not verdict.usable
    assert integrations.next_step(integrations.find("desk")) == "check"


def test_a_check_whose_worker_died_reads_as_stopped(draft: Integration) -> None:
    with writing():
        Check.insert(integration=draft, started_at=now() - checks.DEAD_AFTER - timedelta(seconds=1)).execute()
    assert checks.progress(draft).state == "stopped"


def test_a_cancelled_check_writes_nothing_more(
    servers: Farm, draft: Integration, ann: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("step_seconds", "total_seconds"):  # it would not end by itself
        monkeypatch.setitem(checks.probe.__kwdefaults__, limit, 600)
    servers.put(silent)
    checks.start(draft, ann)
    until(lambda: bool(servers.zoo.asked))
    checks.cancel(draft, ann)
    assert checks.progress(draft).state == "cancelled"
    until(nothing_runs)
    servers.put(modern((READ,)))
    verdict = checks.run(draft)
    assert checks.progress(draft).verdict == verdict


def test_a_check_of_a_server_in_use_moves_it_nowhere(servers: Farm, connect: Connect) -> None:
    servers.put(modern((READ,)))
    desk = connect()
    servers.put(modern((READ,)), "/elsewhere")
    servers.put(always(Answer(307, headers={"location": "/elsewhere"})))
    checks.run(desk)
    assert integrations.find("desk").url == servers.url()


def test_a_viewer_starts_no_check(draft: Integration, vic: Actor) -> None:
    with pytest.raises(Forbidden):
        checks.start(draft, vic)
    assert checks.progress(draft).state == "none"
