"""Trying a tool on its page: the form, the question before a write, the result; through the real program."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from config import Config
from tests.gateway.test_calls import done
from tests.house import PASSWORD, House, served, token_in
from tests.routes.visitors import text_of
from tests.services.farm import Farm, farm
from tests.upstream.zoo import Answer, Ask, legacy, result
from tests.waiting import until
from webapp.asgi import program
from webapp.practice import create_app as practice_app
from webapp.services import approvals, tools
from webapp.services.approvals import second_person
from webapp.services.audit import COMMAND
from webapp.store.models import Entry, Tool

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
DATA = 'src="data:'
NASTY = '"><script>alert(1)</script>'


@pytest.fixture(scope="module")
def practice() -> Iterator[str]:
    with served(practice_app()) as url:
        yield url


@pytest.fixture(scope="module")
def house(practice: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data: Path = tmp_path_factory.mktemp("trying") / "data"
    made = program(Config(data=data, hold_seconds=0.3))
    with served(made) as url:
        house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
        for email, role in (("ann@example.com", "admin"), ("tom@example.com", "technician")):
            house.run(
                "create-user", email, "--role", role, "--name", email[:3].title(), stdin=PASSWORD + "\n"
            )
        house.run("add-server", f"{practice}/open/mcp", "--name", "desk", "--allow-private")
        yield house


@pytest.fixture(autouse=True)
def clean_desk(practice: str) -> None:
    assert (
        httpx2.post(
            f"{practice}/reset", headers={"Origin": practice}, timeout=60, trust_env=False
        ).status_code
        == 303
    )


@dataclass
class Person:
    """At the page of one tool, without JavaScript."""

    http: httpx2.Client
    path: str
    html: str = ""

    def open(self) -> Person:
        self.html = self.http.get(self.path).text
        return self

    def key(self, name: str) -> str:
        """The name of the input for an argument."""
        label = rf'<label for="([^"]+)"><code>{re.escape(name)}</code>'
        found = re.search(label, unescape(self.html))
        assert found, f"no field {name}"
        return found[1]

    def hidden(self) -> dict[str, str]:
        inputs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', self.html)
        return {name: unescape(value) for name, value in inputs}

    def send(
        self, step: str = "run", more: str = "", htmx: bool = False, **arguments: str
    ) -> httpx2.Response:
        form = self.hidden() | {self.key(name): value for name, value in arguments.items()}
        form |= {"step": step} | ({"more": more} if more else {})
        headers = {"HX-Request": "true"} if htmx else {}
        reply = self.http.post(self.path, data=form, headers=headers)
        self.html = reply.text
        return reply

    @property
    def text(self) -> str:
        return text_of(self.html)


@pytest.fixture
def at(house: House) -> Iterator[Callable[..., Person]]:
    with house.browser() as http:
        yield lambda name: Person(http, f"/tools/{name}/try").open()


def newest(house: House) -> Entry:
    return house.do(lambda: Entry.select().where(Entry.kind == "call").order_by(Entry.id.desc()).first())


def test_a_read_runs_from_its_form(house: House, at: Callable[..., Person]) -> None:
    person = at("mcp:desk:get_ticket")
    assert "The ticket, for example T-1042." in person.text and "required" in person.text
    reply = person.send(ticket_id="T-1041")
    assert reply.status_code == 200 and "T-1041" in person.text and "Took" in person.text
    row = newest(house)
    assert (row.actor, row.actor_kind, row.outcome) == ("ann@example.com", "user", "ok")
    assert f'href="/activity/{row.id}"' in person.html
    assert 'value="T-1041"' in person.html, "the values are kept"


def test_the_page_links_from_the_tool_for_admins_only(house: House, at: Callable[..., Person]) -> None:
    person = at("mcp:desk:get_ticket")
    assert "/tools/mcp:desk:get_ticket/try" in person.http.get("/tools/mcp:desk:get_ticket").text
    with house.browser("tom@example.com") as tom:
        assert "/try" not in tom.get("/tools/mcp:desk:get_ticket").text
        assert tom.get("/tools/mcp:desk:get_ticket/try").status_code == 403
        token = token_in(tom.get("/account").text)
        assert tom.post("/tools/mcp:desk:get_ticket/try", data={"csrf_token": token}).status_code == 403


def test_the_fragment_is_the_pages_own(at: Callable[..., Person]) -> None:
    plain = re.compile(r'name="(csrf_token|number)" value="[^"]*"')
    person, other = at("mcp:desk:get_ticket"), at("mcp:desk:get_ticket")
    fragment = person.send(ticket_id="wrong", htmx=True)
    assert (
        fragment.status_code == 422
        and fragment.text.startswith("<section")
        or "<section" in fragment.text[:200]
    )
    other.send(ticket_id="wrong")
    assert plain.sub("", fragment.text.strip()) in plain.sub("", other.html)
    assert "<html" not in fragment.text


def test_what_does_not_fit_is_said_by_field_and_nothing_runs(house: House, at: Callable[..., Person]) -> None:
    before = newest(house).id if newest(house) else 0
    person = at("mcp:desk:search_tickets")
    reply = person.send(query="x", limit="500")
    assert reply.status_code == 422
    assert (
        "“query” needs at least 2 characters" in person.text and "“limit” must be 50 or less" in person.text
    )
    assert f'href="#{person.key("query")}"' in person.html and 'aria-invalid="true"' in person.html
    assert 'value="500"' in person.html and "<title>Error: " in person.html
    person.send(query="", limit="many")
    assert "“query” is needed" in person.text and "“limit” must be a whole number" in person.text
    assert (newest(house).id if newest(house) else 0) == before


def test_a_write_asks_first_and_runs_once(house: House, practice: str, at: Callable[..., Person]) -> None:
    person = at("mcp:desk:add_ticket_note")
    person.send("ask", ticket_id="T-1041", text="First line\nSecond “line”", visibility='"client"')
    assert "This writes: run it?" in person.text and "Second “line”" in person.text
    assert done(practice, "add_ticket_note") == 0
    asked = Person(person.http, person.path, person.html)
    assert person.send("confirmed").status_code == 200
    assert done(practice, "add_ticket_note") == 1
    row = newest(house)
    details = json.loads(row.details)
    assert (row.policy, row.outcome, details["confirmed_by"]) == ("approval", "ok", "ann@example.com")
    assert details["arguments"]["text"] == "First line\nSecond “line”"
    assert asked.send("confirmed").status_code == 409, "a second yes to the same question"
    assert "was not run a second time" in asked.text and done(practice, "add_ticket_note") == 1


def test_a_write_is_never_run_without_the_question(practice: str, at: Callable[..., Person]) -> None:
    person = at("mcp:desk:delete_ticket")
    person.send("run", ticket_id="T-1043")
    assert "This writes: run it?" in person.text and done(practice, "delete_ticket") == 0
    person.send("change")
    assert 'value="T-1043"' in person.html and "Look it over" in person.text
    assert done(practice, "delete_ticket") == 0


def test_the_rule_of_two_sends_it_to_the_inbox(
    house: House, practice: str, at: Callable[..., Person]
) -> None:
    name = "mcp:desk:restart_device"
    house.do(lambda: second_person.set_rule(tools.by_catalogue_name(name), True, COMMAND))
    person = at(name)
    person.send("ask", device_id="HD-PR-002", when='"now"')
    assert "needs a second person" in person.text and "Ask for approval" in person.text
    assert person.send("confirmed").status_code == 200
    assert "It has not run" in person.text and done(practice, "restart_device") == 0
    link = re.search(r'href="(/approvals/apr_[^"]+)"', person.html)
    assert link
    card = text_of(person.http.get(link[1]).text)
    assert "ann@example.com" in card and "you asked for this call" in card
    with house.browser("tom@example.com") as tom:
        form = {"csrf_token": token_in(tom.get(link[1]).text), "decision": "approve"}
        assert tom.post(f"{link[1]}/decision", data=form).status_code == 200
    until(lambda: done(practice, "restart_device") == 1)
    assert house.do(lambda: approvals.get(link[1].rpartition("/")[2])).decided_by == "tom@example.com"


def test_an_error_of_the_tool_is_shown_as_one(at: Callable[..., Person]) -> None:
    person = at("mcp:desk:print_invoice")
    client = re.search(r'<option value="([^"]+Northwind[^"]*|&#34;[^"]+)"', person.html)
    assert client
    person.send("ask", client=unescape(client[1]), month="2026-11")
    person.send("confirmed")
    assert "the tool reported an error" in person.text and "out of toner" in person.text


def test_a_disabled_tool_has_no_form(house: House, at: Callable[..., Person]) -> None:
    person = at("mcp:desk:list_devices")
    house.run("set-policy", "mcp:desk:list_devices", "disabled")
    reply = person.send()
    shown = at("mcp:desk:list_devices")
    house.run("set-policy", "mcp:desk:list_devices", "auto")
    assert reply.status_code in (400, 403) and "Disabled" in person.text
    assert newest(house).outcome == "refused"
    assert "can’t be tried" in shown.text and "Run it" not in shown.text


def test_more_arguments_as_json_win_and_are_checked(house: House, at: Callable[..., Person]) -> None:
    person = at("mcp:desk:search_tickets")
    person.send(query="ignored", more='{"query": "printer", "limit": 1}')
    assert json.loads(newest(house).details)["arguments"] == {"query": "printer", "limit": 1}
    for wrong, words in (
        ('{"query": ', "is not JSON: line 1"),
        ("[1]", "must be one JSON object"),
        ('{"limit": NaN}', "can't carry"),
        ('{"query": "\\ud800"}', "can't carry"),
        ("[" * 100_000, "nested too deeply"),
        ('{"limit": 1e999}', "can't carry"),
    ):
        assert person.send(more=wrong).status_code == 422 and words in person.text, wrong


def test_the_agent_call_can_be_copied(at: Callable[..., Person]) -> None:
    person = at("mcp:desk:search_tickets")
    person.send(query="müller", limit="3")
    found = re.search(r'<pre id="agent-call"[^>]*>(.*?)</pre>', person.html, re.S)
    assert found and 'data-copy="#agent-call"' in person.html
    call = json.loads(unescape(found[1]))
    assert call["method"] == "tools/call"
    assert call["params"] == {"name": "desk__search_tickets", "arguments": {"query": "müller", "limit": 3}}


def test_a_form_for_another_definition_is_refused(at: Callable[..., Person]) -> None:
    person = at("mcp:desk:get_ticket")
    person.html = re.sub(r'name="seen" value="[^"]*"', 'name="seen" value="old"', person.html)
    assert person.send(ticket_id="T-1041").status_code == 409
    assert "has changed since this page" in person.text


# --- servers with something in mind


@dataclass
class Hostile:
    house: House
    farm: Farm
    connected: bool = False

    def offers(self, schema: dict[str, Any], answer: Any = None, name: str = "get_thing") -> str:
        """The catalogue name of a tool with this schema, which answers so."""

        async def call(ask: Ask) -> Answer:
            return result(
                ask, answer or {"content": [{"type": "text", "text": json.dumps(ask.params["arguments"])}]}
            )

        self.farm.put(legacy(({"name": name, "inputSchema": schema},), tools_call=call))
        if not self.connected:
            self.house.run("add-server", self.farm.url(), "--name", "odd", "--allow-private")
            self.connected = True
        self.house.run("sync", "odd")
        self.house.run("set-policy", f"mcp:odd:{name}", "auto")
        return f"mcp:odd:{name}"


@pytest.fixture(scope="module")
def odd(house: House) -> Iterator[Hostile]:
    with farm() as servers:
        yield Hostile(house, servers)


def test_ten_thousand_properties_make_a_small_page(odd: Hostile, at: Callable[..., Person]) -> None:
    properties = {f"p{number}": {} for number in range(10_000)}
    person = at(odd.offers({"type": "object", "properties": properties, "required": ["p9999"]}))
    assert len(person.html) < 120_000 and "9,900 are not in the form" in person.text
    assert person.send(p9999='"here"', more='{"p5000": "too"}').status_code == 200
    assert '"p5000": "too"' in unescape(person.html)


def test_names_and_words_of_a_schema_are_only_text(odd: Hostile, at: Callable[..., Person]) -> None:
    words = {"title": NASTY, "description": NASTY, "default": NASTY, "examples": [NASTY]}
    properties = {
        NASTY: {"type": "string", **words},
        "pick": {"enum": [NASTY, "'\"`"], **words},
        "json": {"type": "object", **words, "default": {NASTY: NASTY}},
        "lines": {"type": "array", "items": {"enum": [NASTY]}, "default": [NASTY]},
        "form": {"type": "string", "pattern": f"^{NASTY}$"},
        "": {"type": "string"},
        "\u202etxt": {"type": "string"},
    }
    person = at(odd.offers({"type": "object", "properties": properties}))
    assert "<script>alert" not in person.html and "⟨U+202E⟩" in person.html
    person.send(more=json.dumps({NASTY: NASTY}))
    assert "<script>alert" not in person.html and "alert(1)" in person.text


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}, "b": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/x"}, "b": {"$ref": "#/nothing/here"}}},
        {"type": "object", "properties": {"a": {"enum": list(range(35_000))}, "b": {"enum": ["x" * 9000]}}},
        {"type": "object", "properties": [1], "required": 7},
        {"type": "object", "properties": {"a": 5, "b": None, "c": {"type": {}}, "d": {"type": ["a", 3]}}},
        {"type": "object", "properties": {"a": {"minimum": "x", "maxLength": -1, "multipleOf": 0, "type": "number"}}},
        {"type": "object", "$schema": "http://json-schema.org/draft-03/schema#", "properties": {"a": {"type": "any"}}},
        {"type": "object", "$schema": 7, "allOf": [{"$ref": "#/allOf/0"}]},
        {"type": "object", "$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 3} for n in range(50)},
         "allOf": [{"$ref": "#/$defs/a0"}]},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}},
         "patternProperties": {"(a+)+$": {}}, "additionalProperties": False},
    ],
)  # fmt: skip
def test_odd_schemas_still_give_a_form_that_runs(
    odd: Hostile, at: Callable[..., Person], schema: dict[str, Any]
) -> None:
    person = at(odd.offers({"type": "object", **schema}))
    assert "Run it" in person.text
    began = time.process_time()  # the program runs in this process; what else the machine does must not count
    reply = person.send(more='{"zz": 1, "a": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}')
    assert reply.status_code in (200, 422) and time.process_time() - began < 3


def test_every_kind_of_field_comes_out_as_its_type(
    house: House, odd: Hostile, at: Callable[..., Person]
) -> None:
    properties = {
        "text": {"type": "string"},
        "whole": {"type": "integer"},
        "part": {"type": ["number", "null"]},
        "flag": {"type": "boolean"},
        "pick": {"enum": [1, "1", None]},
        "const": {"oneOf": [{"const": "a", "title": "The A"}, {"const": "b"}]},
        "many": {"type": "array", "items": {"type": "integer"}},
        "deep": {"type": "object", "properties": {"x": {"type": "integer"}}},
        "maybe": {"anyOf": [{"$ref": "#/$defs/Colour"}, {"type": "null"}], "default": None},
        "left": {"type": "string"},
        "date": {"type": "string", "format": "date"},
    }
    schema = {"type": "object", "properties": properties, "$defs": {"Colour": {"enum": ["red", "blue"]}}}
    person = at(odd.offers(schema))
    assert 'type="date"' in person.html and "The A" in person.text
    sent = {"text": "a\nb", "whole": "7", "part": "1.5", "flag": "false", "pick": '"1"', "const": '"b"',
            "many": "1\n\n2\n", "deep": '{"x": 3}', "maybe": '"blue"', "date": "2026-11-23"}  # fmt: skip
    assert person.send(**sent).status_code == 200
    kept = json.loads(newest(house).details)["arguments"]
    assert kept == {
        "text": "a\nb", "whole": 7, "part": 1.5, "flag": False, "pick": "1", "const": "b", "many": [1, 2],
        "deep": {"x": 3}, "maybe": "blue", "date": "2026-11-23",
    }  # fmt: skip
    person.send(**(sent | {"many": "1\nx", "deep": '{"x": "no"}', "pick": "9"}))
    assert "“many” line 2: “x” must be a whole number" in person.text
    assert "“pick” must be one of those" in person.text


@pytest.mark.parametrize(
    ("part", "seen", "unseen"),
    [
        ({"type": "text", "text": NASTY}, "alert(1)", "<script>alert"),
        ({"type": "text", "text": "x" * 1_000_000}, "980,000 more characters", "x" * 20_001),
        ({"type": "image", "mimeType": "image/png", "data": PIXEL}, 'src="data:image/png;base64,', "too large"),
        ({"type": "image", "mimeType": "image/svg+xml", "data": PIXEL}, "not shown here", DATA),
        ({"type": "image", "mimeType": "image/png", "data": base64.b64encode(b"<svg").decode()}, "not shown", DATA),
        ({"type": "image", "mimeType": "image/png", "data": "%%%"}, "broken", DATA),
        ({"type": "image", "mimeType": "image/png", "data": PIXEL + "A" * 4_000_000}, "too large", DATA),
        ({"type": "resource_link", "uri": "javascript:x()", "name": NASTY}, "javascript:x()", 'href="javascript'),
        ({"type": "resource_link", "uri": "https://bank.example@evil.example/"}, "evil.example", 'href="https://bank'),
        ({"type": "resource_link", "uri": "https://docs.example/a"}, 'href="https://docs.example/a" rel="noop', NASTY),
        ({"type": "resource", "resource": {"uri": "file:///etc/passwd", "blob": PIXEL}}, "A file", 'href="file'),
        ({"type": "mystery", "html": NASTY}, "does not know", "<script>alert"),
        (7, "does not know", "<script>alert"),
    ],
)  # fmt: skip
def test_results_are_shown_and_do_nothing(
    odd: Hostile, at: Callable[..., Person], part: Any, seen: str, unseen: str
) -> None:
    person = at(odd.offers({"type": "object"}, {"content": [part]}))
    assert person.send().status_code == 200
    assert seen in unescape(person.html) and unseen not in person.html


def test_structured_content_is_shown_once_and_an_endless_answer_in_part(
    odd: Hostile, at: Callable[..., Person]
) -> None:
    same = {"b": [1, 2]}
    answer = {
        "content": [{"type": "text", "text": json.dumps(same)}],
        "structuredContent": same,
        "isError": True,
    }
    person = at(odd.offers({"type": "object"}, answer))
    person.send()
    assert person.html.count("&#34;b&#34;") == 1 and "the tool reported an error" in person.text
    person = at(odd.offers({"type": "object"}, {"content": [{"type": "text", "text": "t"}] * 5000}))
    person.send()
    assert "4,950 more parts" in person.text


def test_a_server_that_is_gone_is_told_as_an_agent_would_be(
    house: House, odd: Hostile, at: Callable[..., Person]
) -> None:
    name = odd.offers({"type": "object"})

    async def hangs_up(ask: Ask) -> Answer | None:
        await ask.hang_up()
        return None

    odd.farm.put(legacy(({"name": "get_thing", "inputSchema": {"type": "object"}},), tools_call=hangs_up))
    person = at(name)
    assert person.send().status_code == 200 and "failed" in person.text
    assert newest(house).outcome == "failed"


def test_a_tool_that_is_gone_can_not_be_tried(house: House, odd: Hostile, at: Callable[..., Person]) -> None:
    name = odd.offers({"type": "object"})
    house.do(
        lambda: Tool.update(missing_since=Tool.first_seen_at).where(Tool.catalogue_name == name).execute()
    )
    assert "gone from its server" in at(name).text
    assert house.do(lambda: tools.by_catalogue_name(name)).policy == "auto"
