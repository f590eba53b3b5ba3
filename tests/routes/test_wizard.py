"""The wizard: five steps, each with an address of its own, and a way out of every problem."""

from __future__ import annotations

import pytest

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
    value_of,
    viewer,
)
from tests.routes.visitors import Visitor, plain, text_of
from tests.services.farm import Farm, tool
from tests.upstream.zoo import Answer, always, as_json, guarded, modern, page
from webapp.services import checks, connections, integrations
from webapp.services.audit import COMMAND
from webapp.store.models import Check, Connection, Entry, Integration, Tool
from webapp.upstream.findings import Finding, Verdict

# ruff: noqa: F811
DESK = f"{SETTINGS}/desk/setup"
TOKEN = "tok-3c1f9a7e5d"


def begin(admin: Visitor, servers: Farm, *, allowed: bool = True) -> None:
    """A draft of the server in the farm, checked."""
    admin.post(f"{SETTINGS}/new", url=servers.url(), name="desk")
    checked("desk")
    if allowed:
        place = value_of(admin.get(f"{DESK}/check"), "place")
        assert admin.post(f"{DESK}/check/allow", place=place).status_code == 303
        checked("desk")


# --- the whole way


def test_an_open_server_is_connected_in_five_pages_without_javascript(admin: Visitor, servers: Farm) -> None:
    servers.put(modern((READ, WRITE)))
    assert "Step 1 of 5: Address" in admin.get(f"{SETTINGS}/new")
    begin(admin, servers)
    assert "No sign-in is needed" in admin.get(f"{DESK}/check")
    reply = admin.post(f"{DESK}/sign-in", kind="none")
    assert reply.location == f"{DESK}/tools"
    text = text_of(admin.get(reply.location))
    assert "1 Auto, 1 Approval needed, 0 Disabled" in text
    assert "the name says “delete”" in text
    assert "Looked at it" not in text  # pressing Finish says so of all of them
    reply = admin.post(f"{DESK}/tools")
    assert reply.location == f"{DESK}/done"
    assert "Make a key for an agent" in admin.get(reply.location)
    desk = integrations.find("desk")
    assert (desk.state, desk.title) == ("connected", "The Menagerie")


def test_tools_are_in_use_before_anybody_pressed_finish(admin: Visitor, servers: Farm) -> None:
    servers.put(modern((READ,)))
    begin(admin, servers)
    admin.post(f"{DESK}/sign-in", kind="none")
    assert integrations.find("desk").state == "connected"
    assert "Setup not finished" in admin.get(f"{SETTINGS}/desk")
    assert admin.browser.get(DESK).location == f"{DESK}/tools"


def test_with_htmx_each_step_answers_the_next_and_names_its_address(admin: Visitor, servers: Farm) -> None:
    servers.put(modern((READ,)))
    reply = admin.post(f"{SETTINGS}/new", htmx=True, url=servers.url(), name="desk")
    assert reply.headers["HX-Push-Url"] == f"{DESK}/check"
    assert reply.text.lstrip().startswith('<section id="step"')
    checked("desk")
    place = value_of(admin.get(f"{DESK}/check"), "place")
    admin.post(f"{DESK}/check/allow", htmx=True, place=place)
    checked("desk")
    reply = admin.post(f"{DESK}/sign-in", htmx=True, kind="none")
    assert reply.headers["HX-Push-Url"] == f"{DESK}/tools"
    assert plain(reply.text).strip() in plain(admin.get(f"{DESK}/tools"))
    reply = admin.post(f"{DESK}/tools", htmx=True)
    assert reply.headers["HX-Push-Url"] == f"{DESK}/done"
    assert plain(reply.text).strip() in plain(admin.get(f"{DESK}/done"))


def test_the_steps_say_where_we_are(admin: Visitor) -> None:
    integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="desk")
    html = admin.get(f"{DESK}/check")
    assert "<h1>Step 2 of 5: Check</h1>" in html
    assert '<li aria-current="step">Check' in html
    assert "(not yet)" in html


# --- address


@pytest.mark.parametrize("htmx", [True, False])
def test_a_refused_address_keeps_what_was_typed(admin: Visitor, htmx: bool) -> None:
    reply = admin.post(f"{SETTINGS}/new", htmx=htmx, url="https://ann:pw@example.com/mcp", name="my-desk")
    assert reply.status_code == 422
    assert "user name or password" in reply.text
    assert 'value="https://ann:pw@example.com/mcp"' in reply.text
    assert 'value="my-desk"' in reply.text
    assert 'aria-invalid="true"' in reply.text
    assert Integration.select().where(Integration.kind == "server").count() == 0


def test_https_is_put_in_front_and_that_is_said(admin: Visitor) -> None:
    reply = admin.post(f"{SETTINGS}/new", htmx=True, url="mcp.invalid/mcp", name="desk")
    assert "https:// was put in front" in reply.text
    checked("desk")


def test_back_keeps_the_values_and_another_address_starts_anew(admin: Visitor, servers: Farm) -> None:
    servers.put(modern((READ,)))
    begin(admin, servers)
    assert value_of(admin.get(f"{DESK}/address"), "url") == servers.url()
    servers.put(modern((WRITE,)), "/other")
    reply = admin.post(f"{DESK}/address", url=servers.url("/other"), name="helpdesk")
    assert reply.location == f"{SETTINGS}/helpdesk/setup/check"
    checked("helpdesk")
    assert integrations.find("helpdesk").allowances == []


def test_a_connected_server_keeps_its_address(admin: Visitor, connect: Connect) -> None:
    before = connect("desk").url
    assert "its address stays" in admin.get(f"{DESK}/address")
    reply = admin.post(f"{DESK}/address", url="https://evil.example.com/mcp", name="desk")
    assert reply.status_code == 409
    assert integrations.find("desk").url == before


def test_the_same_address_again_is_named(admin: Visitor, connect: Connect, servers: Farm) -> None:
    connect("first")
    admin.post(f"{SETTINGS}/new", url=servers.url("/first"), name="desk")
    checked("desk")
    assert "Another integration has the same address" in text_of(admin.get(f"{DESK}/check"))


# --- check


def test_findings_are_polled_while_a_check_runs_and_no_longer(admin: Visitor) -> None:
    draft = integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="desk")
    finding = Finding("address", "ok", "mcp.example.com is public.")
    row = Check.create(integration=draft, findings=[vars(finding)])
    html = admin.get(f"{DESK}/check/findings")
    assert 'hx-trigger="every 700ms"' in html
    assert "mcp.example.com is public." in html
    whole = admin.get(f"{DESK}/check")
    assert plain(html).strip() in plain(whole)
    # For those without JavaScript, and for them only: htmx would bring what a fragment hides from scripts to life.
    assert '<noscript><meta http-equiv="refresh"' in whole
    assert "<noscript>" not in html
    assert admin.post(f"{DESK}/check/cancel").status_code == 303
    html = admin.get(f"{DESK}/check/findings")
    assert "every 700ms" not in html
    assert "cancelled" in html
    assert Check.get_by_id(row.id).finished_at


def test_a_private_address_is_explained_and_allowed_by_one_button_for_this_server_only(
    admin: Visitor, servers: Farm
) -> None:
    servers.put(modern((READ,)))
    begin(admin, servers, allowed=False)
    html = admin.get(f"{DESK}/check")
    assert "This is a server in my own network" in html
    assert servers.zoo.asked == []
    admin.post(f"{DESK}/check/allow", place=value_of(html, "place"))
    (allowance,) = integrations.find("desk").allowances
    assert (allowance["host"], allowance["port"]) == ("127.0.0.1", servers.port)
    assert checked("desk").usable


def test_only_the_offered_exception_can_be_allowed(admin: Visitor, servers: Farm) -> None:
    servers.put(modern((READ,)))
    begin(admin, servers, allowed=False)
    for place in ("", "10.0.0.1:443 10.0.0.0/8", f"127.0.0.1:{servers.port} 0.0.0.0/0"):
        assert admin.post(f"{DESK}/check/allow", place=place).status_code == 409
    assert integrations.find("desk").allowances == []


def test_a_suggested_address_is_one_button_away(admin: Visitor) -> None:
    draft = integrations.add_server("https://mcp.example.com/", COMMAND, name="desk")
    finding = Finding("protocol", "problem", "A web page.", suggestion="https://mcp.example.com/mcp")
    verdict = vars(Verdict("not_mcp", "unknown", draft.url)) | {"findings": [vars(finding)]}
    Check.create(integration=draft, findings=[vars(finding)], verdict=verdict, finished_at=draft.created_at)
    assert "Try https://mcp.example.com/mcp" in admin.get(f"{DESK}/check")
    assert admin.post(f"{DESK}/check/use", url="https://evil.example.com/").status_code == 409
    assert admin.post(f"{DESK}/check/use", url="https://mcp.example.com/mcp").status_code == 303
    assert integrations.find("desk").url == "https://mcp.example.com/mcp"
    checks.cancel(integrations.find("desk"), COMMAND)
    checked("desk")


def test_a_web_page_has_a_way_out(admin: Visitor, servers: Farm) -> None:
    servers.put(always(page()))
    begin(admin, servers)
    html = admin.get(f"{DESK}/check")
    assert "there is a problem" in html
    assert "Try again" in html
    assert f'href="{DESK}/sign-in?way=bearer">Enter a token instead' in html
    assert f'href="{DESK}/address">Change the address' in html


# --- sign in


def test_a_bearer_token_is_tried_kept_and_never_shown(admin: Visitor, servers: Farm) -> None:
    servers.put(guarded(modern((READ,)), "Bearer", credentials=("authorization", f"Bearer {TOKEN}")))
    begin(admin, servers)
    assert "Continue: sign in" in admin.get(f"{DESK}/check")
    html = admin.get(f"{DESK}/sign-in")
    assert 'type="password"' in html
    reply = admin.post(f"{DESK}/sign-in", kind="bearer", token=TOKEN)
    assert reply.location == f"{DESK}/tools"
    for path in (f"{DESK}/sign-in", f"{DESK}/tools", f"{SETTINGS}/desk", f"{DESK}/sign-in?way=header"):
        assert TOKEN not in admin.get(path)
    assert TOKEN not in repr(list(Entry.select().dicts()) + list(Connection.select().dicts()))


@pytest.mark.parametrize("htmx", [True, False])
def test_a_refused_token_says_what_the_server_said_and_is_not_repeated(
    admin: Visitor, servers: Farm, htmx: bool
) -> None:
    servers.put(guarded(modern((READ,)), 'Bearer error="invalid_token"'))
    begin(admin, servers)
    reply = admin.post(f"{DESK}/sign-in", htmx=htmx, kind="bearer", token=TOKEN)
    assert reply.status_code == 422
    assert "invalid_token" in reply.text
    assert "Step 3 of 5" in reply.text
    assert TOKEN not in reply.text
    assert integrations.find("desk").state == "draft"
    assert admin.post(f"{DESK}/sign-in", kind="bearer", token=" ").status_code == 422


def test_vendor_headers_need_no_javascript(admin: Visitor, servers: Farm) -> None:
    servers.put(guarded(modern((READ,)), "", credentials=("authorization", f"Token token={TOKEN}")))
    begin(admin, servers)
    html = admin.get(f"{DESK}/sign-in?way=header")
    assert html.count("<legend>Header") == 3
    reply = admin.post(
        f"{DESK}/sign-in", kind="header", more="1", name=["X-A", ""], template=["", ""], secret=["", ""]
    )
    assert reply.status_code == 200
    assert reply.text.count("<legend>Header") == 3
    assert 'value="X-A"' in reply.text
    form = {"name": ["Authorization", "X-Tenant", ""], "template": ["Token token={secret}", "", ""]}
    reply = admin.post(f"{DESK}/sign-in", kind="header", secret=[TOKEN, "acme", ""], **form)
    assert reply.location == f"{DESK}/tools"
    kept = connections.credentials_for(integrations.find("desk")).headers
    assert kept == {"Authorization": f"Token token={TOKEN}", "X-Tenant": "acme"}


def test_a_header_that_cannot_be_sent_keeps_the_names_and_drops_the_values(
    admin: Visitor, servers: Farm
) -> None:
    servers.put(modern((READ,)))
    begin(admin, servers)
    reply = admin.post(f"{DESK}/sign-in", kind="header", name="Content-Length", template="", secret=TOKEN)
    assert reply.status_code == 422
    assert 'value="Content-Length"' in reply.text
    assert TOKEN not in reply.text


def test_a_user_name_and_password_work(admin: Visitor, servers: Farm) -> None:
    basic = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    servers.put(guarded(modern((READ,)), "Basic realm=x", credentials=("authorization", basic)))
    begin(admin, servers)
    assert 'name="password"' in admin.get(f"{DESK}/sign-in")
    reply = admin.post(f"{DESK}/sign-in", kind="basic", user="Aladdin", password="open sesame")
    assert reply.location == f"{DESK}/tools"


def test_a_token_is_a_way_out_where_the_server_offers_a_sign_in_in_the_browser(
    admin: Visitor, servers: Farm
) -> None:
    origin = f"http://127.0.0.1:{servers.port}"
    servers.zoo.publish("/.well-known/oauth-protected-resource/mcp",
                        {"resource": f"{origin}/mcp", "authorization_servers": [origin]})  # fmt: skip
    metadata = {
        "issuer": origin, "authorization_endpoint": f"{origin}/authorize",
        "token_endpoint": f"{origin}/token",
        "registration_endpoint": f"{origin}/register", "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    }  # fmt: skip
    servers.put(always(as_json(metadata)), "/.well-known/oauth-authorization-server")
    challenge = f'Bearer resource_metadata="{origin}/.well-known/oauth-protected-resource/mcp"'
    servers.put(guarded(modern((READ,)), challenge, credentials=("authorization", f"Bearer {TOKEN}")))
    begin(admin, servers)
    text = text_of(admin.get(f"{DESK}/sign-in"))
    assert f"Sign in at 127.0.0.1:{servers.port}" in text
    assert "Use a bearer token instead" in text
    assert admin.post(f"{DESK}/sign-in", kind="bearer", token=TOKEN).location == f"{DESK}/tools"


def test_replacing_the_token_of_a_server_in_use_goes_back_to_its_page(
    admin: Visitor, connect: Connect
) -> None:
    connect("desk")
    assert "Sign in to Desk" in admin.get(f"{DESK}/sign-in")
    reply = admin.post(f"{DESK}/sign-in", kind="bearer", token=TOKEN)
    assert reply.location == f"{SETTINGS}/desk"
    assert Tool.select().where(Tool.name == "get_ticket").count() == 1


# --- tools and done


def test_the_review_shows_flagged_tools_and_tools_set_aside_first(admin: Visitor, servers: Farm) -> None:
    servers.put(modern((tool("get_note", "Get\u200b a note"), {"name": "broken"})))
    begin(admin, servers)
    admin.post(f"{DESK}/sign-in", kind="none")
    html = admin.get(f"{DESK}/tools")
    text = text_of(html)
    assert "1 tool was flagged and is Disabled until somebody has looked." in text
    assert "mcp:desk:get_note : Hidden characters" in text
    assert 'href="/tools/review?integration=desk"' in html
    assert "⟨U+200B⟩" in text
    assert "1 tool is set aside" in text
    assert text.index("was flagged") < text.index("Why")
    assert Tool.get(Tool.name == "get_note").policy == "disabled"


def test_later_steps_wait_for_the_earlier_ones(admin: Visitor) -> None:
    integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="desk")
    for step in ("tools", "done"):
        assert admin.browser.get(f"{DESK}/{step}").location == DESK
    assert admin.post(f"{DESK}/tools").status_code == 409
    admin.get(f"{DESK}/nonsense", status=404)
    admin.get(f"{SETTINGS}/network/setup/address", status=404)


def test_a_draft_can_be_discarded(admin: Visitor) -> None:
    integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="desk")
    assert admin.post(f"{SETTINGS}/desk/discard").location == SETTINGS
    admin.get(DESK, status=404)


def test_nobody_but_admins_sees_the_wizard(technician: Visitor, viewer: Visitor) -> None:
    integrations.add_server("https://mcp.example.com/mcp", COMMAND, name="desk")
    for visitor in (technician, viewer):
        for path in (f"{SETTINGS}/new", DESK, f"{DESK}/check", f"{DESK}/sign-in", f"{DESK}/check/findings"):
            visitor.get(path, status=403)
        for path in (f"{DESK}/address", f"{DESK}/check", f"{DESK}/check/cancel", f"{DESK}/check/allow",
                     f"{DESK}/check/use", f"{DESK}/sign-in", f"{DESK}/tools"):  # fmt: skip
            assert visitor.post(path).status_code == 403


def test_an_answer_that_is_cut_off_names_the_server_and_nothing_else(admin: Visitor, servers: Farm) -> None:
    servers.put(always(Answer(500, b"stack trace with /etc/passwd")))
    begin(admin, servers)
    assert "passwd" not in admin.get(f"{DESK}/check")
