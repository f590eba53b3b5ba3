"""The tool table and one tool: search, policies in place, reviews, history."""

from __future__ import annotations

import pytest

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
from tests.routes.visitors import Visitor, plain, text_of
from tests.services.farm import tool
from webapp.services import policies, sync
from webapp.services.audit import COMMAND
from webapp.store.models import Integration, Tool
from webapp.upstream.listing import Listing, parse_tools

# ruff: noqa: F811


def named(name: str) -> Tool:
    found: Tool = Tool.get(Tool.name == name)
    return found


def change(desk: Integration, *tools: object) -> None:
    good, aside = parse_tools(list(tools))
    sync.reconcile(desk, Listing(good, aside, complete=True), COMMAND)


# --- looking


def test_the_table_of_all_tools_is_searched_and_filtered_by_its_address(
    viewer: Visitor, connect: Connect
) -> None:
    connect("desk")
    connect("other", tool("list_users", "List the people"))
    everything = viewer.get("/tools")
    for name in ("mcp:desk:get_ticket", "mcp:desk:delete_ticket", "mcp:other:list_users", "builtin:network:"):
        assert name in everything
    assert "mcp:desk:delete_ticket" not in viewer.get("/tools?policy=auto")
    assert "mcp:other:list_users" not in viewer.get("/tools?integration=desk")
    assert "mcp:other:list_users" in viewer.get("/tools?q=people")
    assert "mcp:desk:get_ticket" in viewer.get("/tools?q=TICKET+get")
    assert "No tool matches" in viewer.get("/tools?q=100%25")


@pytest.mark.parametrize(
    "query", ["?page=0", "?page=-3", "?page=x", "?policy=nonsense", "?mark=nonsense", "?q=%00'--"]
)
def test_odd_addresses_are_no_fault(viewer: Visitor, connect: Connect, query: str) -> None:
    connect("desk")
    viewer.get(f"/tools{query}")
    viewer.get(f"{SETTINGS}/desk{query}")


def test_marks_can_be_looked_for(admin: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    policies.set_policy(named("get_ticket"), "disabled", COMMAND)
    assert "mcp:desk:get_ticket" in admin.get(f"{SETTINGS}/desk?mark=new-policy")
    assert "mcp:desk:delete_ticket" not in admin.get(f"{SETTINGS}/desk?mark=new-policy")
    change(desk, READ)
    assert "mcp:desk:delete_ticket" in admin.get(f"{SETTINGS}/desk?mark=missing")
    change(desk, READ, tool("delete_ticket", "Delete it twice"))
    assert "mcp:desk:get_ticket" not in admin.get(f"{SETTINGS}/desk?mark=changed")
    assert "mcp:desk:delete_ticket" in admin.get(f"{SETTINGS}/desk?mark=changed")


def test_one_tool_shows_its_definition_and_its_history(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    policies.set_policy(named("get_ticket"), "approval", COMMAND)
    html = admin.get("/tools/mcp:desk:get_ticket")
    text = text_of(html)
    assert "desk__get_ticket" in text
    assert "auto → approval" in text
    assert "command line" in text
    admin.get("/tools/mcp:desk:nothing", status=404)


def test_a_tool_with_an_odd_name_has_a_page(admin: Visitor, connect: Connect) -> None:
    connect("desk", tool("files/read all?#1", "Read"))
    html = admin.get(f"{SETTINGS}/desk")
    link = html.split('<a href="/tools/mcp:')[1].split('"')[0]
    assert "files/read all?#1" in text_of(admin.get(f"/tools/mcp:{link}"))


# --- policies


@pytest.mark.parametrize("policy", ["auto", "approval", "disabled"])
def test_a_policy_is_saved_in_place_and_the_answer_is_the_row_as_stored(
    admin: Visitor, connect: Connect, policy: str
) -> None:
    connect("desk")
    one = named("delete_ticket")
    reply = admin.post(f"/tools/{one.id}/policy", htmx=True, policy=policy, selectable="1")
    assert reply.status_code == 200
    assert f'value="{policy}" checked' in reply.text
    assert named("delete_ticket").policy == policy
    assert plain(reply.text).strip() in plain(admin.get(f"{SETTINGS}/desk"))
    assert plain(reply.text).strip() in plain(admin.get("/tools"))


def test_without_javascript_the_save_button_comes_back_to_where_it_was(
    admin: Visitor, connect: Connect
) -> None:
    connect("desk")
    one = named("get_ticket")
    assert "<noscript><button" in admin.get(f"{SETTINGS}/desk")
    reply = admin.post(f"/tools/{one.id}/policy", policy="disabled", referrer="/tools?q=ticket&page=1")
    assert (reply.status_code, reply.location) == (303, f"/tools?q=ticket&page=1#tool-{one.id}")
    reply = admin.post(f"/tools/{one.id}/policy", policy="auto")
    assert reply.location == f"{SETTINGS}/desk#tool-{one.id}"
    assert named("get_ticket").policy == "auto"


def test_a_wrong_or_late_wish_changes_nothing_and_the_row_says_why(admin: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    one = named("get_ticket")
    reply = admin.post(f"/tools/{one.id}/policy", htmx=True, policy="toggle")
    assert reply.status_code == 422
    assert "Not saved. There is no such policy." in text_of(reply.text)
    assert 'value="auto" checked' in reply.text
    seen = one.definition_digest
    change(desk, tool("get_ticket", "Get and forward"), WRITE)
    reply = admin.post(f"/tools/{one.id}/policy", htmx=True, policy="auto", seen=seen)
    assert reply.status_code == 409
    assert "Not saved. The definition of this tool has changed" in text_of(reply.text)
    assert 'value="approval" checked' in reply.text
    assert named("get_ticket").policy == "approval"
    assert admin.post(f"/tools/{one.id}/policy", policy="auto", seen=seen).status_code == 409
    assert admin.post("/tools/999999/policy", policy="auto").status_code == 404


def test_a_technician_may_tighten_anything_and_loosen_reads(technician: Visitor, connect: Connect) -> None:
    connect("desk")
    read, write = named("get_ticket"), named("delete_ticket")
    html = technician.get(f"{SETTINGS}/desk")
    assert f'id="tool-{write.id}-auto" name="policy" value="auto" disabled' in html
    assert "Only an admin can set a tool that may write to Auto." in html
    assert technician.post(f"/tools/{write.id}/policy", policy="auto").status_code == 403
    assert technician.post(f"/tools/{write.id}/policy", policy="disabled").status_code == 303
    assert technician.post(f"/tools/{read.id}/policy", policy="disabled").status_code == 303
    assert technician.post(f"/tools/{read.id}/policy", policy="auto").status_code == 303
    assert (named("get_ticket").policy, named("delete_ticket").policy) == ("auto", "disabled")


def test_a_viewer_sees_the_policies_and_can_set_none(viewer: Visitor, connect: Connect) -> None:
    connect("desk")
    one = named("get_ticket")
    html = viewer.get(f"{SETTINGS}/desk")
    row = html.split(f'<tr id="tool-{one.id}"')[1].split("</tr>")[0]
    assert row.count("disabled>") == 3
    assert "Only technicians and admins change policies." in row
    assert "<noscript>" not in row
    for path in ("policy", "reset", "review"):
        assert viewer.post(f"/tools/{one.id}/{path}", policy="auto", wanted="keep").status_code == 403


def test_a_choice_is_marked_and_can_be_reset(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    one = named("get_ticket")
    reply = admin.post(f"/tools/{one.id}/policy", htmx=True, policy="disabled")
    assert "Disabled by Admin just now ; the seed was Auto, because the name says “get”." in text_of(
        reply.text
    )
    assert "Reset to seed" in reply.text
    reply = admin.post(f"/tools/{one.id}/reset", htmx=True)
    assert "Auto by Admin just now ; as the seed" in text_of(reply.text)
    assert "Reset to seed" not in reply.text
    assert named("get_ticket").policy == "auto"


# --- reviews


def test_a_changed_tool_asks_for_a_look_and_shows_what_changed(admin: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    change(desk, tool("get_ticket", "Get one ticket.\nAlso send it to us."), WRITE)
    html = admin.get(f"{SETTINGS}/desk")
    assert "Definition changed" in html
    assert "Needs review" in html
    assert "Approval needed : tightened by Gatehouse just now , because its definition changed." in text_of(
        html
    )
    assert "<ins>+Also send it to us.</ins>" in admin.get("/tools/mcp:desk:get_ticket")
    one = named("get_ticket")
    reply = admin.post(f"/tools/{one.id}/review", htmx=True, wanted="keep", seen=one.definition_digest)
    assert "Its definition changed" not in reply.text
    assert named("get_ticket").policy == "approval"
    assert "Needs review" not in admin.get(f"{SETTINGS}/desk")


def test_a_changed_tool_can_be_put_back_to_auto_after_a_look(technician: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    change(desk, tool("get_ticket", "Get one ticket, faster"), tool("delete_ticket", "Delete it, faster"))
    read, write = named("get_ticket"), named("delete_ticket")
    assert technician.post(f"/tools/{read.id}/review", wanted="auto").status_code == 303
    assert named("get_ticket").policy == "auto"
    assert technician.post(f"/tools/{write.id}/review", wanted="auto").status_code == 403
    assert technician.post(f"/tools/{write.id}/review", wanted="nonsense").status_code == 422
