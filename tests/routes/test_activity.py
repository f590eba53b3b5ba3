"""Activity: everything that happened, in words, found again by what was asked for."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlencode

import pytest
from flask import Flask

from tests.routes.logbook import ANN, call, change, listed, write
from tests.routes.settings_house import (  # noqa: F401
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
from webapp.services import agents, approvals, audit, export, integrations, log_search, policies, tallying
from webapp.services.audit import COMMAND, Actor, Row
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, Entry, Tool

# ruff: noqa: F811
NASTY = "</pre><script>alert(1)</script>\"'><img src=x onerror=1>{{7*7}}"


# --- the list


def test_calls_and_changes_are_told_in_words_newest_first(viewer: Visitor) -> None:
    ids = write(
        call(outcome="waiting", tool="create_ticket"),
        change("policy.set", tool="mcp:desk:delete_ticket", details={"from": "approval", "to": "disabled"}),
    )
    assert listed(viewer)[:2] == ids[::-1]
    text = text_of(viewer.get("/activity"))
    assert "Claude asked for mcp:desk:create_ticket – waiting for approval" in text
    assert "ann@example.com set mcp:desk:delete_ticket to Disabled" in text


def test_a_real_change_of_a_policy_is_found_by_its_tool(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    tool = Tool.get(Tool.catalogue_name == "mcp:desk:get_ticket")
    policies.set_policy(tool, "disabled", ANN)
    html = admin.get("/activity?" + urlencode({"tool": "mcp:desk:get_ticket"}))
    assert "ann@example.com set mcp:desk:get_ticket to Disabled" in text_of(html)
    assert len(listed(admin, tool="mcp:desk:get_ticket")) == 1


def test_a_moment_is_relative_with_the_absolute_one_beside_it(viewer: Visitor) -> None:
    write(call(at=datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)))
    html = viewer.get("/activity")
    assert re.search(
        r'<time datetime="2026-03-29T00:59:59\+00:00" title="2026-03-29 00:59:59 UTC">[^<]+ ago<', html
    )


def test_the_log_check_is_one_link_away(viewer: Visitor) -> None:
    assert 'href="/settings/general#log-head">Check the log' in viewer.get("/activity")


# --- filters


@pytest.fixture
def entries(app: Flask) -> dict[str, int]:
    """Name → id of its entry."""
    rows = {
        "read": call(),
        "write": call(tool="add_note", outcome="waiting", approval="apr_1"),
        "written": call(tool="add_note", approval="apr_1"),
        "denied": call("Cursor", "delete_ticket", "denied"),
        "refused": call("Cursor", "delete_ticket", "refused", source="halo"),
        "failed": call("Cursor", outcome="failed", source="halo"),
        "unknown": call("Cursor", outcome="unknown"),
        "tool error": call("Cursor", outcome="tool_error", details={"arguments": {"q": "100% Größe_x"}}),
        "old": call(at=datetime(2026, 2, 3, 23, 59, 59, tzinfo=UTC)),
        "older": call(at=datetime(2026, 2, 3, 0, 0, 0, tzinfo=UTC)),
        "oldest": call(at=datetime(2026, 2, 2, 23, 59, 59, tzinfo=UTC)),
        "paused": change(),
    }
    return dict(zip(rows, write(*rows.values()), strict=True))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"kind": "change", "integration": "desk"}, ["paused"]),
        ({"kind": "call", "integration": "halo"}, ["refused", "failed"]),
        ({"outcome": "waiting"}, ["write"]),
        ({"outcome": "stopped"}, ["denied", "refused"]),
        ({"outcome": "error"}, ["failed", "unknown", "tool error"]),
        ({"outcome": "error", "integration": "halo"}, ["failed"]),
        ({"actor": "Cursor", "outcome": "denied"}, ["denied"]),
        ({"actor": "ann@example.com"}, ["paused"]),
        ({"actor": "ann"}, []),
        ({"agent": "Cursor", "outcome": "denied"}, ["denied"]),
        ({"user": "ann@example.com"}, ["paused"]),
        ({"user": "Cursor"}, []),
        ({"agent": "ann@example.com"}, []),
        ({"action": "integration.paused"}, ["paused"]),
        ({"action": "call", "tool": "mcp:desk:add_note"}, ["write", "written"]),
        ({"action": "integration.paused", "kind": "call"}, []),
        ({"tool": "mcp:desk:add_note"}, ["write", "written"]),
        ({"tool": "mcp:desk:add_note", "outcome": "ok"}, ["written"]),
        ({"approval": "apr_1"}, ["write", "written"]),
        ({"text": "add_note"}, ["write", "written"]),
        ({"text": "Größe"}, ["tool error"]),
        ({"text": "100%"}, ["tool error"]),
        ({"text": "0%x"}, []),  # a percent sign is a percent sign
        ({"text": "e_x"}, ["tool error"]),
        ({"text": "ö_x"}, []),
        ({"since": "2026-02-03", "until": "2026-02-03"}, ["old", "older"]),
        ({"until": "2026-02-02"}, ["oldest"]),
        ({"since": "2026-02-03", "until": "2026-02-03", "actor": "Cursor"}, []),
        ({"kind": "nonsense"}, []),
        ({"outcome": "nonsense"}, []),
    ],
)
def test_filters_find_what_they_say(
    viewer: Visitor, entries: dict[str, int], asked: dict[str, str], found: list[str]
) -> None:
    assert listed(viewer, **asked) == sorted((entries[name] for name in found), reverse=True)


def test_the_form_shows_what_was_asked_for(viewer: Visitor, entries: dict[str, int]) -> None:
    asked = {
        "kind": "call", "outcome": "error", "agent": "Cursor", "integration": "halo", "text": "ticket",
        "tool": "mcp:halo:get_ticket", "since": "2026-01-01", "until": "2027-12-31",
    }  # fmt: skip
    html = viewer.get("/activity?" + urlencode(asked))
    for name in ("text", "tool", "since", "until"):
        assert re.search(rf'name="{name}"[^>]* value="{asked[name]}"', html), name
    for name in (
        "kind",
        "outcome",
        "integration",
        "agent",
    ):  # halo and Cursor are not there any more: still shown
        assert f'<option value="{asked[name]}" selected>' in html, name
    assert 'href="/activity">Clear the filters' in html


def test_agents_people_and_actions_are_offered(viewer: Visitor) -> None:
    agents.create("Claude", COMMAND)
    html = viewer.get("/activity")
    assert '<option value="Claude">Claude</option>' in html
    assert '<option value="admin@example.com">admin@example.com</option>' in html
    assert '<option value="policy.set">set … to …</option>' in html


@pytest.mark.parametrize("day", ["today", "2026-13-01", "9999-12-31", "0001-01-01", "2026-02-03T10:00"])
def test_a_day_that_makes_no_sense_is_no_error(viewer: Visitor, entries: dict[str, int], day: str) -> None:
    viewer.get("/activity?" + urlencode({"since": day, "until": day}))


def test_nothing_found_and_nothing_there_differ(viewer: Visitor, app: Flask) -> None:
    none = viewer.get("/activity?text=nothing-like-this")
    assert "Nothing matches." in none
    assert 'href="/activity">Clear the filters' in none
    beyond = viewer.get("/activity?before=1&actor=Claude")
    assert "Nothing older." in beyond
    assert 'href="/activity?actor=Claude">Back to the newest' in beyond


# --- pages


def test_fifty_a_page_and_the_rest_behind_older(viewer: Visitor) -> None:
    ids = write(*(call(tool=f"tool_{number}") for number in range(120)))[::-1]
    html = viewer.get("/activity?kind=call")
    seen = [listed(viewer, kind="call")]
    assert "Newest</a>" not in html
    while older := re.search(r'href="/activity\?([^"]*before=(\d+)[^"]*)">Older', html):
        assert "kind=call" in older[1]
        seen.append(listed(viewer, kind="call", before=older[2]))
        html = viewer.get(f"/activity?kind=call&before={older[2]}")
        assert 'href="/activity?kind=call">Newest' in html
    assert [len(page) for page in seen] == [50, 50, 20]
    assert [number for page in seen for number in page] == ids


def test_what_happens_meanwhile_does_not_shift_a_page(viewer: Visitor) -> None:
    ids = write(*(call() for _ in range(60)))
    second = listed(viewer, kind="call", before=ids[10])
    write(*(call() for _ in range(7)))
    assert listed(viewer, kind="call", before=ids[10]) == second == ids[9::-1]


@pytest.mark.parametrize("before", ["-1", "x", "9" * 25, "9" * 400, "٣", "1.5", ""])
def test_a_page_that_cannot_be_is_the_first_or_the_newest(viewer: Visitor, before: str) -> None:
    ids = write(call())
    assert listed(viewer, before=before)[0] == ids[0]


# --- one entry


def test_an_entry_shows_every_field(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    agent, _ = agents.create("Claude", COMMAND)
    tool = Tool.get(Tool.catalogue_name == "mcp:desk:delete_ticket")
    asked = approvals.Asked(
        agent.id, "Claude", tool.id, tool.catalogue_name, "desk", tool.definition_digest, {"id": "T-1"}
    )
    with writing():
        approval = approvals.ask(asked, minutes=5, most_open=5, log_arguments="full")
    row = call(
        tool="delete_ticket", approval=approval, policy="approval", duration_ms=12.34,
        details={"arguments": {"id": "T-1", "client": "Müller & Söhne <GmbH>"}},
    )  # fmt: skip
    row.actor = Actor("agent", "Claude", agent.id, ip="198.51.100.4")
    (number,) = write(row)
    html = admin.get(f"/activity/{number}")
    text = text_of(html)
    for shown in ("Claude called mcp:desk:delete_ticket – done", "(agent) from 198.51.100.4", "12.3 ms",
                  "Policy then Approval needed", '"client": "Müller & Söhne <GmbH>"', "Decision",
                  "Request"):  # fmt: skip
        assert shown in text, shown
    assert bytes(Entry.get_by_id(number).digest).hex() in text
    links = ("/tools/mcp:desk:delete_ticket", f"/settings/agents/{agent.id}", f"/approvals/{approval}",
             "/settings/integrations/desk", f"/activity?approval={approval}")  # fmt: skip
    for link in links:
        assert f'href="{link}"' in html, link
        admin.get(link)


def test_what_is_gone_is_named_without_a_link(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    (number,) = write(call(agent="Nobody", approval="apr_gone"))
    integrations.disconnect(integrations.find("desk"), "desk", ANN)
    html = admin.get(f"/activity/{number}")
    assert text_of(html).count("not there any more") == 2
    assert "apr_gone" in html
    for link in ("/tools/", "/settings/integrations/desk", "/settings/agents/", "/approvals/apr"):
        assert f'href="{link}' not in html[html.index("<h1>") :], link


def test_hidden_characters_are_shown_by_their_numbers(viewer: Visitor) -> None:
    hidden = "pay\u202e\u200b\U000e0041\u00ad\ufe0f\u00a0now\u0007"
    (number,) = write(call(details={"arguments": {"note": hidden, "\u2066key": 1}}))
    html = viewer.get(f"/activity/{number}")
    for code in ("202E", "200B", "E0041", "00AD", "FE0F", "00A0", "2066"):
        assert f'<mark class="hidden-char">⟨U+{code}⟩</mark>' in html, code
    assert "\\u0007" in html
    assert not any(character in html for character in "\u202e\u200b\U000e0041\u2066\u0007")


def test_nothing_that_was_logged_becomes_markup(viewer: Visitor, admin: Visitor) -> None:
    named, _ = agents.create(NASTY[6:50], COMMAND)
    agents.revoke(named, ANN)
    rows = [
        call(agent=NASTY, tool=NASTY, details={"arguments": {NASTY: NASTY}}, approval=NASTY),
        change("integration.renamed", integration=NASTY, details={"from": NASTY, "to": NASTY}),
        change(NASTY, details={"why": NASTY}),
    ]
    numbers = write(*rows)
    pages = [f"/activity/{number}" for number in numbers]
    pages += ["/activity"] + [
        "/activity?" + urlencode({name: NASTY})
        for name in ("kind", "outcome", "actor", "integration", "tool", "approval", "text", "since", "before")
    ]
    for path in pages:
        html = viewer.get(path)
        assert "<script>alert" not in html, path
        assert "<img src=x" not in html, path
        assert ">49<" not in html, path


@pytest.mark.parametrize("number", ["0", "999999", "9" * 30])
def test_an_entry_that_is_not_there_is_not_found(viewer: Visitor, number: str) -> None:
    assert "There is no such entry." in viewer.get(f"/activity/{number}", status=404)


def test_only_people_who_are_signed_in_read_the_log(app: Flask) -> None:
    stranger = app.test_client()
    for path in ("/activity", "/activity/1", "/"):
        assert stranger.get(path).headers["Location"].startswith("/login")


def test_nobody_changes_the_log_through_its_pages(admin: Visitor) -> None:
    (number,) = write(call())
    for path in ("/activity", f"/activity/{number}"):
        assert admin.post(path).status_code == 405
    assert audit.verify().intact


def test_an_agents_calls_are_those_on_its_page(viewer: Visitor) -> None:
    agents.create("Claude", COMMAND)
    write(call(), call("Cursor", "other_tool"), call(at=now() - timedelta(days=30), tool="long_ago"))
    text = text_of(viewer.get(f"/settings/agents/{Agent.get().id}"))
    assert "mcp:desk:get_ticket" in text
    assert "mcp:desk:long_ago" in text
    assert "other_tool" not in text
    assert "Calls, 7 days 1 " in text


# --- days in the reader's zone


def test_days_begin_at_the_readers_midnight(viewer: Visitor) -> None:
    late = call(at=datetime(2026, 2, 3, 22, 59, 59, tzinfo=UTC))
    early = call(at=datetime(2026, 2, 3, 23, 0, 0, tzinfo=UTC))
    ids = write(late, early)
    viewer.browser.set_cookie("zone", "Europe/Amsterdam")
    assert listed(viewer, since="2026-02-03", until="2026-02-03") == [ids[0]]
    assert listed(viewer, since="2026-02-04", until="2026-02-04") == [ids[1]]
    assert "Days begin at midnight in Europe/Amsterdam." in text_of(viewer.get("/activity"))
    entry = text_of(viewer.get(f"/activity/{ids[1]}"))
    assert "2026-02-04 00:00:00 CET" in entry
    assert "2026-02-03 23:00:00 UTC" in entry


@pytest.mark.parametrize(
    ("day", "first", "last", "clocks"),
    [
        ("2026-10-25", "2026-10-24T22:00", "2026-10-25T22:59", ("02:30:00 CEST", "02:30:00 CET")),  # 25 hours
        ("2026-03-29", "2026-03-28T23:00", "2026-03-29T21:59", ("01:30:00 CET", "03:30:00 CEST")),  # 23 hours
    ],
)
def test_a_day_on_which_the_clocks_change_is_whole(
    viewer: Visitor, day: str, first: str, last: str, clocks: tuple[str, str]
) -> None:
    """No row of it is lost or listed twice, and the hour that comes twice is told apart by its zone."""
    start, end = (datetime.fromisoformat(f"{one}+00:00") for one in (first, last))
    inside = [
        start,
        datetime.fromisoformat(f"{day}T00:30+00:00"),
        datetime.fromisoformat(f"{day}T01:30+00:00"),
        end,
    ]
    minute = timedelta(minutes=1)
    ids = write(call(at=start - minute), *(call(at=at) for at in inside), call(at=end + minute))
    viewer.browser.set_cookie("zone", "Europe/Amsterdam")
    assert listed(viewer, since=day, until=day) == ids[1:5][::-1]
    assert [entry in listed(viewer, since=day) for entry in ids] == [False, True, True, True, True, True]
    for entry, clock in zip(ids[2:4], clocks, strict=True):
        assert f"{day} {clock}" in text_of(viewer.get(f"/activity/{entry}"))


@pytest.mark.parametrize("counted", [True, False])
def test_a_day_is_found_whether_it_is_counted_ahead_or_not(
    viewer: Visitor, entries: dict[str, int], counted: bool
) -> None:
    while counted and tallying.count_ahead():
        pass
    later = write(call(at=datetime(2026, 2, 3, 12, tzinfo=UTC)))  # written long after its time
    assert listed(viewer, since="2026-02-03", until="2026-02-03") == [
        *later,
        entries["older"],
        entries["old"],
    ]
    assert listed(viewer, until="2026-02-02") == [entries["oldest"]]
    assert entries["read"] in listed(viewer, since="2026-02-04")


# --- long searches


def test_a_search_that_takes_long_stops_and_goes_on_where_it_was(
    viewer: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = write(*(call(tool="needle" if number % 2 or number > 50 else "hay") for number in range(60)))
    needles = [id for number, id in enumerate(ids) if number % 2 or number > 50]
    monkeypatch.setattr(log_search, "FIRST_WINDOW", 8)
    monkeypatch.setattr(log_search, "SECONDS", 0)
    found, path, looks = [], "/activity?text=needle", 0
    while path:
        html = viewer.get(path)
        found += [int(n) for n in re.findall(r'<td data-label="When"><a href="/activity/(\d+)"', html)]
        further = re.search(r'Looked back to [^<]*<a href="([^"]+)">Look further back', html)
        path = further[1].replace("&amp;", "&") if further else ""
        looks += 1
    assert found == needles[::-1]
    assert looks > 5
    assert "Nothing older." in html


# --- export


def exported(visitor: Visitor, form: str, **asked: str) -> str:
    reply = visitor.post("/activity/export", format=form, **asked)
    assert reply.status_code == 200, reply.text
    assert reply.headers["Content-Disposition"].startswith('attachment; filename="activity-')
    assert reply.headers["Content-Disposition"].endswith(f'Z.{form}"')
    return reply.text


def test_what_is_filtered_is_exported_oldest_first(technician: Visitor, entries: dict[str, int]) -> None:
    asked = {"outcome": "error", "integration": "desk"}
    lines = [json.loads(line) for line in exported(technician, "jsonl", **asked).splitlines()]
    assert [line["id"] for line in lines] == listed(technician, **asked)[::-1]
    assert lines[-1]["details"] == {"arguments": {"q": "100% Größe_x"}}
    rows = list(csv.DictReader(io.StringIO(exported(technician, "csv", **asked).removeprefix("\ufeff"))))
    assert [int(row["id"]) for row in rows] == [line["id"] for line in lines]
    assert list(rows[0]) == list(export.COLUMNS)


def test_an_export_is_in_utc_whatever_the_zone(technician: Visitor) -> None:
    (number,) = write(call(at=datetime(2026, 2, 3, 23, 30, 0, 123000, tzinfo=UTC)))
    technician.browser.set_cookie("zone", "Asia/Kolkata")
    (line,) = exported(technician, "jsonl", since="2026-02-04", until="2026-02-04").splitlines()
    assert json.loads(line)["at"] == "2026-02-03T23:30:00.123Z"
    assert json.loads(line)["id"] == number


FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b")


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(1)", '=cmd|" /C calc"!A0', "\uff1d1", "x;=1"])
def test_no_cell_is_a_formula(technician: Visitor, start: str) -> None:
    """Nor where the spreadsheet parts cells at semicolons."""
    write(call(agent=start, tool="x", details={}), change(start, integration=start))
    text = exported(technician, "csv").removeprefix("\ufeff")
    for row in csv.reader(io.StringIO(text)):
        for part in (part for cell in row for part in cell.split(";")):
            assert not part.startswith(FORMULAS)
    assert start in [row[4].replace("'", "") for row in csv.reader(io.StringIO(text))]


def test_an_export_is_written_down_with_its_filters(technician: Visitor) -> None:
    write(call())
    text = exported(technician, "jsonl", kind="call", text="ticket")
    entry = Entry.select().order_by(Entry.id.desc()).first()
    assert (entry.action, entry.actor) == ("log.exported", "technician@example.com")
    assert f'"id":{entry.id},' not in text
    told = text_of(technician.get(f"/activity/{entry.id}")).replace(" ,", ",")
    assert "exported the log as JSONL, kind call, text ticket" in told


def test_an_export_has_every_row_also_of_a_long_log(
    technician: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH", 7)
    ids = write(*(call() for _ in range(40)))
    tallying.count_ahead(most=25)
    for asked in ({"kind": "call"}, {"kind": "call", "since": "2026-01-01"}):
        lines = exported(technician, "jsonl", **asked).splitlines()
        assert [json.loads(line)["id"] for line in lines] == ids


def test_nobody_exports_what_is_not_theirs_to_export(technician: Visitor, viewer: Visitor) -> None:
    assert viewer.post("/activity/export", format="csv").status_code == 403
    assert "/activity/export" not in viewer.get("/activity")
    assert technician.post("/activity/export", format="xlsx").status_code == 422
    assert technician.browser.get("/activity/export").status_code in (404, 405)
    assert not Entry.select().where(Entry.action == "log.exported").exists()


def _change_by(email: str) -> Row:
    row = change()
    row.actor = Actor("user", email)
    return row


def test_whatever_the_log_names_leads_to_what_the_log_says_of_it(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    agent, _ = agents.create("Claude", COMMAND)
    write(call(), call("Cursor"), _change_by("viewer@example.com"))
    pages = {
        "/tools/mcp:desk:get_ticket": "/activity?tool=mcp:desk:get_ticket",
        "/settings/integrations/desk": "/activity?integration=desk",
        f"/settings/agents/{agent.id}": "/activity?agent=Claude",
        "/settings/people/3": "/activity?user=viewer@example.com",
    }
    for path, link in pages.items():
        html = unquote(admin.get(path))
        assert f'href="{link}"' in html, path
        assert listed(admin, **dict([link.partition("?")[2].split("=")])), link
