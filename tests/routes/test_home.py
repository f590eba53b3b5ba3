"""Home: what needs a person, today's numbers, the first steps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from tests.routes.logbook import call, listed, write
from tests.routes.settings_house import (  # noqa: F401
    WRITE,
    Connect,
    admin,
    app,
    connect,
    furnished,
    meadow,
    servers,
    technician,
    viewer,
)
from tests.routes.visitors import Visitor, text_of
from tests.services.farm import Farm, tool
from tests.upstream.zoo import modern
from webapp.services import agents, approvals, health, integrations, pauses, reviews, sync
from webapp.services.audit import COMMAND
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, Approval, Grant, Tool

# ruff: noqa: F811
NASTY = "<script>alert(1)</script>\"'>{{7*7}}"


def section(html: str, id: str) -> str:
    found = re.search(rf'<section[^>]* id="{id}".*?</section>', html, re.S)
    return found[0] if found else ""


def needs(visitor: Visitor) -> str:
    return section(visitor.get("/"), "needs")


def steps(visitor: Visitor) -> str:
    return section(visitor.get("/"), "first-steps")


def asked_for(count: int) -> list[str]:
    """That many calls that wait, each of its own."""
    agent, _ = agents.create("Claude", COMMAND)
    chosen = Tool.get(Tool.catalogue_name == "mcp:desk:delete_ticket")
    ids = []
    for number in range(count):
        asked = approvals.Asked(
            agent.id,
            agent.name,
            chosen.id,
            chosen.catalogue_name,
            "desk",
            chosen.definition_digest,
            {"id": number},
        )
        with writing():
            ids.append(approvals.ask(asked, minutes=30, most_open=20, log_arguments="full"))
    return ids


# --- what needs a person


def test_a_quiet_house_says_so(viewer: Visitor, connect: Connect) -> None:
    connect("desk")
    assert "Nothing. All is well." in needs(viewer)


def test_waiting_calls_are_counted_with_the_oldest(viewer: Visitor, connect: Connect) -> None:
    connect("desk")
    first, *_ = asked_for(2)
    Approval.update(created_at=now() - timedelta(minutes=12)).where(Approval.id == first).execute()
    html = needs(viewer)
    assert 'href="/approvals">2 calls wait for approval</a>, the oldest asked' in html
    assert "12 minutes ago" in html
    approvals.decide(first, "deny", COMMAND)
    assert "1 call waits for approval" in needs(viewer)


def test_a_call_that_nobody_can_decide_any_more_needs_nobody(viewer: Visitor, connect: Connect) -> None:
    connect("desk")
    asked_for(1)
    Approval.update(expires_at=now() - timedelta(seconds=1)).execute()
    assert "All is well" in needs(viewer)


@pytest.mark.parametrize(
    ("state", "word"), [("needs_sign_in", "Needs sign-in"), ("unreachable", "Unreachable")]
)
def test_a_server_in_trouble_is_named_with_its_reason(
    viewer: Visitor, connect: Connect, state: str, word: str
) -> None:
    health.mark(connect("desk"), state, f"It said <b>no</b> {NASTY}.")
    html = needs(viewer)
    assert word in html
    assert 'href="/settings/integrations/desk">Desk</a>' in html
    assert "It said &lt;b&gt;no&lt;/b&gt;" in html
    assert "<script>" not in html


def test_a_paused_server_is_nobodys_task(viewer: Visitor, connect: Connect) -> None:
    pauses.pause_server(connect("desk"), COMMAND, "a test")
    assert "All is well" in needs(viewer)


def test_changed_tools_are_counted_per_server_until_somebody_looks(
    viewer: Visitor, connect: Connect, servers: Farm
) -> None:
    desk = connect("desk")
    servers.put(modern((tool("get_ticket", "Get two tickets"), WRITE)), "/desk")
    sync.sync(desk, COMMAND)
    html = needs(viewer)
    assert "Needs review 1 tool of Desk waits until somebody has looked" in text_of(html)
    assert html.count("Needs review") == 1
    link = re.search(r'href="(/tools/review\?[^"]*)">1 tool of Desk', html)
    assert link
    found = text_of(viewer.get(link[1].replace("&amp;", "&")))
    assert "mcp:desk:get_ticket" in found
    assert "mcp:desk:delete_ticket" not in found
    changed = Tool.get(Tool.catalogue_name == "mcp:desk:get_ticket")
    reviews.keep(changed, COMMAND, seen=changed.definition_digest)
    assert "All is well" in needs(viewer)


def test_unfinished_set_ups_are_continued_by_an_admin(
    admin: Visitor, technician: Visitor, connect: Connect
) -> None:
    integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="half")
    connect("unseen", finished=False)
    html = needs(admin)
    for name in ("half", "unseen"):
        link = re.search(rf'href="(/settings/integrations/{name}/[^"]+)"', html)
        assert link, name
        admin.get(link[1], status=303)
    seen = needs(technician)
    assert "an admin continues it" in seen
    assert "/setup" not in seen


def test_keys_that_end_soon_or_ended_lately_are_named(viewer: Visitor, connect: Connect) -> None:
    connect("desk")
    for name, days in (("Soon", 3), ("Late", 30), ("Past", -2), ("Long gone", -30), ("Gone", 2)):
        agents.create(name, COMMAND)
        Agent.update(expires_at=now() + timedelta(days=days, minutes=1)).where(Agent.name == name).execute()
    agents.revoke(agents.by_name("Gone"), COMMAND)
    text = text_of(needs(viewer))
    assert "Expires soon The key of Soon stops in 3 days" in text
    assert "Expired The key of Past stopped" in text
    assert not any(name in text for name in ("Late", "Long gone", "The key of Gone"))


def test_names_are_text(viewer: Visitor, admin: Visitor, connect: Connect) -> None:
    integrations.rename(connect("desk"), NASTY, COMMAND)
    health.mark(integrations.find("desk"), "unreachable", NASTY)
    integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="half", title=NASTY)
    for visitor in (viewer, admin):
        html = visitor.get("/")
        assert html.count("&lt;script&gt;alert(1)") >= 2
        assert "<script>alert" not in html
        assert ">49" not in html


def test_sign_ins_that_end_soon_are_named_once(viewer: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    grant = Grant.create(
        integration=desk,
        issuer="https://id.example.com",
        metadata={},
        tokens=b"",
        expires_at=now() + timedelta(days=3),
    )
    html = needs(viewer)
    assert text_of(html).count("Desk") == 1
    assert "Sign-in ends" in html
    assert 'href="/settings/integrations/desk">Desk</a>' in html
    Grant.update(expires_at=now() + timedelta(days=40)).where(Grant.id == grant.id).execute()
    assert "All is well" in needs(viewer)
    health.mark(desk, "needs_sign_in", "The sign-in has ended.")
    assert text_of(needs(viewer)).count("Desk") == 1


def test_a_server_whose_calls_fail_is_named_with_the_calls(viewer: Visitor, connect: Connect) -> None:
    connect("desk")
    write(*(call(outcome="failed") for _ in range(6)), call())
    html = needs(viewer)
    assert "6 of 7 calls of Desk" in text_of(html)
    link = re.search(r'href="(/activity[^"]+)">6 of 7', html)
    assert link
    assert "failed" in viewer.get(link[1].replace("&amp;", "&"))


def test_flagged_tools_are_named_until_somebody_has_looked(viewer: Visitor, connect: Connect) -> None:
    connect("desk", tool("get_ticket", "Get one\u200b ticket"), WRITE)
    html = needs(viewer)
    assert (
        "Flagged 1 tool of Desk waits until somebody has looked: it has words that are meant for the model"
        in (text_of(html))
    )
    assert 'href="/tools/review?integration=desk"' in html
    flagged = Tool.get(Tool.catalogue_name == "mcp:desk:get_ticket")
    reviews.accept(flagged, "disabled", COMMAND, seen=flagged.definition_digest)
    assert "All is well" in needs(viewer)


# --- today's numbers


def numbers(visitor: Visitor) -> dict[str, tuple[int, str]]:
    """Word → the number and where it leads."""
    found = re.findall(r'<dt>([^<]+)</dt><dd><a href="([^"]+)">(\d+)</a>', visitor.get("/"))
    return {word: (int(count), link.replace("&amp;", "&")) for word, link, count in found}


def test_the_numbers_are_todays_and_lead_to_what_they_count(viewer: Visitor) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    outcomes = (
        ["ok"] * 4 + ["waiting"] * 3 + ["denied", "refused", "failed", "tool_error", "unknown", "expired"]
    )
    write(*(call(outcome=outcome) for outcome in outcomes))
    write(*(call(outcome=outcome, at=midnight - timedelta(milliseconds=1)) for outcome in outcomes))
    shown = numbers(viewer)
    assert {word: count for word, (count, _) in shown.items()} == {
        "Calls": 10, "Asked for approval": 3, "Denied or refused": 2, "Errors": 3,
    }  # fmt: skip
    for word, (count, link) in shown.items():
        asked: dict[str, Any] = dict(pair.split("=") for pair in link.partition("?")[2].split("&"))
        assert len(listed(viewer, **asked)) == count, word


# --- first steps


def test_the_first_steps_are_ticked_one_by_one_and_go(admin: Visitor, connect: Connect) -> None:
    html = steps(admin)
    assert html.count("<li>") == 3
    assert "Done" not in html
    assert 'href="/settings/agents/new"' in html
    assert "Connect the practice server" in html
    connect("desk")
    assert steps(admin).count("Done") == 1
    admin.post("/settings/agents", name="Claude", scope="all")
    html = steps(admin)
    assert html.count("Done") == 2
    assert 'href="/approvals"' in html
    write(call())
    assert steps(admin) == ""


def test_others_are_not_sent_where_they_may_not_go(viewer: Visitor, technician: Visitor) -> None:
    for visitor in (viewer, technician):
        html = steps(visitor)
        assert "An admin connects an MCP server" in html
        for link in re.findall(r'href="([^"]+)"', html):
            visitor.get(link)


def test_without_a_practice_server_the_first_step_is_the_wizard(app: Flask, admin: Visitor) -> None:
    draft = integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="half")
    assert "Done" not in steps(admin)  # a draft is no server yet
    integrations.discard_draft(draft, COMMAND)
    object.__setattr__(app.extensions["gatehouse"], "practice_url", "")
    html = steps(admin)
    assert 'href="/settings/integrations/new">Connect an MCP server' in html and "practice" not in html


def test_a_revoked_agent_does_not_count(admin: Visitor) -> None:
    agents.create("Claude", COMMAND)
    assert steps(admin).count("Done") == 1
    agents.revoke(agents.by_name("Claude"), COMMAND)
    assert "Done" not in steps(admin)


# --- thirty days and the slowest tools


def days(visitor: Visitor) -> dict[str, list[int]]:
    """Day → calls, errors, denied or refused, off the table behind the chart."""
    rows = re.findall(r'<th scope="row">([\d-]+)</th>(.*?)</tr>', section(visitor.get("/"), "days"), re.S)
    return {
        day: [int(text_of(cell).replace(",", "")) for cell in re.findall(r"<td>(.*?)</td>", row)]
        for day, row in rows
    }


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_the_days_are_those_that_activity_lists(viewer: Visitor, zone: str) -> None:
    viewer.browser.set_cookie("zone", zone)
    start = datetime.now(UTC) - timedelta(days=4)
    outcomes = ["ok", "ok", "failed", "denied", "waiting", "unknown"]
    write(*(call(outcome=outcomes[n % 6], at=start + timedelta(hours=1.7 * n)) for n in range(57)))
    found = days(viewer)
    assert len(found) == 30
    assert sum(counts[0] for counts in found.values()) > 40
    for day, counts in list(found.items())[:7]:
        for count, group in zip(counts, ("finished", "error", "stopped"), strict=True):
            assert len(listed(viewer, kind="call", outcome=group, since=day, until=day)) == count, (
                day,
                group,
            )


def test_the_chart_draws_what_the_table_says(viewer: Visitor) -> None:
    write(*(call() for _ in range(4)), *(call(outcome="failed") for _ in range(2)))
    chart = section(viewer.get("/"), "days")
    assert "6 calls, 2 of them errors" in chart
    heights = [float(height) for height in re.findall(r'class="calls"[^>]* height="([\d.]+)%"', chart)]
    assert heights == [0.0] * 29 + [100.0]
    assert re.search(r'fill="url\(#hatch\)"[^>]* height="33.333%"', chart)
    assert "style=" not in chart


def test_the_slowest_tools_come_with_their_numbers(viewer: Visitor) -> None:
    write(*(call(tool="quick", duration_ms=ms) for ms in range(1, 21)))
    write(*(call(tool="slow", duration_ms=ms * 100.0) for ms in range(1, 21)))
    write(
        call(tool="never_ran", outcome="denied"),
        call(tool="slowest", duration_ms=9e6, at=now() - timedelta(days=8)),
    )
    rows = [text_of(row) for row in re.findall(r"<tr>(.*?)</tr>", section(viewer.get("/"), "slowest"), re.S)][
        1:
    ]
    assert rows == ["mcp:desk:slow 20 1.0 s 1.9 s", "mcp:desk:quick 20 10 ms 19 ms"]


def test_a_house_without_calls_draws_nothing(viewer: Visitor) -> None:
    assert "<svg role" not in viewer.get("/")
