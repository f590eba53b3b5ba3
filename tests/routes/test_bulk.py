"""Many policies at once, from outside: selecting, the preview, the log, Undo at any time, and presets."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from werkzeug.test import TestResponse

from tests.routes.settings_house import (  # noqa: F401
    READ,
    SETTINGS,
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
from tests.services.farm import tool
from webapp.services import audit, integrations, policies, sync
from webapp.services.audit import COMMAND
from webapp.store.models import BulkChange, Entry, Integration, Tool
from webapp.upstream.listing import Listing, parse_tools

# ruff: noqa: F811

READS = [tool(f"get_thing_{number:02}", "Get it") for number in range(15)]


def named(name: str) -> Tool:
    found: Tool = Tool.get(Tool.name == name)
    return found


def policy_of(*names: str) -> set[str]:
    return {named(name).policy for name in names}


def fields(html: str) -> dict[str, list[str]]:
    """The hidden fields of the form that a preview asks to send."""
    form = html.split('action="/tools/bulk"')[1].split("</form>")[0]
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form):
        found.setdefault(name, []).append(unescape(value))
    return found


def ask(visitor: Visitor, **form: object) -> TestResponse:
    """Sends the form under the table; where it leads to a preview, that is the answer."""
    reply = visitor.post("/tools/bulk", **form)
    if reply.status_code == 303 and "/preview" in reply.location:
        return visitor.browser.get(reply.location)
    return reply


def confirm(visitor: Visitor, preview: str) -> TestResponse:
    form = {name: values for name, values in fields(preview).items() if name != "csrf_token"}
    return visitor.post("/tools/bulk", **form)


def done(visitor: Visitor, **form: object) -> BulkChange:
    reply = ask(visitor, **form)
    if reply.status_code == 200:
        reply = confirm(visitor, reply.text)
    assert reply.status_code == 303, text_of(reply.text)
    change: BulkChange = BulkChange.select().order_by(BulkChange.at.desc()).get()
    return change


def changes() -> int:
    return int(Entry.select().where(Entry.kind == "change").count())


# --- doing it


def test_a_few_that_get_stricter_are_set_at_once_and_the_notice_leads_to_undo(
    admin: Visitor, connect: Connect
) -> None:
    connect("desk")
    ids = [named("get_ticket").id, named("delete_ticket").id]
    reply = admin.post("/tools/bulk", tool=ids, to="disabled", which="picked", q="ticket", sort="used")
    assert (reply.status_code, reply.location) == (303, "/tools?q=ticket&sort=used")
    assert policy_of("get_ticket", "delete_ticket") == {"disabled"}
    bulk = BulkChange.get()
    html = admin.get(reply.location)
    assert f'2 tools set to Disabled. <a href="/tools/bulk/{bulk.id}">See the change or undo it</a>' in html
    assert "Disabled by Admin just now , with 1 other" in text_of(html)


def test_from_a_servers_page_it_comes_back_there(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    html = admin.get(f"{SETTINGS}/desk?kind=read")
    hidden = fields(html)
    assert (hidden["integration"], hidden["from"], hidden["kind"]) == (["desk"], ["server"], ["read"])
    reply = admin.post(
        "/tools/bulk", which="all", to="disabled", integration="desk", **{"from": "server"}, kind="read"
    )
    assert reply.location == f"{SETTINGS}/desk?kind=read"
    assert (named("get_ticket").policy, named("delete_ticket").policy) == ("disabled", "approval")


def test_all_that_match_are_meant_on_every_page_and_no_other(admin: Visitor, connect: Connect) -> None:
    connect("desk", *(tool(f"get_{number:03}", "Get it") for number in range(120)), WRITE)
    connect("other", READ)
    done(admin, which="all", to="disabled", integration="desk", q="get", policy="auto")
    assert Tool.select().where(Tool.policy == "disabled").count() == 120
    assert (named("delete_ticket").policy, named("get_ticket").policy) == ("approval", "auto")


def test_the_log_has_a_row_for_each_tool_and_one_for_all(admin: Visitor, connect: Connect) -> None:
    connect("desk", *READS, WRITE)
    before = changes()
    bulk = done(admin, which="all", to="disabled", integration="desk")
    assert changes() == before + 17
    rows = list(Entry.select().order_by(Entry.id.desc()).limit(17))
    details = [json.loads(row.details) for row in rows]
    assert {one["bulk"] for one in details} == {bulk.id}
    assert (rows[0].action, rows[0].actor) == ("policies.bulk", "admin@example.com")
    assert details[0]["counts"] == {"auto → disabled": 15, "approval → disabled": 1}
    assert {row.action for row in rows[1:]} == {"policy.set"}
    assert details[1] | {"bulk": ""} == {"from": "auto", "to": "disabled", "seed": "auto", "bulk": ""}
    assert len({row.tool for row in rows[1:]}) == 16
    assert audit.verify().intact
    assert "set 16 tools to Disabled" in text_of(admin.get("/activity"))


# --- the preview


def test_many_are_shown_before_they_are_set(admin: Visitor, connect: Connect) -> None:
    connect("desk", *READS)
    before = changes()
    reply = admin.post("/tools/bulk", which="all", to="disabled", q="get_thing")
    assert reply.status_code == 303
    assert reply.location.startswith("/tools/bulk/preview?")
    html = admin.get(reply.location)
    assert "Set 15 tools to Disabled?" in text_of(html)
    assert "15 Auto Disabled" in text_of(html)
    assert "mcp:desk:get_thing_07" in text_of(html)
    assert changes() == before
    assert policy_of("get_thing_00") == {"auto"}
    confirm(admin, html)
    assert policy_of(*(one["name"] for one in READS)) == {"disabled"}


@pytest.mark.parametrize(
    ("start", "to"), [("approval", "auto"), ("disabled", "approval"), ("disabled", "seed")]
)
def test_one_write_that_gets_looser_is_shown_first(
    admin: Visitor, connect: Connect, start: str, to: str
) -> None:
    connect("desk")
    policies.set_policy(named("delete_ticket"), start, COMMAND)
    policies.set_policy(named("get_ticket"), "disabled", COMMAND)
    reply = ask(admin, tool=[named("get_ticket").id, named("delete_ticket").id], to=to)
    text = text_of(reply.text)
    before_the_button = text.split("Change nothing")[0]
    assert "1 tool that may write gets more permission" in before_the_button
    assert text.index("mcp:desk:delete_ticket") < text.index("mcp:desk:get_ticket")
    assert named("delete_ticket").policy == start


def test_what_changed_after_the_preview_is_shown_again_and_not_set(admin: Visitor, connect: Connect) -> None:
    connect("desk", *READS)
    preview = ask(admin, which="all", to="disabled", q="get_thing").text
    policies.set_policy(named("get_thing_03"), "approval", COMMAND)
    reply = confirm(admin, preview)
    assert reply.status_code == 409
    assert "have changed since the preview was made" in reply.text
    assert policy_of("get_thing_00") == {"auto"}
    assert confirm(admin, reply.text).status_code == 303
    assert policy_of("get_thing_00", "get_thing_03") == {"disabled"}


def test_a_form_that_skips_the_preview_changes_nothing(admin: Visitor, connect: Connect) -> None:
    connect("desk", *READS, WRITE)
    for seen in ("x", "0" * 32):
        assert admin.post("/tools/bulk", which="all", to="auto", seen=seen).status_code == 409
    assert named("delete_ticket").policy == "approval"


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"to": "disabled"}, "No tool was selected."),
        ({"to": "disabled", "tool": ["999999", "x", "-1", "9" * 40]}, "No tool was selected."),
        ({"to": "disabled", "which": "all", "q": "nothing-like-this"}, "No tool was selected."),
        (
            {"to": "auto", "which": "all", "kind": "read", "integration": "desk"},
            "They have this policy already.",
        ),
        ({"to": "toggle", "which": "all"}, "Choose the policy to set."),
        ({"which": "all"}, "Choose the policy to set."),
    ],
)
def test_nothing_to_do_is_said_and_nothing_is_done(
    admin: Visitor, connect: Connect, form: dict[str, object], says: str
) -> None:
    connect("desk")
    before = changes()
    reply = ask(admin, **form)
    assert reply.status_code == 422
    assert says in text_of(reply.text)
    assert changes() == before


# --- who may


def test_a_technicians_hindrances_are_counted_and_kept(technician: Visitor, connect: Connect) -> None:
    connect("desk", *READS, WRITE, tool("send_mail", "Send it"))
    for one in READS:
        policies.set_policy(named(str(one["name"])), "approval", COMMAND)
    preview = ask(technician, which="all", to="auto", integration="desk").text
    text = text_of(preview)
    assert "Set 15 tools to Auto?" in text
    assert "2 left as they are Only an admin can set a tool that may write to Auto." in text
    assert confirm(technician, preview).status_code == 303
    assert policy_of("get_thing_00", "get_thing_14") == {"auto"}
    assert policy_of("delete_ticket", "send_mail") == {"approval"}
    reply = ask(technician, tool=[named("delete_ticket").id], to="auto")
    assert reply.status_code == 422
    assert "Nothing to change" in reply.text


def test_a_viewer_gets_no_boxes_and_no_way_round(viewer: Visitor, connect: Connect) -> None:
    connect("desk")
    html = viewer.get("/tools")
    assert 'form="bulk"' not in html
    assert "that takes the role technician" in text_of(html)
    assert "preset" not in viewer.get(f"{SETTINGS}/desk")
    assert viewer.post("/tools/bulk", which="all", to="disabled").status_code == 403
    viewer.get("/tools/bulk/preview?which=all&to=disabled", status=403)


def test_a_changed_definition_is_not_loosened_unseen(admin: Visitor, connect: Connect) -> None:
    """Nobody looks at each of many: an admin is no exception."""
    desk = connect("desk", *READS)
    listed, _ = parse_tools([tool("get_thing_00", "Get it and mail it away"), *READS[1:]])
    sync.reconcile(desk, Listing(listed, [], complete=True), COMMAND)
    done(admin, which="all", to="disabled", integration="desk")
    assert named("get_thing_00").changed_at is not None
    preview = ask(admin, which="all", to="auto", integration="desk").text
    assert "1 left as it is It changed, is new or was flagged, and nobody has looked at it yet." in text_of(
        preview
    )
    confirm(admin, preview)
    assert (named("get_thing_00").policy, named("get_thing_01").policy) == ("disabled", "auto")
    # Not to Approval needed either: what was tightened while it waits is loosened by a look only.
    done(admin, which="all", to="approval", integration="desk")
    assert (named("get_thing_00").policy, named("get_thing_01").policy) == ("disabled", "approval")


# --- undo


def test_undo_puts_all_back_and_can_be_undone_itself(admin: Visitor, connect: Connect) -> None:
    connect("desk", *READS, WRITE)
    policies.set_policy(named("get_thing_01"), "approval", COMMAND)
    bulk = done(admin, which="all", to="disabled", integration="desk")
    page = text_of(admin.get(f"/tools/bulk/{bulk.id}"))
    assert "16 tools set to Disabled By Admin just now , in desk." in page
    assert "Undo puts 16 tools back to what they were. There is no time limit." in page
    reply = admin.post(f"/tools/bulk/{bulk.id}/undo")
    assert reply.status_code == 303
    assert (named("get_thing_00").policy, named("get_thing_01").policy) == ("auto", "approval")
    assert named("delete_ticket").policy == "approval"
    assert "put 16 tools back to what they were" in text_of(admin.get("/activity"))
    page = text_of(admin.get(f"/tools/bulk/{bulk.id}"))
    assert "Undone by Admin" in page
    assert "Nothing is left to put back." in page
    assert admin.post(reply.location + "/undo").status_code == 303
    assert policy_of("get_thing_00", "get_thing_01", "delete_ticket") == {"disabled"}


def test_undo_skips_what_changed_since_and_says_which(admin: Visitor, connect: Connect) -> None:
    desk = connect("desk", *READS)
    other = connect("other", READ)
    ids = [
        named(name).id
        for name in ("get_thing_00", "get_thing_01", "get_thing_02", "get_thing_03", "get_ticket")
    ]
    bulk = done(admin, tool=ids, to="disabled")
    # Changed, changed there and back, redefined, and gone with its server.
    policies.set_policy(named("get_thing_00"), "approval", COMMAND)
    policies.set_policy(named("get_thing_01"), "auto", COMMAND)
    policies.set_policy(named("get_thing_01"), "disabled", COMMAND)
    listed, _ = parse_tools([*READS[:2], tool("get_thing_02", "Get it and mail it away"), *READS[3:]])
    sync.reconcile(desk, Listing(listed, [], complete=True), COMMAND)
    integrations.disconnect(other, "other", COMMAND)
    page = text_of(admin.get(f"/tools/bulk/{bulk.id}"))
    assert "Undo puts 1 tool back to what it was; 4 stay as they are." in page
    assert "mcp:desk:get_thing_00 : Its policy was changed since. It is Approval needed now." in page
    assert "mcp:desk:get_thing_01 : Its policy was changed since. It is Disabled now." in page
    assert "mcp:desk:get_thing_02 : Its definition changed since. It is Disabled now." in page
    assert "mcp:other:get_ticket : It is gone: its server was disconnected." in page
    assert admin.post(f"/tools/bulk/{bulk.id}/undo").status_code == 303
    assert [named(f"get_thing_0{n}").policy for n in range(4)] == ["approval", "disabled", "disabled", "auto"]
    details = json.loads(Entry.select().where(Entry.action == "policies.bulk_undone").get().details)
    assert (details["tools"], details["skipped"], details["undoes"]) == (1, 4, bulk.id)
    assert "mcp:desk:get_thing_00" in details["skipped_tools"]


def test_a_second_undo_changes_nothing_and_says_so(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    bulk = done(admin, tool=[named("get_ticket").id], to="disabled")
    assert admin.post(f"/tools/bulk/{bulk.id}/undo").status_code == 303
    before = changes()
    reply = admin.post(f"/tools/bulk/{bulk.id}/undo")
    assert reply.status_code == 409
    assert "Nothing is left to put back. It was put back already." in text_of(reply.text)
    assert changes() == before


def test_a_technicians_undo_gives_no_more_than_a_technician_may(
    admin: Visitor, technician: Visitor, viewer: Visitor, connect: Connect
) -> None:
    connect("desk")
    policies.set_policy(named("delete_ticket"), "auto", COMMAND)
    bulk = done(admin, tool=[named("get_ticket").id, named("delete_ticket").id], to="disabled")
    assert "Only an admin can set a tool that may write to Auto." in technician.get(f"/tools/bulk/{bulk.id}")
    assert technician.post(f"/tools/bulk/{bulk.id}/undo").status_code == 303
    assert (named("get_ticket").policy, named("delete_ticket").policy) == ("auto", "disabled")
    assert "Undo</button>" not in viewer.get(f"/tools/bulk/{bulk.id}")
    assert viewer.post(f"/tools/bulk/{bulk.id}/undo").status_code == 403
    admin.get("/tools/bulk/blk_nothing", status=404)


# --- presets


@pytest.mark.parametrize(
    ("preset", "read", "write"),
    [
        ("careful", "approval", "approval"),
        ("balanced", "auto", "approval"),
        ("read-only", "auto", "disabled"),
        ("open", "auto", "auto"),
    ],
)
def test_a_preset_is_a_previewed_change_of_one_server(
    admin: Visitor, connect: Connect, preset: str, read: str, write: str
) -> None:
    desk = connect("desk", *READS, WRITE)
    connect("other", READ, tool("send_mail", "Send it"))
    html = admin.get(f"{SETTINGS}/desk")
    link = unescape(re.findall(rf'href="(/tools/bulk/preview\?to={preset}[^"]*)"', html)[0])
    shown = admin.get(link)
    assert policy_of("get_thing_00", "delete_ticket") == {"auto", "approval"}
    if preset == "balanced":
        assert "Nothing to change" in shown
        Tool.update(policy="disabled").where(Tool.integration == desk).execute()
        shown = admin.get(link)
    reply = confirm(admin, shown)
    assert (reply.status_code, reply.location) == (303, f"{SETTINGS}/desk")
    assert (named("get_thing_00").policy, named("delete_ticket").policy) == (read, write)
    assert (named("get_ticket").policy, named("send_mail").policy) == ("auto", "approval")
    bulk = BulkChange.get()
    assert bulk.what == f"by the preset {preset.capitalize()}"
    assert admin.post(f"/tools/bulk/{bulk.id}/undo").status_code == 303
    assert "back to what " in admin.get("/tools/bulk")


def test_a_bulk_change_holds_from_the_next_call_on(admin: Visitor, connect: Connect) -> None:
    from webapp.store import generation

    connect("desk")
    before = generation.read()
    done(admin, tool=[named("get_ticket").id], to="disabled")
    assert generation.read() > before
    assert Integration.get(Integration.name == "desk").state == "connected"
