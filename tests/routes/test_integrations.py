"""Settings → Integrations: the list, one server's page, its switches and its end."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.routes.settings_house import (  # noqa: F401
    READ,
    SETTINGS,
    WRITE,
    Connect,
    admin,
    app,
    checked,
    connect,
    furnished,
    meadow,
    servers,
    technician,
    viewer,
)
from tests.routes.visitors import Visitor, plain, text_of
from tests.services.farm import Farm, tool
from tests.upstream.zoo import Answer, always, modern
from webapp.builtin import BUILTINS
from webapp.services import audit, connections, health, integrations, patience, sync
from webapp.services.audit import COMMAND
from webapp.store.models import Entry, Integration, Quarantine, Tool
from webapp.upstream.listing import Listing, parse_tools

# ruff: noqa: F811
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


# --- the list


def test_the_list_shows_servers_and_built_ins_with_state_counts_and_last_sync(
    admin: Visitor, connect: Connect
) -> None:
    connect("desk")
    html = admin.get(SETTINGS)
    text = text_of(html)
    assert "mcp:desk" in text
    assert "builtin:network" in text
    assert "1 Auto, 1 Approval needed" in text
    assert "Connected" in text
    assert "Add MCP Server" in text


def test_only_admins_are_shown_how_to_add_a_server(technician: Visitor, viewer: Visitor) -> None:
    for visitor in (technician, viewer):
        assert "Add MCP Server" not in visitor.get(SETTINGS)


def test_an_unfinished_draft_says_so_and_leads_back(admin: Visitor) -> None:
    integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="idea")
    html = admin.get(SETTINGS)
    assert "Setup not finished" in html
    assert f'href="{SETTINGS}/idea/setup"' in html


def test_the_practice_server_is_offered_while_nothing_is_connected(
    admin: Visitor, viewer: Visitor, connect: Connect
) -> None:
    assert "Connect the practice server" in admin.get(SETTINGS)
    assert "Connect the practice server" not in viewer.get(SETTINGS)
    connect("desk")
    assert "practice server" not in admin.get(SETTINGS)


def test_the_practice_button_leads_straight_into_the_check(admin: Visitor) -> None:
    reply = admin.post(f"{SETTINGS}/practice", door="open")
    assert (reply.status_code, reply.location) == (303, f"{SETTINGS}/practice/setup/check")
    checked("practice")
    assert integrations.find("practice").url == "http://127.0.0.1:8001/open/mcp"


# --- one server


def test_the_server_page_shows_what_is_known(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    text = text_of(admin.get(f"{SETTINGS}/desk"))
    for words in (
        "The Menagerie 7.1",
        "2026-07-28",
        "no sign-in",
        "Own network An admin",
        "Sync now",
        "Disconnect",
    ):
        assert words in text


def test_a_draft_has_no_page_of_its_own_yet(admin: Visitor) -> None:
    integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="idea")
    reply = admin.browser.get(f"{SETTINGS}/idea")
    assert (reply.status_code, reply.location) == (303, f"{SETTINGS}/idea/setup")


def test_an_unknown_integration_is_not_found(admin: Visitor) -> None:
    assert "There is no integration" in admin.get(f"{SETTINGS}/nothing", status=404)


def test_sync_now_fetches_and_tells(technician: Visitor, connect: Connect, servers: Farm) -> None:
    connect("desk")
    servers.put(modern((READ, WRITE, tool("list_users", "List users"))), "/desk")
    reply = technician.post(f"{SETTINGS}/desk/sync", htmx=True)
    assert reply.status_code == 200
    assert "1 new" in text_of(reply.text)
    assert Tool.select().where(Tool.name == "list_users").count() == 1


def test_a_draft_is_not_synced(technician: Visitor, servers: Farm) -> None:
    integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="idea")
    assert technician.post(f"{SETTINGS}/idea/sync").status_code == 409


def test_sync_now_without_javascript_comes_back_to_the_page(technician: Visitor, connect: Connect) -> None:
    connect("desk")
    reply = technician.post(f"{SETTINGS}/desk/sync")
    assert (reply.status_code, reply.location) == (303, f"{SETTINGS}/desk")
    assert "2 unchanged" in technician.get(f"{SETTINGS}/desk")


def test_a_failed_sync_says_why_and_keeps_the_tools(
    technician: Visitor, connect: Connect, servers: Farm
) -> None:
    connect("desk")
    servers.put(always(Answer(503)), "/desk")
    for htmx in (True, False):
        reply = technician.post(f"{SETTINGS}/desk/sync", htmx=htmx)
        assert reply.status_code == 502
        assert "Unreachable" in reply.text
    assert Tool.select().where(Tool.name == "get_ticket").count() == 1


def test_the_answer_of_a_button_is_the_piece_of_the_page(technician: Visitor, connect: Connect) -> None:
    connect("desk")
    technician.post(f"{SETTINGS}/desk/state", htmx=True, wanted="paused", reason="Odd calls")
    reply = technician.post(f"{SETTINGS}/desk/state", wanted="paused", reason="Odd calls", htmx=True)
    piece = plain(reply.text)
    page = plain(technician.get(f"{SETTINGS}/desk"))
    said = piece[piece.index('<p role="status"') : piece.index("</p>", piece.index('<p role="status"')) + 4]
    assert "".join(piece.replace(said, "").split()) in "".join(page.split())


def test_pause_and_resume(technician: Visitor, connect: Connect) -> None:
    connect("desk")
    assert technician.post(f"{SETTINGS}/desk/state", wanted="paused").status_code == 422
    assert technician.post(f"{SETTINGS}/desk/state", wanted="paused", reason="Odd calls").status_code == 303
    assert "Resume" in technician.get(f"{SETTINGS}/desk")
    assert technician.post(f"{SETTINGS}/desk/state", wanted="connected").status_code == 303
    assert integrations.find("desk").state == "connected"
    assert technician.post(f"{SETTINGS}/desk/state", wanted="gone").status_code == 422


def test_rename_changes_the_title_only(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    assert admin.post(f"{SETTINGS}/desk/title", title="Help Desk").status_code == 303
    assert "<strong>Help Desk</strong>" in admin.get(SETTINGS)
    assert integrations.find("desk").name == "desk"
    assert admin.post(f"{SETTINGS}/desk/title", title=" ").status_code == 422


def test_tools_set_aside_are_named_with_their_reasons(admin: Visitor, connect: Connect) -> None:
    connect("desk", READ, {"name": "broken_tool"})
    text = text_of(admin.get(f"{SETTINGS}/desk"))
    assert "1 tool set aside" in text
    assert "broken_tool" in text
    assert "no input schema" in text


def test_a_server_that_refuses_us_offers_reconnect(admin: Visitor, connect: Connect) -> None:
    health.mark(connect("desk"), "needs_sign_in", "It answered 401.")
    html = admin.get(f"{SETTINGS}/desk")
    assert "Needs sign-in" in html
    assert "It answered 401." in html
    assert f'href="{SETTINGS}/desk/setup/sign-in">Reconnect' in html


# --- built-ins


def test_a_built_in_is_switched_off_and_on(admin: Visitor, technician: Visitor) -> None:
    address = f"{SETTINGS}/network/switch"
    assert technician.post(address, wanted="off").status_code == 403
    assert admin.post(address, wanted="off").status_code == 303
    assert integrations.find("network").state == "paused"
    assert "Switched off Agents don't see its tools." in text_of(admin.get(f"{SETTINGS}/network"))
    assert admin.post(address, wanted="off").status_code == 303
    assert admin.post(address, wanted="on").status_code == 303
    assert integrations.find("network").state == "connected"
    assert admin.post(address, wanted="toggle").status_code == 422


def test_a_built_in_is_no_server(admin: Visitor, technician: Visitor) -> None:
    for path in ("check", "setup", "setup/address", "setup/sign-in"):
        admin.get(f"{SETTINGS}/network/{path}", status=404)
    for path in ("check", "setup/check", "setup/sign-in", "setup/tools", "setup/check/allow"):
        assert admin.post(f"{SETTINGS}/network/{path}", kind="none").status_code == 404
    reply = technician.post(f"{SETTINGS}/network/state", wanted="paused", reason="Odd calls")
    assert reply.status_code == 409
    assert integrations.find("network").state == "connected"


def test_a_built_ins_secret_is_kept_sealed_and_removed_on_request(admin: Visitor) -> None:
    (secret,) = BUILTINS["network"].secrets
    webhook = "https://hooks.example.com/services/s3cr3t-part"
    address = f"{SETTINGS}/network/settings"
    assert admin.post(address, **{f"secret-{secret.name}": "ftp://nowhere"}).status_code == 422
    assert admin.post(address, **{f"secret-{secret.name}": webhook}).status_code == 303
    network = integrations.find("network")
    assert connections.builtin_secrets(network) == {secret.name: webhook}
    html = admin.get(f"{SETTINGS}/network")
    assert "One is stored, sealed" in html
    assert "s3cr3t-part" not in html + repr(list(Entry.select().dicts()) + list(Integration.select().dicts()))
    assert admin.post(address, **{f"secret-{secret.name}": ""}).status_code == 303
    assert connections.builtin_secrets(integrations.find("network"))
    assert admin.post(address, remove=secret.name).status_code == 303
    assert connections.builtin_secrets(integrations.find("network")) == {}


def test_a_built_in_cannot_be_disconnected(admin: Visitor) -> None:
    reply = admin.post(f"{SETTINGS}/network/disconnect", confirm="network")
    assert reply.status_code == 409
    assert integrations.find("network")


def test_a_setting_nobody_knows_is_refused(admin: Visitor) -> None:
    reply = admin.post(f"{SETTINGS}/network/settings", **{"secret-nonsense": "https://x.example.com"})
    assert reply.status_code == 422


# --- the end


def test_disconnect_says_what_goes_and_wants_the_name(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    text = text_of(admin.get(f"{SETTINGS}/desk/disconnect"))
    assert "2 tools with their policies" in text
    for typed in ("", "Desk", "other"):
        for htmx in (True, False):
            reply = admin.post(f"{SETTINGS}/desk/disconnect", confirm=typed, htmx=htmx)
            assert reply.status_code == 422
            assert "Type the name desk" in reply.text
    assert admin.post(f"{SETTINGS}/desk/disconnect", confirm="desk").status_code == 303
    admin.get(f"{SETTINGS}/desk", status=404)
    assert Tool.select().join(Integration).where(Integration.kind == "server").count() == 0


def test_the_log_and_its_chain_survive_a_disconnect(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    before = Entry.select().count()
    admin.post(f"{SETTINGS}/desk/disconnect", confirm="desk")
    assert Entry.select().count() > before
    assert audit.verify().intact


# --- the doctor


def test_the_check_page_looks_again_and_shows_what_it_found(technician: Visitor, connect: Connect) -> None:
    connect("desk")
    assert "Not checked yet" in technician.get(f"{SETTINGS}/desk/check")
    assert technician.post(f"{SETTINGS}/desk/check").status_code == 303
    checked("desk")
    html = technician.get(f"{SETTINGS}/desk/check")
    assert "The Menagerie" in html
    fragment = technician.get(f"{SETTINGS}/desk/check/findings")
    assert plain(fragment).strip() in plain(html)


# --- how long a call may take


def test_a_server_gets_a_time_out_of_its_own_and_loses_it_again(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    address = f"{SETTINGS}/desk"
    assert "Empty: 120 seconds" in admin.get(address)
    assert admin.post(f"{address}/time-out", call_seconds="300").status_code == 303
    assert 'name="call_seconds" inputmode="numeric" value="300"' in admin.get(address)
    assert patience.of(integrations.find("desk")) == 300
    assert "set how long a call to" in admin.get("/activity")
    assert admin.post(f"{address}/time-out", call_seconds=" ").status_code == 303
    assert patience.of(integrations.find("desk")) is None


@pytest.mark.parametrize("typed", ["0", "3601", "-5", "1.5", "ten", "12345", "²"])
def test_a_time_out_that_can_not_be_is_refused_beside_its_field(
    admin: Visitor, connect: Connect, typed: str
) -> None:
    connect("desk")
    reply = admin.post(f"{SETTINGS}/desk/time-out", call_seconds=typed)
    assert reply.status_code == 422 and "from 1 to 3600 seconds" in reply.text
    assert 'aria-invalid="true"' in reply.text and f'value="{typed}"' in reply.text
    assert patience.of(integrations.find("desk")) is None


# --- roles


@pytest.mark.parametrize(
    ("path", "form", "lowest"),
    [
        ("/desk/sync", {}, "technician"),
        ("/desk/state", {"wanted": "connected"}, "technician"),
        ("/desk/check", {}, "technician"),
        ("/desk/title", {"title": "X"}, "admin"),
        ("/desk/time-out", {"call_seconds": "5"}, "admin"),
        ("/desk/disconnect", {"confirm": "no"}, "admin"),
        ("/desk/discard", {}, "admin"),
        ("/desk/setup/sign-in", {"kind": "none"}, "admin"),
        ("/desk/setup/tools", {}, "admin"),
        ("/network/switch", {"wanted": "on"}, "admin"),
        ("/network/settings", {}, "admin"),
        ("/practice", {"door": "nowhere"}, "admin"),
        ("/new", {"url": "ftp://x"}, "admin"),
    ],
)
def test_who_may_press_which_button(
    app: Flask, connect: Connect, path: str, form: dict[str, str], lowest: str
) -> None:
    connect("desk")
    refused = {"admin": ("technician", "viewer"), "technician": ("viewer",)}[lowest]
    for role in refused:
        before = Entry.select().count()
        assert Visitor.signed_in(app, role).post(SETTINGS + path, **form).status_code == 403
        assert Entry.select().where(Entry.action.startswith("integration")).count() <= before
    reply = Visitor.signed_in(app, lowest).post(SETTINGS + path, **form)
    assert reply.status_code != 403
    checked("desk")


def test_a_post_without_the_form_token_changes_nothing(admin: Visitor, connect: Connect) -> None:
    connect("desk")
    reply = admin.browser.post(f"{SETTINGS}/desk/disconnect", data={"confirm": "desk"})
    assert reply.status_code == 400
    assert integrations.find("desk")


# --- hostile words


def test_nothing_a_server_says_becomes_markup(admin: Visitor, connect: Connect) -> None:
    nasty = {
        "name": f"get_{NASTY}"[:120],
        "title": NASTY,
        "description": f"{NASTY}\n{NASTY}\u202e\u200b",
        "inputSchema": {"type": "object", "properties": {NASTY: {"type": "string", "description": NASTY}}},
        "annotations": {"title": NASTY},
    }
    desk = connect("desk", nasty, {"name": NASTY})
    server = {"name": NASTY, "title": NASTY, "server_version": NASTY, "instructions": NASTY}
    Integration.update(
        server=server, title=NASTY, state_reason=NASTY, sync_error=NASTY, protocol=NASTY
    ).execute()
    changed = dict(nasty, description=f"new {nasty['description']}")
    tools, aside = parse_tools([changed, {"name": NASTY}])
    sync.reconcile(desk, Listing(tools, aside, complete=True), COMMAND)
    Quarantine.update(reason=NASTY).execute()
    (stored,) = Tool.select().where(Tool.integration == desk)
    pages = [
        SETTINGS, f"{SETTINGS}/desk", f"{SETTINGS}/desk/disconnect", f"{SETTINGS}/desk/setup/tools",
        f"{SETTINGS}/desk/setup/sign-in", "/tools", f"{SETTINGS}/desk/check",
    ]  # fmt: skip
    htmls = [admin.get(path) for path in pages]
    htmls.append(admin.get(f"/tools/{stored.catalogue_name}".replace("?", "%3F").replace("#", "%23")))
    folded = admin.browser.get(f"/tools/{stored.id}/definition", headers={"HX-Request": "true"})
    htmls.append(folded.text)
    for html in htmls:
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "\u202e" not in html
        assert "\u200b" not in html
        assert ">49" not in html
    assert "⟨U+202E⟩" in htmls[-1]
    assert "Hidden characters" in htmls[1]
    assert connections.of(desk)


# --- many


def test_a_server_with_five_thousand_tools_answers_a_hundred_rows_at_a_time(
    admin: Visitor, connect: Connect
) -> None:
    desk = connect("desk")
    tools, _ = parse_tools([tool(f"get_thing_{n:04}", "Get a thing") for n in range(5000)])
    sync.reconcile(desk, Listing(tools, [], complete=False, problem="more"), COMMAND)
    html = admin.get(f"{SETTINGS}/desk?page=3")
    assert html.count('<tr id="tool-') == 100
    assert "201 to 300 of 5002" in text_of(html)
    found = admin.get(f"{SETTINGS}/desk?q=thing_4711")
    assert found.count('<tr id="tool-') == 1
    assert "No tool matches" in admin.get(f"{SETTINGS}/desk?q=nonsense")
    assert admin.get(f"{SETTINGS}/desk?page=999").count('<tr id="tool-') == 0
