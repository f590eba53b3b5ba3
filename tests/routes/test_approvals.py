"""The inbox and the history as pages: what a card shows, to whom, and what addresses and forms may say."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from tests.routes.visitors import Visitor, text_of
from webapp.services import agents, approvals, export, integrations
from webapp.services.approvals.cards import MOST_OVER, MOST_WAITING
from webapp.services.audit import COMMAND
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, Approval, Integration, Tool, User, database

Ask = Callable[..., str]
SCHEMA = {"type": "object", "properties": {"ticket_id": {}, "text": {}}}


@pytest.fixture
def ask(app: Flask) -> Ask:
    """Calls of one tool by one agent, straight into the inbox."""
    with database.connection_context():
        desk = integrations.add_server("https://desk.example.com/mcp", COMMAND, name="desk", title="The desk")
        Integration.update(state="connected").where(Integration.id == desk.id).execute()
        tool = Tool.create(
            integration=desk, name="add_note", catalogue_name="mcp:desk:add_note", wire_name="desk__add_note",
            definition={"name": "add_note", "inputSchema": SCHEMA}, definition_digest="d", kind="write",
            seed_policy="approval", seed_reason="the name says “add”", policy="approval",
        )  # fmt: skip

    def asked(
        agent: str = "Claude",
        along: dict[str, Any] | None = None,
        another_round: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> str:
        with database.connection_context():
            known = Agent.get_or_none(Agent.name == agent) or agents.create(agent, COMMAND)[0]
            what = approvals.Asked(known.id, agent, tool.id, tool.catalogue_name, "desk", "d", arguments,
                                   asked_with={"meta": along, "another_round": another_round or {}})  # fmt: skip
            with writing():
                return approvals.ask(what, minutes=30, most_open=200, log_arguments="redacted")

    return asked


def decide(approval: str, decision: str = "deny", **more: str) -> None:
    with database.connection_context():
        approvals.decide(approval, decision, COMMAND, **more)


def test_a_card_tells_who_what_and_how_long(technician: Visitor, ask: Ask) -> None:
    approval = ask(ticket_id="T-7", text="a\u202eb", empty="", many=[1, 2], none=None)
    page = technician.get(f"/approvals/{approval}")
    words = text_of(page)
    for expected in ("Claude wants to add note T-7", "of The desk", "writes", "Expires in", "⟨U+202E⟩", "empty",
                     "No call of this tool was approved before", "Approve once", "Deny",
                     "Approve the same call for 15 minutes", "Change the policy…", "+30 minutes"):  # fmt: skip
        assert expected in words, expected


def test_what_differs_from_the_last_approved_call_is_marked(technician: Visitor, ask: Ask) -> None:
    decide(ask(ticket_id="T-1", text="old", gone=1), "approve")
    decide(ask(ticket_id="T-2", text="denied, so it does not count"))
    words = text_of(technician.get(f"/approvals/{ask(ticket_id='T-1', text='new', fresh=True)}"))
    assert "new changed was old" in words
    assert "fresh not one of the tool’s true not in the last call" in words
    assert "gone left out this time" in words
    assert "denied, so" not in words


def test_an_agent_does_not_choose_what_the_heading_points_at(technician: Visitor, ask: Ask) -> None:
    """It chooses the order of its arguments, and may add what the tool has not: a heading of its own making."""
    page = technician.get(f"/approvals/{ask(name='T-1', text='x', tісket_id='T-2', ticket_id='T-7')}")
    assert "Claude wants to add note T-7" in text_of(page)
    assert text_of(page).count("not one of the tool’s") == 2


def test_true_and_one_are_not_the_same(technician: Visitor, ask: Ask) -> None:
    decide(ask(ticket_id="T-1", text=1), "approve")
    assert "true changed was 1" in text_of(technician.get(f"/approvals/{ask(ticket_id='T-1', text=True)}"))


def test_what_is_sent_along_is_shown_and_in_the_file(technician: Visitor, ask: Ask) -> None:
    """A server may act on `_meta` as on an argument."""
    along = {"dry\u202erun": False, "traceparent": "00-1", "io.modelcontextprotocol/logLevel": "info"}
    approval = ask(ticket_id="T-1", along=along)
    words = text_of(technician.get(f"/approvals/{approval}"))
    assert "1 more value is sent along" in words and "dry ⟨U+202E⟩ run false" in words
    assert "traceparent" not in words
    file = json.loads(technician.get(f"/approvals/{approval}/arguments"))
    assert file == {"arguments": {"ticket_id": "T-1"}, "_meta": {"dry\u202erun": False}}


def test_what_goes_back_to_the_server_is_shown_and_in_the_file(technician: Visitor, ask: Ask) -> None:
    said = {"who": {"action": "accept"}}
    approval = ask(ticket_id="T-1", another_round={"inputResponses": said, "requestState": "step\u202e2"})
    words = text_of(technician.get(f"/approvals/{approval}"))
    assert "A note from the server to itself goes back with it" in words and "step ⟨U+202E⟩ 2" in words
    file = json.loads(technician.get(f"/approvals/{approval}/arguments"))
    assert file == {"arguments": {"ticket_id": "T-1"}, "answers": said, "requestState": "step\u202e2"}
    assert "A note from the server" not in technician.get(f"/approvals/{ask(ticket_id='T-2')}")


def test_a_megabyte_is_cut_and_says_so_and_all_of_it_is_a_file_away(technician: Visitor, ask: Ask) -> None:
    text = "\u202ereversed\u200b" * 100_000
    approval = ask(ticket_id="T-1", text=text, same="short")
    inbox, alone = technician.get("/approvals"), technician.get(f"/approvals/{approval}")
    assert len(inbox) < 100_000 and len(alone) < 1_000_000
    assert "1,000,000 characters" in inbox and "and 998,000 characters more, which are not shown" in inbox
    assert "and 980,000 characters more" in alone and "Show more of it" not in alone
    assert "⟨U+202E⟩" in inbox and "\u202e" not in inbox and "\u200b" not in inbox + alone
    file = technician.browser.get(f"/approvals/{approval}/arguments")
    assert (
        json.loads(file.text) == {"ticket_id": "T-1", "text": text, "same": "short"} and file.text.isascii()
    )
    assert file.headers["Content-Disposition"] == f'attachment; filename="{approval}.json"'
    decide(approval, "approve")
    again = technician.get(f"/approvals/{ask(ticket_id='T-1', text=text + 'x', same='short')}")
    assert "changed" in again and len(again) < 1_000_000


def test_a_long_list_of_arguments_is_cut_and_says_so(technician: Visitor, ask: Ask) -> None:
    approval = ask(**{f"argument-{number:05}": "=1+1" for number in range(5_000)})
    inbox, alone = technician.get("/approvals"), technician.get(f"/approvals/{approval}")
    assert "and 4,960 arguments more, which are not shown here" in text_of(inbox)
    assert "and 4,600 arguments more" in text_of(alone)
    assert f'href="/approvals/{approval}/arguments"' in inbox


def test_a_long_answer_is_cut_and_says_so(technician: Visitor, ask: Ask) -> None:
    approval = ask(ticket_id="T-1")
    decide(approval, "approve")
    with database.connection_context():
        result = {"content": [{"type": "text", "text": "y" * 3_000_000}, {"type": "image"}, "odd"]}
        sealed = Approval.result.seal(approval, result)
        Approval.update(state="done", result=sealed).where(Approval.id == approval).execute()
    page = technician.get("/approvals")
    assert len(page) < 30_000 and "characters more, which are not shown here" in page


def test_a_card_on_its_own_page_stays_what_it_is_there(technician: Visitor, ask: Ask) -> None:
    """Nothing to tick after "+30 minutes"."""
    approval = ask(ticket_id="T-1")
    page = technician.get(f"/approvals/{approval}")
    assert 'name="alone"' in page and 'form="batch"' not in page
    until = re.search(r'name="until" value="([^"]+)"', page)
    assert until
    path = f"/approvals/{approval}/time"
    longer = technician.post(path, htmx=True, until=until[1].replace("&#43;", "+"), alone="yes")
    assert longer.status_code == 200 and 'form="batch"' not in longer.text and 'name="alone"' in longer.text
    assert 'form="batch"' in technician.post(path, htmx=True, until=until[1].replace("&#43;", "+")).text


def test_a_viewer_looks_and_has_nothing_to_press(viewer: Visitor, ask: Ask) -> None:
    approval = ask(ticket_id="T-1")
    for path in ("/approvals", f"/approvals/{approval}", "/approvals/inbox"):
        page = viewer.get(path)
        assert "Technicians and admins decide" in page
        assert "Approve once" not in page and "+30 minutes" not in page and 'form="batch"' not in page


def test_a_poll_without_news_is_empty_and_with_news_keeps_every_card(technician: Visitor, ask: Ask) -> None:
    first = ask(ticket_id="T-1")
    mark = seen(technician.get("/approvals"))
    assert technician.browser.get(f"/approvals/inbox?seen={mark}&shown={first}").status_code == 204
    decide(first)
    with database.connection_context():
        long_ago = now() - timedelta(hours=1)
        Approval.update(decided_at=long_ago, finished_at=long_ago).where(Approval.id == first).execute()
    assert f'id="{first}"' in technician.get(f"/approvals/inbox?seen={mark}&shown={first}&shown=nonsense")
    assert f'id="{first}"' not in technician.get("/approvals/inbox")


def seen(page: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', page)
    assert found
    return found.group(1)


def test_a_call_whose_time_is_up_is_over_before_anybody_wrote_that_down(
    technician: Visitor, ask: Ask
) -> None:
    approval = ask(ticket_id="T-1")
    mark = seen(technician.get("/approvals"))
    with database.connection_context():
        Approval.update(expires_at=now() - timedelta(seconds=1)).execute()
    page = technician.get(f"/approvals/inbox?seen={mark}&shown={approval}")
    assert "Nobody decided in time" in page and "Approve once" not in page and "Nothing waits" in page
    late = technician.post(f"/approvals/{approval}/decision", htmx=True, decision="approve").text
    assert "This approval expired before anybody decided." in late and "the agent can ask again" in late


def test_a_flood_is_shown_in_part_oldest_first(technician: Visitor, ask: Ask) -> None:
    ids = [ask(ticket_id=f"T-{number}") for number in range(MOST_WAITING + 3)]
    page = technician.get("/approvals")
    assert [one for one in ids if f'id="{one}"' in page] == ids[:MOST_WAITING]
    assert "33 calls wait for a decision; 3 of them come into view" in text_of(page)
    decide(ids[0])
    assert f'id="{ids[MOST_WAITING]}"' in technician.get("/approvals/inbox")


def test_of_what_is_over_the_last_is_shown_and_what_is_on_the_page_stays(
    technician: Visitor, ask: Ask
) -> None:
    ids = [ask(ticket_id=f"T-{number}") for number in range(MOST_OVER + 3)]
    for one in ids:
        decide(one)
    waits = ask(ticket_id="T-100")
    last = [*ids[-MOST_OVER:], waits]
    page = technician.get("/approvals")
    assert [one for one in [*ids, waits] if f'id="{one}"' in page] == last
    page = technician.get(f"/approvals/inbox?shown={ids[0]}&shown={ids[1]}")
    assert [one for one in [*ids, waits] if f'id="{one}"' in page] == [*ids[:2], *last]


def test_too_late_is_a_fact_with_who_was_first(technician: Visitor, ask: Ask) -> None:
    approval = ask(ticket_id="T-1")
    decide(approval, note="No.")
    plain = technician.post(f"/approvals/{approval}/decision", decision="approve")
    assert plain.status_code == 409 and "Already denied by command line." in plain.text
    fragment = technician.post(f"/approvals/{approval}/decision", htmx=True, decision="approve")
    assert fragment.status_code == 200 and "Already denied by command line." in fragment.text
    assert fragment.text.strip().startswith("<article")


@pytest.mark.parametrize(("path", "form", "status"), [
    ("{id}/decision", {"decision": "maybe"}, 422), ("{id}/decision", {}, 422),
    ("apr_none/decision", {"decision": "approve"}, 404), ("batch", {"decision": "approve"}, 422),
    ("batch", {"decision": "approve-same", "approval": "{id}"}, 422), ("batch", {"approval": "apr_none"}, 404),
    ("{id}/time", {"until": "soon"}, 422), ("{id}/time", {"until": "9999-12-31T23:59:59+00:00"}, 422),
    ("ahead/999/end", {}, 404), ("{id}/now", {}, 200), ("\x00/now", {}, 404),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_and_decides_nothing(
    technician: Visitor, ask: Ask, path: str, form: dict[str, str], status: int
) -> None:
    approval = ask(ticket_id="T-1")
    filled = {name: value.format(id=approval) for name, value in form.items()}
    assert technician.post(f"/approvals/{path.format(id=approval)}", **filled).status_code == status
    with database.connection_context():
        assert approvals.get(approval).state == "waiting"


# --- the history


def test_the_history_is_narrowed_by_its_address(technician: Visitor, ask: Ask) -> None:
    decide(ask(ticket_id="T-1"))
    decide(ask(agent="Night runner", ticket_id="T-2"), "approve")
    with database.connection_context():
        Approval.update(state="done").where(Approval.state == "approved").execute()
    for query, names in (
        ("", {"Claude", "Night runner"}), ("state=done", {"Night runner"}), ("agent=Claude", {"Claude"}),
        ("integration=desk", {"Claude", "Night runner"}), ("integration=network", set()),
        ("who=command+line&state=denied", {"Claude"}), ("who=nobody", set()), ("from=2999-01-01", set()),
        ("to=2001-01-01", set()), ("from=2001-01-01&to=2999-01-01", {"Claude", "Night runner"}),
        ("from=0001-01-01&to=yesterday&state=%00&page=-1", {"Claude", "Night runner"}),
    ):  # fmt: skip
        page = technician.get(f"/approvals/history?{query}")
        rows = set(re.findall(r'data-label="Agent">([^<]*)<', page))
        assert rows == names, query
        assert names or "Clear the filters" in page


def test_the_history_is_paged_and_keeps_its_filters(technician: Visitor, ask: Ask) -> None:
    for number in range(51):
        decide(ask(ticket_id=f"T-{number}"))
    first = technician.get("/approvals/history?state=denied")
    older = re.search(r'href="([^"]*page=2[^"]*)">Older', first)
    assert older and "state=denied" in older.group(1)
    assert first.count('data-label="Asked"') == 50
    assert technician.get(older.group(1).replace("&amp;", "&")).count('data-label="Asked"') == 1


def test_the_history_is_exported_as_it_is_filtered_all_pages_of_it(
    technician: Visitor, viewer: Visitor, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH", 3)
    ids = [ask(ticket_id=f"T-{number}") for number in range(8)]
    for one in ids:
        decide(one, note="=1+1")
    decide(ask(agent="=cmd", ticket_id="T-9"))
    with database.connection_context():
        moment = now()
        Approval.update(created_at=moment).where(Approval.id.in_(ids[:5])).execute()
    reply = technician.post("/approvals/history/export", agent="Claude")
    assert reply.headers["Content-Disposition"].startswith('attachment; filename="approvals-')
    rows = list(csv.DictReader(io.StringIO(reply.text.removeprefix("\ufeff"))))
    assert {row["id"] for row in rows} == set(ids) and len(rows) == 8
    assert {row["note"] for row in rows} == {"'=1+1"} and {row["outcome"] for row in rows} == {"denied"}
    assert rows[0]["asked_at"].endswith("Z") and "T-1" not in reply.text
    assert "'=cmd" in technician.post("/approvals/history/export").text
    assert "exported the history of approvals, agent Claude" in text_of(
        technician.get("/activity?action=approval.exported")
    ).replace(" ,", ",")
    assert viewer.post("/approvals/history/export").status_code == 403
    assert "/history/export" not in viewer.get("/approvals/history")


# --- the rule of two


def test_only_an_admin_sets_that_a_second_person_is_needed(
    admin: Visitor, technician: Visitor, ask: Ask
) -> None:
    approval = ask(ticket_id="T-1")
    with database.connection_context():
        tool, owner = Tool.get(Tool.name == "add_note"), User.get(User.role == "technician")
        Agent.update(owner=owner).execute()
    path = f"/approvals/second-person/{tool.id}"
    assert technician.post(path, wanted="on").status_code == 403
    assert "can’t approve its call" in admin.get(f"/tools/{tool.catalogue_name}")
    saved = admin.post(path, htmx=True, wanted="on")
    assert "Saved." in saved.text and " checked" in saved.text
    mine, others = (who.get(f"/approvals/{approval}") for who in (technician, admin))
    assert "needs a second person" in mine and "Approve once" not in mine and "Deny" in mine
    assert "Approve once" in others
    assert admin.post(path).status_code == 303
    assert "Approve once" in technician.get(f"/approvals/{approval}")
