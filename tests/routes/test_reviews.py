"""Needs review: where what waits is found, what it shows, and what is accepted from there."""

from __future__ import annotations

import re

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
from tests.routes.test_tools import change, named
from tests.routes.visitors import Visitor, plain, text_of
from tests.services.farm import tool
from webapp.services import policies
from webapp.services.audit import COMMAND

# ruff: noqa: F811
REVIEW = "/tools/review"
NASTY = "<script>alert(1)</script>\"'>{{7*7}}"
FASTER = tool("get_ticket", "Get one ticket, fast")
HIDDEN = tool("get_ticket", "Get one\u200b ticket")


def card(html: str, name: str) -> str:
    found = re.search(rf'<article id="review-{named(name).id}".*?</article>', html, re.S)
    return found[0] if found else ""


def post(visitor: Visitor, name: str, policy: str, *, htmx: bool = True, seen: str = "", **form: str):  # type: ignore[no-untyped-def]
    one = named(name)
    seen = seen or one.definition_digest
    return visitor.post(f"{REVIEW}/{one.id}", htmx=htmx, policy=policy, seen=seen, **form)


def test_everything_that_waits_is_in_one_place(admin: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    assert "Nothing needs review." in text_of(admin.get(REVIEW))
    change(desk, FASTER, WRITE, tool("get_more", "Get more"))
    connect("other", tool("get_note", "Get\u202e a note"))
    html = admin.get(REVIEW)
    assert "3 tools wait until somebody has looked." in text_of(html)
    assert all(card(html, name) for name in ("get_ticket", "get_more", "get_note"))
    html = admin.get(f"{REVIEW}?integration=desk")
    assert (bool(card(html, "get_ticket")), bool(card(html, "get_note"))) == (True, False)
    assert "See all 3" in html
    admin.get(f"{REVIEW}?integration=nothing", status=404)
    for odd in ("0", "-1", "x", "99999999999"):
        admin.get(f"{REVIEW}?page={odd}")


@pytest.mark.parametrize("where", ["/", "/tools", f"{SETTINGS}/desk", SETTINGS])
def test_every_page_where_a_person_may_be_leads_there(viewer: Visitor, connect: Connect, where: str) -> None:
    change(connect("desk"), FASTER, WRITE)
    assert 'href="/tools/review' in viewer.get(where)


def test_a_changed_tool_shows_its_difference_word_by_word(admin: Visitor, connect: Connect) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}}
    change(connect("desk"), {**FASTER, "inputSchema": schema}, WRITE)
    one = card(admin.get(REVIEW), "get_ticket")
    assert re.findall(r'name="policy" value="(\w+)"', one) == ["approval", "auto"]  # the strict one first
    assert "Get one ticket<ins>, fast</ins>" in one
    assert "properties › to › type" in one
    assert "It is Approval needed ; it was Auto." in text_of(one)
    assert plain(one.split("<form")[0]) in plain(admin.get("/tools/mcp:desk:get_ticket"))


def test_a_new_tool_is_shown_as_a_whole(admin: Visitor, connect: Connect) -> None:
    change(connect("desk"), READ, WRITE, tool("get_more", "Get more\u00a0things", title="More"))
    one = text_of(card(admin.get(REVIEW), "get_more"))
    assert "New" in one and "Get more" in one and "Input schema" in one
    assert "Set to Auto, its seed" in one


def test_a_flagged_tool_shows_what_was_found_and_offers_the_strict_choice_first(
    admin: Visitor, connect: Connect
) -> None:
    connect("desk", HIDDEN, WRITE)
    html = card(admin.get(REVIEW), "get_ticket")
    one = text_of(html)
    assert "Flagged" in one and "Hidden characters in its description" in one and "⟨U+200B⟩" in one
    assert re.findall(r'name="policy" value="(\w+)"', html) == ["disabled", "approval", "auto"]


def test_accepting_answers_with_the_card_as_it_is_now(technician: Visitor, connect: Connect) -> None:
    change(connect("desk"), FASTER, WRITE)
    reply = post(technician, "get_ticket", "auto")
    assert reply.status_code == 200
    assert "Looked at by Technician: Auto." in text_of(reply.text)
    assert "<form" not in reply.text
    assert named("get_ticket").policy == "auto"
    assert "Nothing needs review" in technician.get(REVIEW)
    assert "Needs review" not in technician.get(f"{SETTINGS}/desk").split("tool-filters")[0]


def test_without_javascript_it_leads_back(technician: Visitor, connect: Connect) -> None:
    change(connect("desk"), FASTER, tool("delete_ticket", "Delete it, fast"))
    reply = post(technician, "get_ticket", "approval", htmx=False)
    assert (reply.status_code, reply.location) == (303, REVIEW)
    assert "mcp:desk:get_ticket is Approval needed now." in text_of(technician.get(REVIEW))
    reply = post(technician, "delete_ticket", "approval", htmx=False, alone="1")
    assert reply.location == "/tools/mcp:desk:delete_ticket"


@pytest.mark.parametrize("htmx", [True, False])
def test_a_change_in_between_is_refused_and_shown(admin: Visitor, connect: Connect, htmx: bool) -> None:
    """The person decides about what they saw, and sees what there is now."""
    desk = connect("desk")
    change(desk, FASTER, WRITE)
    seen = named("get_ticket").definition_digest
    change(desk, tool("get_ticket", "Get one ticket, fast, and mail it"), WRITE)
    reply = post(admin, "get_ticket", "auto", seen=seen, htmx=htmx)
    assert reply.status_code == 409
    one = card(reply.text, "get_ticket")
    assert "Not accepted. The definition of this tool has changed" in text_of(one)
    assert "<ins>, fast, and mail it</ins>" in one
    assert f'value="{named("get_ticket").definition_digest}"' in one
    assert named("get_ticket").policy == "approval"


def test_an_odd_wish_is_refused_in_the_card(admin: Visitor, connect: Connect) -> None:
    change(connect("desk"), FASTER, WRITE)
    assert post(admin, "get_ticket", "toggle").status_code == 422
    assert admin.post(f"{REVIEW}/999999", policy="auto", seen="x").status_code == 404
    one = named("get_ticket")
    assert admin.post(f"{REVIEW}/{one.id}", htmx=True, policy="auto").status_code == 409
    assert named("get_ticket").policy == "approval"


def fields(html: str) -> list[str]:
    return re.findall(r'name="tool" value="([^"]+)"', html)


def test_a_server_is_accepted_in_one_go(admin: Visitor, connect: Connect) -> None:
    change(connect("desk"), FASTER, tool("delete_ticket", "Delete it, fast"))
    shown = fields(admin.get(REVIEW))
    assert len(shown) == 2
    reply = admin.post(f"{REVIEW}/server/desk", tool=shown, way="before")
    assert (reply.status_code, reply.location) == (303, REVIEW)
    assert "2 tools accepted." in admin.get(REVIEW)
    assert (named("get_ticket").policy, named("delete_ticket").policy) == ("auto", "approval")


def test_a_server_that_changed_again_is_not_accepted(admin: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    change(desk, FASTER, tool("delete_ticket", "Delete it, fast"))
    shown = fields(admin.get(REVIEW))
    change(desk, FASTER, tool("delete_ticket", "Delete all of them, fast"))
    reply = admin.post(f"{REVIEW}/server/desk", tool=shown, way="before")
    assert reply.status_code == 409
    assert "The definition of this tool has changed" in text_of(reply.text)
    assert "all of them" in reply.text
    assert named("get_ticket").waits
    for odd in ([], ["x"], ["1"], ["99999999999999999999:a"]):
        status = admin.post(f"{REVIEW}/server/desk", tool=odd, way="before").status_code
        assert status == (303 if odd == [] else 422), odd
    assert admin.post(f"{REVIEW}/server/desk", tool=shown, way="loosen").status_code == 422


def test_what_a_technician_may_not_put_back_goes_on_waiting(technician: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    policies.set_policy(named("delete_ticket"), "auto", COMMAND)
    change(desk, FASTER, tool("delete_ticket", "Delete it, fast"))
    html = technician.get(REVIEW)
    one = card(html, "delete_ticket")
    assert re.findall(r'name="policy" value="(\w+)"', one) == ["approval"]
    assert "Only an admin can set a tool that may write to Auto." in one
    technician.post(f"{REVIEW}/server/desk", tool=fields(html), way="before")
    assert "1 tool accepted. 1 went on waiting: Only an admin" in text_of(technician.get(REVIEW))
    assert named("delete_ticket").waits


def test_a_viewer_looks_and_accepts_nothing(viewer: Visitor, connect: Connect) -> None:
    change(connect("desk"), FASTER, WRITE)
    html = viewer.get(REVIEW)
    assert "that takes the role technician" in text_of(html)
    assert "<form" not in card(html, "get_ticket")
    assert post(viewer, "get_ticket", "approval").status_code == 403
    assert viewer.post(f"{REVIEW}/server/desk", way="keep").status_code == 403


def test_many_come_page_by_page(admin: Visitor, connect: Connect) -> None:
    desk = connect("desk")
    change(desk, READ, WRITE, *(tool(f"get_{number:02}", "Get") for number in range(30)))
    first, second = admin.get(REVIEW), admin.get(f"{REVIEW}?page=2")
    assert (first.count("<article"), second.count("<article")) == (25, 5)
    assert "Page 2 of 2" in text_of(second)
    assert len(fields(first)) == 25  # what is accepted together is what is on the page


def test_other_peoples_words_are_text(admin: Visitor, connect: Connect) -> None:
    changed = tool("get_ticket", NASTY, title=NASTY, annotations={NASTY: NASTY})
    change(connect("desk"), changed, WRITE, tool("get_more", f"Get\u200b {NASTY}", inputSchema={
        "type": "object", "properties": {NASTY: {"description": f"{NASTY}\u200b"}}}))  # fmt: skip
    for path in (REVIEW, "/tools/mcp:desk:get_ticket", "/tools/mcp:desk:get_more", "/tools", "/"):
        html = admin.get(path)
        assert "<script>alert" not in html, path
        assert "49" not in re.findall(r"&gt;(\d+)", html), path


def test_an_admin_says_what_new_tools_get(admin: Visitor, technician: Visitor, connect: Connect) -> None:
    connect("desk")
    html = admin.get(f"{SETTINGS}/desk")
    assert 'name="new_tools" value="approval" checked' in html
    assert "New tools get Approval needed at most, until somebody has looked at them" in text_of(html)
    reply = admin.post(f"{SETTINGS}/desk/new-tools", htmx=True, new_tools="disabled")
    assert "New tools get Disabled until looked at" in text_of(reply.text)
    assert admin.post(f"{SETTINGS}/desk/new-tools", new_tools="auto").status_code == 422
    assert technician.post(f"{SETTINGS}/desk/new-tools", new_tools="seed").status_code == 403
    assert admin.post(f"{SETTINGS}/network/new-tools", new_tools="seed").status_code == 404
