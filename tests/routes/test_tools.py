"""The tool table and one tool: search, policies in place, reviews, history."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta
from html import unescape
from urllib.parse import urljoin

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
from webapp.services import audit, policies, sync
from webapp.services.audit import COMMAND
from webapp.store.fields import now
from webapp.store.models import Integration, Tool, database
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


def listed(html: str) -> set[str]:
    return set(re.findall(r'<a href="/tools/mcp:[a-z]+:([a-z_0-9]+)"><code>', html))


def test_each_filter_finds_its_tools_and_only_those(admin: Visitor, connect: Connect) -> None:
    desk = connect("desk", READ, WRITE, tool("frobnicate"), tool("get_hidden", "Get\u202e it"))
    with database.atomic():
        audit.append([audit.Row("call", COMMAND, "tools/call", "desk", "mcp:desk:get_ticket")])
    for query, expected in (
        ("kind=read", {"get_ticket", "get_hidden"}),
        ("kind=write", {"delete_ticket"}),
        ("kind=unknown", {"frobnicate"}),
        ("mark=flagged", {"get_hidden"}),
        ("mark=new", set()),
        ("mark=never-used", {"delete_ticket", "frobnicate", "get_hidden"}),
        ("kind=read&mark=flagged&policy=auto", set()),
        ("kind=read&mark=flagged&policy=disabled", {"get_hidden"}),
        ("mark=review", {"get_hidden"}),
        ("kind=write&policy=auto", set()),
    ):
        assert listed(admin.get(f"/tools?integration=desk&{query}")) == expected, query
        assert listed(admin.get(f"{SETTINGS}/desk?{query}")) == expected, query
    change(desk, READ, WRITE, tool("get_more", "Get more"))
    assert listed(admin.get("/tools?mark=new")) == {"get_more"}
    assert "New" in text_of(admin.get("/tools?q=get_more"))


def test_a_new_tool_that_needs_no_look_is_ticked_off_in_its_row(admin: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    change(desk, READ, WRITE, tool("delete_more", "Delete more"))
    one = named("delete_more")
    html = admin.get("/tools?q=delete_more")
    assert ("New" in text_of(html), "Looked at it: keep" in html) == (True, True)
    reply = admin.post(f"/tools/{one.id}/review", htmx=True, wanted="keep", seen=one.definition_digest)
    assert "Approval needed by Admin" in text_of(reply.text)
    assert listed(admin.get("/tools?mark=new")) == set()
    assert admin.post(f"/tools/{one.id}/review", wanted="auto").status_code == 422


def test_what_waits_for_a_look_is_not_loosened_in_its_row(admin: Visitor, connect: Connect) -> None:
    """Not even by an admin: the row does not show what there is to see."""
    desk = connect("desk")
    change(desk, tool("get_ticket", "Get one ticket, faster"), WRITE)
    one = named("get_ticket")
    html = admin.get(f"{SETTINGS}/desk?mark=review")
    assert listed(html) == {"get_ticket"}
    assert f'id="tool-{one.id}-auto" name="policy" value="auto" disabled' in html
    assert "Nobody has looked at it yet as it is now" in text_of(html)
    assert f'href="/tools/review?integration=desk#review-{one.id}">See what changed' in html
    for path, form in (("policy", {"policy": "auto"}), ("reset", {})):
        reply = admin.post(f"/tools/{one.id}/{path}", htmx=True, seen=one.definition_digest, **form)
        assert (reply.status_code, named("get_ticket").policy) == (403, "approval"), path
        assert "Not saved. Nobody has looked at it yet" in text_of(reply.text)
    assert admin.post(f"/tools/{one.id}/policy", policy="disabled").status_code == 303
    assert (named("get_ticket").policy, named("get_ticket").waits) == ("disabled", True)


def test_a_new_tool_is_new_for_a_week(admin: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    change(desk, READ, WRITE, tool("get_more", "Get more"))
    Integration.update(finished_at=now() - timedelta(days=30)).where(Integration.id == desk.id).execute()
    for days, new in ((6, True), (8, False)):
        Tool.update(first_seen_at=now() - timedelta(days=days)).where(Tool.name == "get_more").execute()
        assert ("get_more" in listed(admin.get("/tools?mark=new"))) is new


def test_hidden_characters_are_found_in_a_schema_too(admin: Visitor, connect: Connect) -> None:
    schema = {"type": "object", "properties": {"id": {"type": "string", "description": "The id\u200b"}}}
    connect("desk", READ, tool("get_one", "Get one", inputSchema=schema))
    assert listed(admin.get("/tools?mark=flagged")) == {"get_one"}
    assert "Hidden characters" in text_of(admin.get("/tools/mcp:desk:get_one"))


def test_the_order_is_in_the_address_and_the_pages_keep_it(admin: Visitor, connect: Connect) -> None:
    connect("zoo", *(tool(f"get_{number:03}", "Get") for number in range(150)))
    connect("ant", READ)
    with database.atomic():
        for name in ("get_007", "get_099", "get_007"):
            audit.append([audit.Row("call", COMMAND, "tools/call", "zoo", f"mcp:zoo:{name}")])
    policies.set_policy(named("get_042"), "disabled", COMMAND)

    def first(query: str) -> str:
        return re.findall(r'<a href="/tools/mcp:[a-z]+:([a-z_0-9]+)"><code>', admin.get(f"/tools{query}"))[0]

    assert first("?sort=used") == "get_007"
    assert first("?sort=changed") == "get_042"
    assert first("?sort=integration") == "get_ticket"
    html = admin.get("/tools?sort=used&q=get_&policy=auto")
    link = unescape(re.findall(r'rel="next" href="([^"]+)"', html)[0])
    assert link == "/tools?q=get_&policy=auto&sort=used&page=2"
    assert listed(html) & listed(admin.get(link)) == set()
    assert "101 to 150 of 150 tools." in text_of(admin.get(link))


def test_every_empty_list_says_why_and_offers_one_step(
    admin: Visitor, viewer: Visitor, connect: Connect
) -> None:
    connect("desk")
    for visitor in (admin, viewer):
        for path, says, step in (
            ("/tools?q=zzz", "No tool has all of this.", '<a href="/tools">Clear the filters</a>'),
            ("/tools?page=9", "There is no such page.", '<a href="/tools">Go to the first page</a>'),
            (f"{SETTINGS}/desk?kind=unknown", "No tool has all of this.", f'<a href="{SETTINGS}/desk">Clear'),
        ):
            html = visitor.get(path)
            empty = html.split('<p class="empty">')[1].split("</p>")[0]
            assert says in empty and step in empty and empty.count("<a ") == 1
    Tool.delete().execute()
    assert "Add MCP Server" in admin.get("/tools").split('<p class="empty">')[1].split("</p>")[0]
    assert "See the integrations" in viewer.get("/tools").split('<p class="empty">')[1].split("</p>")[0]
    assert "Check the connection" in admin.get(f"{SETTINGS}/desk").split('<p class="empty">')[1]


def test_a_folded_definition_is_fetched_by_itself(viewer: Visitor, connect: Connect) -> None:
    schema = {"type": "object", "properties": {"ticket_number": {"type": "integer"}}}
    connect(
        "desk",
        tool("get_ticket", "Get one.\nThe second line.", inputSchema=schema),
        tool("get_big", "x " * 9000),
    )
    html = viewer.get(f"{SETTINGS}/desk")
    assert "ticket_number" not in html and "The second line" not in html
    one = named("get_ticket")
    reply = viewer.browser.get(f"/tools/{one.id}/definition", headers={"HX-Request": "true"})
    assert "ticket_number" in reply.text and "The second line" in reply.text and "<html" not in reply.text
    assert viewer.browser.get(f"/tools/{one.id}/definition").location == "/tools/mcp:desk:get_ticket"
    long = viewer.browser.get(f"/tools/{named('get_big').id}/definition", headers={"HX-Request": "true"}).text
    assert len(long) < 2000 and "Whole description and schema" in long
    viewer.get("/tools/999999/definition", status=404)


def test_five_hundred_tools_are_a_small_page(admin: Visitor, connect: Connect) -> None:
    schema = {"type": "object", "properties": {f"field_{n}": {"type": "string"} for n in range(40)}}
    connect("desk", *(tool(f"get_{n:03}", f"Get number {n}. " * 20, inputSchema=schema) for n in range(500)))
    html = admin.get(f"{SETTINGS}/desk")
    assert "1 to 100 of 500 tools." in html
    assert len(gzip.compress(html.encode())) < 30_000


def test_one_tool_shows_its_definition_and_its_history(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    policies.set_policy(named("get_ticket"), "approval", COMMAND)
    html = admin.get("/tools/mcp:desk:get_ticket")
    text = text_of(html)
    assert "desk__get_ticket" in text
    assert "command line set mcp:desk:get_ticket to Approval needed" in text
    admin.get("/tools/mcp:desk:nothing", status=404)


@pytest.mark.parametrize(
    "name",
    [
        "files/read all?#1",
        "../../x",
        "..",
        "a//b",
        "/",
        "get_ticket/try",
        "100%2F",
        "%25",
        "\\..\\x",
        "é 日本",
        "a;b=c",
    ],
)
def test_a_tool_with_an_odd_name_has_a_page(admin: Visitor, connect: Connect, name: str) -> None:
    """As a browser asks for it, which resolves dots and turns backslashes."""
    connect("desk", READ, tool(name, "Read"))
    html = admin.get(f"{SETTINGS}/desk?q=Read")
    link = unescape(html.split('<a href="/tools/mcp:desk')[1].split('"')[0])
    path = urljoin(f"http://localhost{SETTINGS}/desk", "/tools/mcp:desk" + link.replace("\\", "/"))
    page = text_of(admin.get(path))
    assert f"mcp:desk:{name}" in page and "Input schema" in page
    assert f"Try mcp:desk:{name}" in text_of(admin.get(path + "/try"))


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


def test_what_somebody_else_has_just_set_is_not_loosened_unseen(
    admin: Visitor, technician: Visitor, connect: Connect
) -> None:
    connect("desk")
    one = named("get_ticket")
    technician.post(f"/tools/{one.id}/policy", policy="disabled", was="auto")
    for path, form in (("policy", {"policy": "approval"}), ("reset", {})):
        reply = admin.post(f"/tools/{one.id}/{path}", htmx=True, was="auto", **form)
        assert reply.status_code == 409
        assert "Not saved. It was set to Disabled meanwhile." in text_of(reply.text)
        assert named("get_ticket").policy == "disabled"
    assert admin.post(f"/tools/{one.id}/policy", was="auto", policy="approval").status_code == 409
    assert admin.post(f"/tools/{one.id}/policy", was="disabled", policy="approval").status_code == 303
    assert admin.post(f"/tools/{one.id}/policy", was="disabled", policy="auto").status_code == 303, (
        "one's own"
    )


def test_a_row_says_how_often_the_tool_ran(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    with database.atomic():
        audit.append(
            audit.Row("call", COMMAND, "tools/call", "desk", "mcp:desk:get_ticket", duration_ms=3)
            for _ in range(1200)
        )
        audit.append(
            [audit.Row("call", COMMAND, "tools/call", "desk", "mcp:desk:delete_ticket", duration_ms=3)]
        )
    text = text_of(admin.get(f"{SETTINGS}/desk"))
    assert "Last call: just now ; ran 1,200 times in 7 days" in text
    assert "Last call: just now ; ran once in 7 days" in text


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
