"""Settings → Agents: keys are shown once, limits and ends are kept, everything pasted works."""

from __future__ import annotations

import ast
import json
import logging
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests import databases
from tests.keys import AGENTS, KEY, block, key_in
from tests.routes.settings_house import admin, app, furnished, technician, viewer  # noqa: F401
from tests.routes.visitors import Visitor, opened, text_of
from webapp.routes.guards import allowed_role
from webapp.services import agents, audit, backups
from webapp.services.audit import COMMAND, Actor, Row
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Agent, Entry, Integration, Tool, database

# ruff: noqa: F811
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=1>{{7*7}}"
SNIPPETS = ("claude-code", "claude-desktop", "cursor", "vscode", "openai", "curl-initialize", "curl-tools")


def made(visitor: Visitor, name: str = "Claude", **form: Any) -> str:
    """The page that shows the key."""
    reply = visitor.post(AGENTS, name=name, **{"scope": "all"} | form)
    assert reply.status_code == 200, reply.text[-2000:]
    return reply.text


def path_of(name: str) -> str:
    return f"{AGENTS}/{Agent.get(Agent.name == name).id}"


def in_days(days: int) -> str:
    return (now() + timedelta(days=days)).date().isoformat()


def called(name: str, *, days_ago: float = 0, outcome: str = "ok") -> None:
    row = Row("call", Actor("agent", name), "call", "desk", "mcp:desk:get_ticket", outcome=outcome)
    row.at = now() - timedelta(days=days_ago)
    with writing():
        audit.append([row])


# --- the key


def test_the_key_is_shown_once_and_never_again(admin: Visitor, app: Flask, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    reply = admin.post(AGENTS, name="Claude", scope="all")
    key = key_in(reply.text)
    assert KEY.fullmatch(key)
    assert reply.headers["Cache-Control"] == "no-store"
    secret = key.rsplit("_", 1)[1] if key.count("_") == 2 else key[12:]
    later = [AGENTS, path_of("Claude"), f"{path_of('Claude')}/revoke", "/activity", "/"]
    later += [f"/activity/{entry.id}" for entry in Entry.select()]
    for path in later:
        assert secret not in admin.get(path), path
    assert secret not in caplog.text
    assert all(secret not in header for header in reply.headers.getlist("Set-Cookie"))


def test_no_byte_on_disk_has_the_key(admin: Visitor, tmp_path: Path) -> None:
    key = key_in(made(admin))
    with database.connection_context():
        backups.backup(tmp_path / "data" / "copy.db", COMMAND)  # all rows, whatever keeps them
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    everything = b"".join(path.read_bytes() for path in files)
    assert key[12:].encode() not in everything
    assert agents.hash_key(key).encode() in everything
    assert key[:11].encode() in everything  # what people recognise it by


def test_two_keys_have_nothing_in_common(admin: Visitor) -> None:
    one, other = key_in(made(admin, "One")), key_in(made(admin, "Other"))
    assert one[3:11] != other[3:11]
    assert one[12:] != other[12:]


def test_the_key_can_be_copied_without_javascript(admin: Visitor) -> None:
    page = made(admin)
    assert re.search(r'<pre id="agent-key" tabindex="0">gh_', page)
    assert "shown this once" in text_of(page)


def test_sending_the_form_twice_makes_one_agent(admin: Visitor) -> None:
    made(admin)
    again = admin.post(AGENTS, name=" Claude ", scope="all")
    assert again.status_code == 422
    assert "already an agent called “Claude”" in text_of(again.text)
    assert not KEY.search(again.text)
    assert Agent.select().count() == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "1 to 60"),
        ("   ", "1 to 60"),
        ("x" * 61, "1 to 60"),
        ("Cl\u200baude", "can't be seen"),
        ("Claude\u202e", "can't be seen"),
        ("Cl\x00aude", "can't be seen"),
    ],
)
def test_a_name_nobody_can_read_is_refused(admin: Visitor, name: str, why: str) -> None:
    reply = admin.post(AGENTS, name=name, scope="some", integration="network", expires=in_days(9))
    assert reply.status_code == 422
    assert why in text_of(reply.text)
    assert "<title>Error:" in reply.text
    assert f'value="{in_days(9)}"' in reply.text  # what was typed stays
    assert re.search(r'value="network" checked', reply.text)
    assert Agent.select().count() == 0


def test_a_name_is_text_and_nothing_else(admin: Visitor) -> None:
    page = made(admin, NASTY)
    called(NASTY)
    path = path_of(NASTY)
    for shown in (page, *map(admin.get, (AGENTS, path, f"{path}/revoke", "/activity", "/activity/1", "/"))):
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
        assert ">49" not in shown


# --- the list


def test_the_list_says_what_matters(admin: Visitor) -> None:
    made(admin, "Everything")
    made(admin, "Little", scope="some", integration="network", expires=in_days(400))
    made(admin, "Nothing", scope="some")
    key = agents.by_name("Little").key_prefix
    called("Little")
    called("Little", days_ago=6.9, outcome="tool_error")
    called("Little", days_ago=7.1)
    called("Little", outcome="waiting")
    text = text_of(admin.get(AGENTS))
    assert "Everything Active" in text
    assert "every integration" in text
    line = text[text.index("Little") : text.index("Nothing")]
    assert f"{key}… Admin Network toolkit in 4" in line  # owner, limits, end
    assert line.endswith("days never 2 ")  # last used, calls
    assert "nothing" in text[text.index("Nothing") :]


def test_an_agent_of_the_command_line_has_no_owner(admin: Visitor) -> None:
    agents.create("Script", COMMAND)
    assert "Owner –" in text_of(admin.get(path_of("Script")))


def test_states_are_told_in_words(admin: Visitor) -> None:
    for name in ("Fresh", "Old", "Gone"):
        made(admin, name)
    Agent.update(expires_at=now() - timedelta(days=1)).where(Agent.name == "Old").execute()
    admin.post(f"{path_of('Gone')}/revoke")
    for name, word in (("Fresh", "Active"), ("Old", "Expired 1 day ago"), ("Gone", "Revoked just now")):
        assert f"{name} {word}" in text_of(admin.get(AGENTS))
        assert f"State {word}" in text_of(admin.get(path_of(name)))


def test_an_empty_list_says_what_to_do(admin: Visitor, viewer: Visitor) -> None:
    assert f'href="{AGENTS}/new">Add the first one' in admin.get(AGENTS)
    seen = viewer.get(AGENTS)
    assert "An admin adds them." in seen
    assert f"{AGENTS}/new" not in seen


# --- changes


def test_limits_are_saved(admin: Visitor) -> None:
    made(admin)
    path = path_of("Claude")
    assert admin.post(f"{path}/limits", scope="some", integration="network").status_code == 303
    page = admin.get(path)
    assert "May use Network toolkit" in text_of(page)
    assert re.search(r'value="some" checked', page)
    assert re.search(r'value="network" checked', page)
    assert Entry.select().where(Entry.action == "agent.limited").count() == 1
    admin.post(f"{path}/limits", scope="all", integration="network")
    assert "May use every integration" in text_of(admin.get(path))


def test_a_form_without_a_choice_gives_nothing(admin: Visitor) -> None:
    """No permission comes out of something missing."""
    reply = admin.post(AGENTS, name="Claude")
    assert reply.status_code == 200
    assert not Agent.get().every_integration
    admin.post(f"{path_of('Claude')}/limits", integration="no-such-thing")
    assert "May use nothing" in text_of(admin.get(path_of("Claude")))


def test_tool_search_is_saved_and_written_down(admin: Visitor) -> None:
    made(admin)
    path = path_of("Claude")
    assert "The full list" in text_of(admin.get(path)) and Agent.get().tool_search == "off"
    assert admin.post(f"{path}/tool-search", tool_search="on").status_code == 303
    page = admin.get(path)
    assert re.search(r'value="on" checked', page) and "Tool search: about" in text_of(page)
    admin.post(f"{path}/tool-search", tool_search="auto", tool_search_above="7")
    assert (Agent.get().tool_search, Agent.get().tool_search_above) == ("auto", 7)
    assert 'value="7"' in admin.get(path)
    assert "automatic above 7 tools" in text_of(admin.get("/activity"))


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"tool_search": "sometimes"}, "off, on or automatic"),
        ({"tool_search": "auto", "tool_search_above": "0"}, "between 1 and"),
        ({"tool_search": "auto", "tool_search_above": "-5"}, "between 1 and"),
        ({"tool_search": "auto", "tool_search_above": "9" * 30}, "between 1 and"),
        ({"tool_search": "auto", "tool_search_above": "many"}, "not a number"),
        ({"tool_search": "auto", "tool_search_above": "9" * 5000}, "not a number"),
    ],
)
def test_a_tool_search_that_cannot_be_is_refused_and_nothing_changes(
    admin: Visitor, form: dict[str, str], why: str
) -> None:
    made(admin)
    reply = admin.post(f"{path_of('Claude')}/tool-search", **form)
    assert reply.status_code == 422 and why in text_of(reply.text)
    assert (Agent.get().tool_search, Agent.get().tool_search_above) == ("off", 60)
    assert admin.post(AGENTS, name="Other", scope="all", **form).status_code == 422
    assert Agent.select().count() == 1


def test_a_new_agent_is_offered_the_automatic_choice(admin: Visitor) -> None:
    """What no form says is not turned on: an agent of a script sees what it always saw."""
    assert re.search(r'value="auto" checked', admin.get(f"{AGENTS}/new"))
    made(admin, tool_search="auto", tool_search_above="50")
    assert (Agent.get().tool_search, Agent.get().tool_search_above) == ("auto", 50)


def test_the_page_says_what_a_list_costs(admin: Visitor, viewer: Visitor) -> None:
    made(admin)
    network = Integration.get(Integration.name == "network")
    few = int(
        re.search(r"about ([\d,]+) tokens", text_of(admin.get(path_of("Claude")))).group(1).replace(",", "")
    )
    row = dict(network.tools.dicts().get())
    for number in range(100):
        fresh = {"name": f"t{number}", "wire_name": f"w{number}", "catalogue_name": f"c{number}"}
        Tool.create(**{key: value for key, value in row.items() if key != "id"} | fresh)
    page = text_of(admin.get(path_of("Claude")))
    many = int(re.search(r"about ([\d,]+) tokens", page).group(1).replace(",", ""))
    assert many > 5 * few and "That is much for a model: choose tool search" in page
    assert "an admin can choose tool search" in text_of(viewer.get(path_of("Claude")))
    admin.post(f"{path_of('Claude')}/tool-search", tool_search="auto")
    assert "That is much" not in text_of(viewer.get(path_of("Claude")))


def test_the_end_of_a_key_is_saved_and_taken_back(admin: Visitor) -> None:
    made(admin)
    path, day = path_of("Claude"), in_days(30)
    assert admin.post(f"{path}/expiry", expires=day).status_code == 303
    assert f'value="{day}"' in admin.get(path)
    assert Agent.get().expires_at == datetime.fromisoformat(f"{day}T23:59:59.999999").replace(tzinfo=UTC)
    admin.post(f"{path}/expiry", expires="")
    assert Agent.get().expires_at is None


@pytest.mark.parametrize(
    ("day", "why"),
    [("2020-01-01", "passed already"), ("tomorrow", "not a date"), ("2031-02-30", "not a date")],
)
def test_a_day_that_cannot_be_is_refused_and_nothing_changes(admin: Visitor, day: str, why: str) -> None:
    made(admin)
    reply = admin.post(f"{path_of('Claude')}/expiry", expires=day)
    assert reply.status_code == 422
    assert why in text_of(reply.text)
    assert Agent.get().expires_at is None
    assert admin.post(AGENTS, name="Late", scope="all", expires=day).status_code == 422
    assert Agent.select().count() == 1


def test_an_expired_agent_gets_no_new_key_before_a_new_end(admin: Visitor) -> None:
    made(admin)
    Agent.update(expires_at=now() - timedelta(days=1)).execute()
    reply = admin.post(f"{path_of('Claude')}/key")
    assert reply.status_code == 409
    assert "a new key would not work" in reply.text
    admin.post(f"{path_of('Claude')}/expiry", expires=in_days(2))
    assert KEY.fullmatch(key_in(admin.post(f"{path_of('Claude')}/key").text))


def test_revoking_asks_first_and_is_written_down_once(admin: Visitor) -> None:
    made(admin)
    path = path_of("Claude")
    asked = admin.get(f"{path}/revoke")
    assert "Revoke the key of Claude?" in asked
    assert "will not run" in asked
    assert Agent.get().revoked_at is None
    assert admin.post(f"{path}/revoke").status_code == 303
    first = Agent.get().revoked_at
    admin.post(f"{path}/revoke")
    assert Agent.get().revoked_at == first
    assert Entry.select().where(Entry.action == "agent.revoked").count() == 1


@pytest.mark.parametrize("number", ["9999", "99999999999999999999999"])
def test_an_agent_that_is_not_there_is_not_found(admin: Visitor, number: str) -> None:
    admin.get(f"{AGENTS}/{number}", status=404)
    assert admin.post(f"{AGENTS}/{number}/revoke").status_code == 404


# --- who may

ROLES = {
    "agents.set_state": "technician",
    "agents.index": "viewer",
    "agents.show": "viewer",
    "agents.new": "admin",
    "agents.create": "admin",
    "agents.limit": "admin",
    "agents.set_expiry": "admin",
    "agents.set_tool_search": "admin",
    "agents.set_quota": "admin",
    "agents.replace_key": "admin",
    "agents.ask_revoke": "admin",
    "agents.revoke": "admin",
    "activity.index": "viewer",
    "activity.show": "viewer",
    "activity.download": "technician",
    "home.index": "viewer",
}


def test_every_view_says_who_may_use_it(app: Flask) -> None:
    """The services refuse too; this is the first of two locks."""
    ours = [name for name in app.view_functions if name.partition(".")[0] in ("agents", "activity", "home")]
    assert {name: allowed_role(app, name) for name in ours} == ROLES


def test_others_look_and_change_nothing(admin: Visitor, technician: Visitor, viewer: Visitor) -> None:
    made(admin)
    path = path_of("Claude")
    for visitor in (technician, viewer):
        assert "Claude" in visitor.get(AGENTS)
        page = visitor.get(path)
        changes = set(re.findall(rf'action="({path}[^"]*)"', page))
        assert changes == ({f"{path}/state"} if visitor is technician else set())  # technicians may pause it
        assert f"{path}/revoke" not in page
        visitor.get(f"{AGENTS}/new", status=403)
        visitor.get(f"{path}/revoke", status=403)
        assert visitor.post(AGENTS, name="Mine", scope="all").status_code == 403
        for change in ("limits", "tool-search", "expiry", "key", "revoke"):
            assert visitor.post(f"{path}/{change}").status_code == 403
    assert Agent.select().count() == 1
    assert Agent.get().usable


# --- snippets


def test_snippets_show_the_address_and_a_place_for_the_key(admin: Visitor, app: Flask) -> None:
    made(admin)
    page = admin.get(path_of("Claude"))
    for name in SNIPPETS:
        text = block(page, f"snippet-{name}")
        assert "http://127.0.0.1:8000/mcp" in text, name
        assert "YOUR_KEY" in text, name


def test_snippets_hold_the_key_on_the_page_that_shows_it(admin: Visitor) -> None:
    page = made(admin)
    for name in SNIPPETS:
        assert key_in(page) in block(page, f"snippet-{name}"), name
    assert "YOUR_KEY" not in page


def test_snippets_are_well_formed(admin: Visitor) -> None:
    page = made(admin)
    key, address = key_in(page), "http://127.0.0.1:8000/mcp"
    bearer = {"Authorization": f"Bearer {key}"}
    words = shlex.split(block(page, "snippet-claude-code"))
    assert words[:7] == ["claude", "mcp", "add", "--transport", "http", "gatehouse", address]
    assert words[7:] == ["--header", f"Authorization: Bearer {key}"]
    desktop = json.loads(block(page, "snippet-claude-desktop"))["mcpServers"]["gatehouse"]
    assert desktop["args"][:3] == ["-y", "mcp-remote", address]
    assert not any(" " in argument for argument in desktop["args"])  # Windows loses them
    assert desktop["env"] == {"GATEHOUSE_KEY": f"Bearer {key}"}
    assert json.loads(block(page, "snippet-cursor")) == {
        "mcpServers": {"gatehouse": {"url": address, "headers": bearer}}
    }
    assert json.loads(block(page, "snippet-vscode")) == {
        "servers": {"gatehouse": {"type": "http", "url": address, "headers": bearer}}
    }
    ast.parse(block(page, "snippet-openai"))


def test_a_public_address_is_the_one_that_is_shown(furnished: Path, tmp_path: Path) -> None:
    databases.copy(furnished, tmp_path / "data")
    app = opened(tmp_path / "data", public_url="https://tools.example.com", hold_seconds=100)
    app.config["PREFERRED_URL_SCHEME"] = "https"  # the test's browser comes over https
    with database.connection_context():
        page = made(Visitor.signed_in(app), "Claude of the public address")
    for name in SNIPPETS:
        assert "https://tools.example.com/mcp" in block(page, f"snippet-{name}")
    assert "--allow-http" not in block(page, "snippet-claude-desktop")
    assert "client_session_timeout_seconds=115" in block(page, "snippet-openai")
