"""Which read shows what a write would change: by names and schemas alone, and rather none than a wrong one."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from webapp.services.approvals.counterparts import Shape, counterpart
from webapp.services.approvals.wording import in_words

CORPUS = Path(__file__).resolve().parents[3] / "shared/corpus/tools-dev.jsonl"


def tool(name: str, *properties: str, required: str = "", **types: str) -> Shape:
    return Shape(name, dict.fromkeys(properties, "") | types, frozenset(required.split()))


@pytest.mark.parametrize(("write", "read", "arguments"), [
    (tool("update_ticket", "ticket_id", "status"), tool("get_ticket", "ticket_id"), {"ticket_id": "ticket_id"}),
    (tool("delete_ticket", "ticket_id"), tool("get_ticket", "id", required="id"), {"id": "ticket_id"}),
    (tool("updateTicket", "id", "status"), tool("getTicketById", "ticketId"), {"ticketId": "id"}),
    (tool("tickets.update", "id", "status"), tool("tickets.get", "id"), None),  # "tickets.get" may be all of them
    (tool("ticket_update", "id", "status"), tool("ticket_get", "id"), {"id": "id"}),
    (tool("add_ticket_note", "ticket_id", "text"), tool("get_ticket", "ticket_id"), {"ticket_id": "ticket_id"}),
    (tool("jira_update_issue", "issueKey", "f"), tool("jira_get_issue", "issueKey"), {"issueKey": "issueKey"}),
    (tool("update_issue", "owner", "repo", "issue_number", "title"),
     tool("get_issue", "owner", "repo", "issue_number", required="owner repo issue_number"),
     {"owner": "owner", "repo": "repo", "issue_number": "issue_number"}),
    (tool("restart_device", "device_id", "when"), tool("describe_device", "device_id"), {"device_id": "device_id"}),
])  # fmt: skip
def test_the_read_of_the_same_thing_is_found(
    write: Shape, read: Shape, arguments: dict[str, str] | None
) -> None:
    found = counterpart(write, [tool("list_all", "page"), read])
    assert (dict(found.arguments) if found else None) == arguments


@pytest.mark.parametrize(("write", "read"), [
    (tool("update_ticket", "ticket_id"), tool("get_device", "device_id")),
    (tool("update_ticket", "ticket_id"), tool("list_tickets", "ticket_id")),
    (tool("update_ticket", "ticket_id"), tool("get_tickets", "ticket_id")),
    (tool("update_ticket", "ticket_id"), tool("get_ticket", "ticket_id", "tenant_key", required="tenant_key")),
    (tool("update_ticket", ticket_id="integer"), tool("get_ticket", ticket_id="string")),
    (tool("update_ticket", "status"), tool("get_ticket", "ticket_id")),
    (tool("create_ticket", "id", "summary"), tool("get_ticket", "id")),
    (tool("delete_site_page", "site_id", "page_id"), tool("get_site", "site_id")),
    (tool("update_release_stage", "id"), tool("get_release", "id")),
    (tool("gеt_ticket_done", "ticket_id"), tool("get_ticket", "ticket_id")),  # a Cyrillic е
])  # fmt: skip
def test_another_thing_or_an_unsure_one_is_not(write: Shape, read: Shape) -> None:
    assert counterpart(write, [read]) is None


def test_the_closest_read_wins() -> None:
    reads = [tool("get_ticket", "ticket_id"), tool("get_ticket_note", "ticket_id", "note_id")]
    found = counterpart(tool("update_ticket_note", "ticket_id", "note_id", "text"), reads)
    assert found and found.read == "get_ticket_note"


@pytest.mark.parametrize(
    "schema", [None, [], {"properties": []}, {"properties": {"id": 3}, "required": "id"}]
)
def test_an_odd_schema_harms_nothing(schema: Any) -> None:
    assert counterpart(Shape.of("update_ticket", schema), [Shape.of("get_ticket", schema)]) is None or schema


def test_on_real_tools_it_finds_a_third_and_only_reads_that_are_given_an_id() -> None:
    if not CORPUS.exists():
        pytest.skip("the corpus of real tools is not here")
    servers: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in CORPUS.read_text().splitlines():
        one = json.loads(line)
        servers[one["server"]].append(one)
    writes = found = 0
    for tools in servers.values():
        reads = [_shape(one) for one in tools if one["label"] == "read"]
        for write in (_shape(one) for one in tools if one["label"] == "write"):
            writes += 1
            if match := counterpart(write, reads):
                found += 1
                assert match.arguments and set(match.arguments.values()) <= set(write.properties)
    assert found / writes > 0.28


def _shape(one: dict[str, Any]) -> Shape:
    return Shape(one["name"], dict.fromkeys(one["inputSchema_keys"] or [], ""))


@pytest.mark.parametrize(("name", "arguments", "words"), [
    ("update_ticket", {"status": "open", "ticket_id": "T-1042"}, "update ticket T-1042"),
    ("sendInvoice", {"invoiceNumber": 7, "urgent": True}, "send invoice 7"),
    ("delete-all", {}, "delete all"),
    ("update_ticket", {"ticket_id": "x" * 100}, "update ticket"),
    ("löschen", {"id": 1}, "löschen 1"),
])  # fmt: skip
def test_a_call_in_words(name: str, arguments: dict[str, Any], words: str) -> None:
    assert in_words(name, arguments) == words
