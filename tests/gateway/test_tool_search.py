"""Tool search: two tools stand for all others, and what is called through them is called in every way as before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import MCPError

from tests.gateway.test_approvals import NOTE, ask, waiting
from tests.gateway.test_calls import done
from tests.house import House, modern_meta, text_of, token_in
from tests.services.farm import Farm, farm, tool
from tests.upstream.zoo import Answer, Ask, modern, result
from tests.waiting import until
from webapp.services.agent_errors import ABOUT
from webapp.store.models import Agent, Integration

AGENTS = "/settings/agents"
SEARCH, CALL = "gatehouse__search_tools", "gatehouse__call_tool"
AWAIT = ["gatehouse__await_approval", "gatehouse__my_approvals"]
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META = modern_meta({"elicitation": {}})
ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])


def choose(house: House, name: str, setting: str, above: int = 60) -> None:
    """On the agent's page, as an admin does it."""
    number = house.do(lambda: Agent.get(Agent.name == name).id)
    with house.browser() as http:
        token = token_in(http.get(f"{AGENTS}/{number}").text)
        form = {"csrf_token": token, "tool_search": setting, "tool_search_above": str(above)}
        assert http.post(f"{AGENTS}/{number}/tool-search", data=form).status_code == 200


@pytest.fixture(scope="module")
def seeker(house: House) -> str:
    key = house.agent("seeker")
    choose(house, "seeker", "on")
    return key


def names(house: House, key: str, path: str = "/mcp", mode: str = "legacy") -> list[str]:
    async def journey() -> list[str]:
        async with house.client(key, path=path, mode=mode) as client:
            return [one.name for one in (await client.list_tools()).tools]

    return asyncio.run(journey())


def search(house: House, key: str, query: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = house.call(key, SEARCH, {"query": query} | more)["result"]
    return found


def found(house: House, key: str, query: str, **more: Any) -> list[str]:
    return [one["name"] for one in search(house, key, query, **more)["structuredContent"]["tools"]]


def through(house: House, key: str, name: object, arguments: object) -> dict[str, Any]:
    return house.call(key, CALL, {"name": name, "arguments": arguments})


def last(house: House) -> dict[str, Any]:
    return house.listed("activity", "--limit", "1")[0]


# --- what is listed


@ERAS
def test_two_agents_see_what_was_chosen_for_each(house: House, key: str, seeker: str, mode: str) -> None:
    assert names(house, seeker, mode=mode) == [SEARCH, CALL, *AWAIT]
    full = names(house, key, mode=mode)
    assert "desk__get_ticket" in full and SEARCH not in full and CALL not in full


def test_a_change_holds_from_the_next_list_on(house: House) -> None:
    key = house.agent("wavering")
    assert "desk__get_ticket" in names(house, key)
    choose(house, "wavering", "on")
    assert names(house, key) == [SEARCH, CALL, *AWAIT]
    choose(house, "wavering", "off")
    assert "desk__get_ticket" in names(house, key)


def test_automatic_counts_what_the_agent_may_call(house: House) -> None:
    key = house.agent("automatic")
    offered = len(names(house, key)) - len(AWAIT)  # these are not counted
    choose(house, "automatic", "auto", offered)
    assert "desk__get_ticket" in names(house, key)
    choose(house, "automatic", "auto", offered - 1)
    assert SEARCH in names(house, key)
    house.run("set-policy", "mcp:desk:list_devices", "disabled")
    assert SEARCH not in names(house, key)
    house.run("set-policy", "mcp:desk:list_devices", "auto")


def test_the_search_says_where_there_is_something_to_find(house: House, seeker: str) -> None:
    limited = house.agent("searching limited", "--only", "network")
    choose(house, "searching limited", "on")
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for_all = house.post(message, seeker).json()["result"]["tools"][0]
    for_one = house.post(message, limited).json()["result"]["tools"][0]
    assert "desk (" in for_all["description"] and "network (" in for_all["description"]
    assert "desk" not in for_one["description"] and "server" not in for_one["inputSchema"]["properties"]


# --- what is found


@ERAS
def test_a_client_finds_and_calls(house: House, seeker: str, mode: str) -> None:
    async def journey() -> None:
        async with house.client(seeker, mode=mode) as client:
            listed = {one.name: one for one in (await client.list_tools()).tools}
            assert listed[SEARCH].annotations and listed[SEARCH].annotations.read_only_hint
            answer = await client.call_tool(SEARCH, {"query": "read one ticket"})
            best = answer.structured_content["tools"][0]
            assert best["name"] == "desk__get_ticket" and "ticket_id" in best["inputSchema"]["properties"]
            arguments = {"name": best["name"], "arguments": {"ticket_id": "T-1041"}}
            ticket = await client.call_tool(CALL, arguments)
            assert not ticket.is_error and ticket.structured_content["id"] == "T-1041"
            directly = await client.call_tool("desk__get_ticket", {"ticket_id": "T-1041"})
            assert directly.structured_content == ticket.structured_content

    asyncio.run(journey())


def test_what_is_found_is_what_the_list_would_say(house: House, key: str, seeker: str) -> None:
    listing = house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, key).json()["result"]["tools"]
    listed = {one["name"]: one for one in listing}
    answer = search(house, seeker, "ticket", limit=20)
    assert json.loads(answer["content"][0]["text"]) == answer["structuredContent"]
    tools = answer["structuredContent"]["tools"]
    policies = {row["catalogue_name"]: row["policy"] for row in house.listed("tools")}
    assert len(tools) > 5
    for one in tools:
        assert {key: one[key] for key in ("title", "description", "inputSchema")} == {
            key: listed[one["name"]][key] for key in ("title", "description", "inputSchema")
        }
        assert one["needsApproval"] is (policies[one["title"]] == "approval")


def test_disabled_and_forbidden_tools_are_never_found(house: House, seeker: str) -> None:
    limited = house.agent("kept out", "--only", "network")
    assert "desk__list_devices" in found(house, seeker, "list devices", limit=20)
    house.run("set-policy", "mcp:desk:list_devices", "disabled")
    assert "desk__list_devices" not in found(house, seeker, "list devices", limit=20)
    house.run("set-policy", "mcp:desk:list_devices", "auto")
    assert not [name for name in found(house, limited, "ticket device", limit=20) if "desk" in name]
    nowhere = search(house, limited, "tickets", server="desk")
    unknown = search(house, limited, "tickets", server="dusk")
    assert nowhere["isError"] and text_of({"result": nowhere}).replace("desk", "dusk") == text_of(
        {"result": unknown}
    )


def test_a_search_can_be_kept_to_one_server_and_a_number(house: House, seeker: str) -> None:
    assert all(name.startswith("network__") for name in found(house, seeker, "look up", server="network"))
    assert len(found(house, seeker, "ticket", limit=2)) == 2
    assert len(found(house, seeker, "ticket")) == 5
    for odd in (0, -3, "many", None, 1e300, True):
        assert 1 <= len(found(house, seeker, "ticket", limit=odd)) <= 20


@pytest.mark.parametrize("query", [None, "", "  ", 5, ["ticket"], {}])
def test_a_search_for_nothing_says_what_to_do(house: House, seeker: str, query: object) -> None:
    answer = house.call(seeker, SEARCH, {"query": query})["result"]
    assert answer["isError"] and "plain words" in answer["content"][0]["text"]


def test_nothing_found_is_no_error(house: House, seeker: str) -> None:
    answer = search(house, seeker, "xylophone 🦆")
    assert not answer.get("isError") and answer["structuredContent"]["tools"] == []
    assert "other words" in answer["structuredContent"]["next"]


def test_a_new_tool_is_found_at_once(house: House, seeker: str) -> None:
    with farm() as servers:
        servers.put(modern((tool("get_zebra"),)))
        house.run("add-server", servers.url(), "--name", "zoo", "--allow-private")
        assert found(house, seeker, "zebra") == ["zoo__get_zebra"]
        title = house.do(lambda: str(Integration.get(Integration.name == "zoo").title))
        assert title != "zoo" and found(house, seeker, title)[0] == "zoo__get_zebra"
        servers.put(modern((tool("get_giraffe"),)))
        house.run("sync", "zoo")
        assert found(house, seeker, "giraffe") == ["zoo__get_giraffe"] and found(house, seeker, "zebra") == []
        house.run("disconnect", "zoo")
        assert found(house, seeker, "giraffe") == []


# --- what is called


def test_a_result_and_its_row_are_the_tools_own(house: House, seeker: str) -> None:
    ticket = {"ticket_id": "T-1042"}
    directly = house.call(seeker, "desk__get_ticket", ticket)
    assert through(house, seeker, "desk__get_ticket", ticket)["result"] == directly["result"]
    row, before = house.listed("activity", "--limit", "2")
    assert (row["tool"], row["outcome"]) == ("mcp:desk:get_ticket", "ok")
    assert {key: row[key] for key in ("tool", "outcome", "actor", "policy") if key in row} == {
        key: before[key] for key in ("tool", "outcome", "actor", "policy") if key in before
    }
    by_catalogue_name = through(house, seeker, "mcp:desk:get_ticket", ticket)
    assert by_catalogue_name["result"] == directly["result"]


def test_a_tools_own_error_comes_back_as_it_is(house: House, seeker: str) -> None:
    wrong = {"ticket_id": "T-9999"}
    directly = house.call(seeker, "desk__get_ticket", wrong)
    assert through(house, seeker, "desk__get_ticket", wrong)["result"] == directly["result"]
    assert directly["result"]["isError"]


@pytest.mark.parametrize("name", ["desk__no_such_tool", CALL, "", None, 5, ["x"]])
def test_a_refusal_is_on_record_under_the_name_that_was_meant(
    house: House, seeker: str, name: object
) -> None:
    answer = through(house, seeker, name, {"password": "canary-2"})
    assert answer["error"]["code"] == -32602
    row = last(house)
    assert (row["tool"], row["outcome"]) == (str(name), "refused") and "canary-2" not in str(row)


def test_disabled_and_forbidden_are_refused_as_unknown(house: House, practice: str, seeker: str) -> None:
    limited = house.agent("refused", "--only", "network")
    house.run("set-policy", "mcp:desk:restart_device", "disabled")
    device = {"device_id": "HD-PR-002", "when": "now"}
    disabled = through(house, seeker, "desk__restart_device", device)
    assert (last(house)["tool"], last(house)["outcome"]) == ("mcp:desk:restart_device", "refused")
    house.run("set-policy", "mcp:desk:restart_device", "auto")
    forbidden = through(house, limited, "desk__restart_device", device)
    house.run("set-policy", "mcp:desk:restart_device", "approval")
    assert disabled["error"] == forbidden["error"] and disabled["error"]["message"].startswith("Unknown tool")
    assert done(practice, "restart_device") == 0


@pytest.mark.parametrize("arguments", ["{}", 5, [], None])
def test_arguments_that_are_no_object_are_refused(house: House, seeker: str, arguments: object) -> None:
    assert through(house, seeker, "desk__get_ticket", arguments)["error"]["code"] == -32602


def test_without_arguments_is_with_none(house: House, seeker: str) -> None:
    assert "error" not in house.call(seeker, CALL, {"name": "desk__list_tickets"})
    assert house.call(seeker, CALL, {})["error"]["code"] == -32602
    assert house.call(seeker, CALL)["error"]["code"] == -32602


def test_a_write_waits_and_meets_the_same_approval_by_either_way(
    house: House, practice: str, seeker: str
) -> None:
    for row in waiting(house):
        house.run("decide", row["id"], "deny")
    waits = through(house, seeker, "desk__add_ticket_note", NOTE)["result"]
    approval = waits["structuredContent"]["approval_id"]
    assert waits["isError"] and ask(house, seeker) == approval
    assert [row["id"] for row in waiting(house)] == [approval]
    house.run("decide", approval, "approve")
    until(lambda: done(practice, "add_ticket_note") == 1)
    kept = through(house, seeker, AWAIT[0], {"approval_id": approval})["result"]
    assert not kept.get("isError") and done(practice, "add_ticket_note") == 1


@ERAS
def test_progress_comes_through(house: House, seeker: str, mode: str) -> None:
    async def journey() -> None:
        heard: list[float] = []

        async def listen(progress: float, total: float | None, message: str | None) -> None:
            heard.append(progress)

        async with house.client(seeker, mode=mode) as client:
            arguments = {
                "name": "desk__run_diagnostics",
                "arguments": {"device_id": "HD-PR-002", "seconds": 1},
            }
            answer = await client.call_tool(CALL, arguments, progress_callback=listen)
            assert not answer.is_error and len(heard) > 1

    house.run("set-policy", "mcp:desk:run_diagnostics", "auto")
    asyncio.run(journey())


@pytest.fixture
def asking_back(house: House) -> Iterator[Farm]:
    """A server of 2026-07-28 whose tool asks for a name before it answers."""

    async def call(ask: Ask) -> Answer:
        params = ask.message["params"]
        if "inputResponses" not in params:
            wanted = {"who": {"method": "elicitation/create", "params": {"message": "Who?", "mode": "form"}}}
            return result(
                ask, {"resultType": "input_required", "inputRequests": wanted, "requestState": "s1"}
            )
        said = f"{params['requestState']} {params['inputResponses']['who']['content']['name']}"
        return result(ask, {"content": [{"type": "text", "text": said}]})

    with farm() as servers:
        servers.put(modern((tool("get_greeting"),), tools_call=call))
        house.run("add-server", servers.url(), "--name", "asking", "--allow-private")
        yield servers
        house.run("disconnect", "asking")


def test_a_question_back_and_its_answer_come_through(house: House, seeker: str, asking_back: Farm) -> None:
    params: dict[str, Any] = {"name": CALL, "arguments": {"name": "asking__get_greeting"}, "_meta": META}

    def post(**more: Any) -> dict[str, Any]:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params | more}
        headers = {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/call", "mcp_name": CALL}
        answer: dict[str, Any] = house.post(message, seeker, **headers).json()["result"]
        return answer

    asked = post()
    assert asked["resultType"] == "input_required" and "who" in asked["inputRequests"]
    reply = {"who": {"action": "accept", "content": {"name": "Ann"}}}
    assert post(inputResponses=reply, requestState=asked["requestState"])["content"][0]["text"] == "s1 Ann"


def test_what_a_program_never_said_it_can_be_asked_it_is_not_asked(
    house: House, seeker: str, asking_back: Farm
) -> None:
    """And the server is told of no extension: Gatehouse has none, so what comes with one could not be used."""
    told = {"sampling": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}}
    params = {"name": CALL, "arguments": {"name": "asking__get_greeting"}}
    meta = {"_meta": META | {CAPABILITIES: told}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params | meta}
    headers = {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/call", "mcp_name": CALL}
    reply = house.post(message, seeker, **headers)
    refusal = reply.json()["error"]
    assert (reply.status_code, refusal["code"]) == (400, -32021)
    assert refusal["data"]["requiredCapabilities"] == {"elicitation": {"form": {}}}
    assert refusal["data"][ABOUT]["kind"] == "needs_input"
    assert asking_back.zoo.asked[-1].params["_meta"][CAPABILITIES] == {"sampling": {}}


def test_one_server_alone_is_searched_under_its_own_names(house: House, seeker: str) -> None:
    assert names(house, seeker, "/mcp/s/desk") == [SEARCH, CALL, *AWAIT]

    async def journey() -> None:
        async with house.client(seeker, path="/mcp/s/desk") as client:
            answer = await client.call_tool(SEARCH, {"query": "read one ticket", "limit": 20})
            tools = [one["name"] for one in answer.structured_content["tools"]]
            assert tools[0] == "get_ticket" and not any("lookup" in name for name in tools)
            call = {"name": "get_ticket", "arguments": {"ticket_id": "T-1041"}}
            assert not (await client.call_tool(CALL, call)).is_error
            with pytest.raises(MCPError, match="Unknown tool"):
                await client.call_tool(CALL, {"name": "network__lookup_dns", "arguments": {}})

    asyncio.run(journey())
