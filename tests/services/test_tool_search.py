"""Ranking of tools by plain words: a pure function of what the tools say about themselves."""

from __future__ import annotations

import time

import pytest

from tests import corpus, finding
from webapp.services.tool_search import Described, Index, described, words
from webapp.services.wording import SYNONYMS, stem

DESK = [
    Described("create_ticket", "halopsa", description="Create a new ticket."),
    Described(
        "get_ticket", "halopsa", description="Get one ticket with its notes.", wire_name="h__get_ticket"
    ),
    Described("delete_ticket", "halopsa", description="Delete a ticket for ever."),
    Described("list_clients", "halopsa", description="List the clients."),
    Described("sendMail", "m365", title="Send a mail", description="Sends a message to somebody."),
    Described("run", "rmm", description="Runs a script on an endpoint.", parameters=("device_id", "script")),
    Described(
        "manage", "rmm", description="Does many things.", parameters=("action", "restart", "wakeonlan")
    ),
    Described("search_passwords", "itglue", description="Find stored credentials."),
]


def best(query: str, tools: list[Described] = DESK, limit: int = 3) -> list[str]:
    return [tools[number].name for number in Index(tools).search(query, limit)]


@pytest.mark.parametrize(("query", "wanted"), [
    ("create a ticket", "create_ticket"), ("open a ticket for a client", "create_ticket"),
    ("remove this case", "delete_ticket"), ("show me the incident", "get_ticket"),
    ("all customers", "list_clients"), ("which companies are there", "list_clients"),
    ("email a contact", "sendMail"), ("execute something on this computer", "run"),
    ("wakeonlan", "manage"), ("the password in IT Glue", "search_passwords"),
    ("get_ticket", "get_ticket"), ("H__get_ticket", "get_ticket"), ("GET_TICKET", "get_ticket"),
    ("creating tickets", "create_ticket"), ("halo clients", "list_clients"),
])  # fmt: skip
def test_the_tool_for_it_comes_first(query: str, wanted: str) -> None:
    assert best(query)[0] == wanted


@pytest.mark.parametrize(("cut", "whole"), [
    ("turn it off", "turn off"), ("sign them out everywhere", "sign out everywhere"), ("look this up", "look up"),
])  # fmt: skip
def test_a_verb_that_its_object_cuts_in_two_means_the_same(cut: str, whole: str) -> None:
    assert words(cut) == words(whole)
    assert words("turn tickets off") != words("turn off"), "a thing is no word for nothing"


def test_a_change_that_nobody_asked_for_comes_later() -> None:
    assert best("ticket")[0] == "get_ticket"


def test_the_name_of_a_server_chooses_among_equals() -> None:
    both = [Described("create_issue", "jira"), Described("create_issue", "github")]
    assert Index(both).search("create an issue in GitHub", 5)[0] == 1


@pytest.mark.parametrize("query", ["", "   ", "the of in", "🦆", "zzzzqqqq", "\x00", "__", "💡" * 500])
def test_what_says_nothing_finds_nothing_and_breaks_nothing(query: str) -> None:
    assert best(query) == []


def test_only_what_may_be_found_is_found() -> None:
    found = Index(DESK).search("ticket", 10, among={0, 2})
    assert sorted(found) == [0, 2]
    assert Index(DESK).search("ticket", 10, among=set()) == []


def test_the_limit_holds_and_equals_keep_their_order() -> None:
    many = [Described(f"get_thing_{letter}", "s") for letter in "abcdef"]
    assert Index(many).search("get thing", 4) == [0, 1, 2, 3]


def test_no_tools_no_finds() -> None:
    assert Index([]).search("create a ticket", 5) == []


def test_a_very_long_question_is_cut_not_refused() -> None:
    assert best("create a ticket " + "please " * 100_000)[0] == "create_ticket"


@pytest.mark.parametrize("definition", [
    {}, {"title": None, "description": None, "inputSchema": None}, {"inputSchema": {"properties": []}},
    {"annotations": [], "inputSchema": {"properties": {"a": True, "b": {"enum": "x"}, "c": {"enum": [1, None]}}}},
    {"title": 5, "description": ["x"], "inputSchema": []},
])  # fmt: skip
def test_odd_definitions_are_indexed_all_the_same(definition: dict[str, object]) -> None:
    assert Index([described("get_duck", "pond", definition)]).search("duck", 1) == [0]


def test_parameters_and_the_values_they_offer_count() -> None:
    schema = {"properties": {"mode": {"enum": ["hibernate", "wake"]}, "mailbox": {}}}
    index = Index([described("do", "s", {"inputSchema": schema}), described("else", "s", {})])
    assert index.search("hibernate", 2) == [0] and index.search("mailbox", 2) == [0]


def test_names_are_cut_where_people_would() -> None:
    assert words("createTicket") == [stem("createTicket".lower()), "creat", "ticket"]
    assert words("list-k8s_pods") == ["list", "k8s", "pod"]
    assert words("sign in") == words("log in") == words("login")


@pytest.mark.parametrize("family", [
    "create creates created creating creation", "delete deletes deleted deleting deletion",
    "ticket tickets", "company companies", "assign assigns assigned assigning assignment",
    "organisation organization organisations", "install installs installed installing",
    "stop stops stopped stopping", "patch patches patched",
])  # fmt: skip
def test_forms_of_a_word_are_one(family: str) -> None:
    assert len({stem(word) for word in family.split()}) == 1


@pytest.mark.parametrize("two", ["notion note", "user use", "status state", "message mess", "action act"])
def test_different_words_stay_apart(two: str) -> None:
    one, other = two.split()
    assert stem(one) != stem(other)


def test_synonyms_work_both_ways() -> None:
    assert all(word in SYNONYMS[other] for word, others in SYNONYMS.items() for other in others)


def test_real_tools_are_found() -> None:
    """The figures are in make corpus; here they must not fall."""
    if not corpus.DEFAULT.is_file():
        pytest.skip(f"the labelled tools are not here: {corpus.DEFAULT}")
    searched = finding.search(corpus.load(corpus.DEFAULT))
    assert len(searched) == 100 and sum(one.task.held_back for one in searched) == 30
    assert finding.hits(searched, 1) >= 70
    assert finding.hits(searched, 5) >= 90


def test_a_search_of_2500_tools_is_quick() -> None:
    deeds, things = ("get", "list", "create", "update", "delete"), [f"thing{n}" for n in range(500)]
    many = [
        Described(f"{deed}_{thing}", "s", description=f"{deed} one {thing} of a client, by its id.")
        for thing in things
        for deed in deeds
    ]
    index = Index(many)

    def took() -> float:
        start = time.process_time()
        assert many[index.search("create a thing77 for a customer", 5)[0]].name == "create_thing77"
        return time.process_time() - start

    assert min(took() for _ in range(5)) < 0.05  # usually 0.003; a wide margin, only to notice a scan
