"""What comes through the door of /mcp byte by byte: slow bodies, text that is none, numbers that are none."""

from __future__ import annotations

import json
import socket
import uuid
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.house import House


def posted(house: House, key: str, body: bytes, **headers: str) -> httpx2.Response:
    sent = {"authorization": f"Bearer {key}", "content-type": "application/json"} | headers
    return httpx2.post(f"{house.url}/mcp", content=body, headers=sent, timeout=60, trust_env=False)


def called(name: str, arguments: str) -> bytes:
    """A tools/call whose arguments are written down as they are."""
    return (
        '{"jsonrpc":"2.0","id":1,"method":"tools/call",'
        f'"params":{{"name":"{name}","arguments":{arguments}}}}}'
    ).encode()


def in_two_pieces(house: House, key: str, between: Any) -> bytes:
    """The answer to a call whose body stops half-way until `between` is done."""
    place, body = urlsplit(house.url), called("desk__list_tickets", "{}")
    head = [
        "POST /mcp HTTP/1.1",
        f"Host: {place.netloc}",
        f"Authorization: Bearer {key}",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
        "Connection: close",
    ]
    with socket.create_connection((str(place.hostname), place.port), timeout=60) as line:
        line.sendall("\r\n".join([*head, "", ""]).encode())
        assert b"100 Continue" in line.recv(1000)  # the head has been looked at
        line.sendall(body[:10])
        between()
        line.sendall(body[10:])
        answer = b""
        while piece := line.recv(65536):
            answer += piece
    return answer


def test_a_key_revoked_while_the_body_came_is_revoked(house: House) -> None:
    name = f"slow {uuid.uuid4().hex[:8]}"
    key = house.agent(name)
    assert b" 200 OK" in in_two_pieces(house, key, lambda: None)
    assert b" 401 " in in_two_pieces(house, key, lambda: house.run("revoke-agent", name))


def test_a_tool_disabled_while_the_body_came_is_disabled(house: House, key: str) -> None:
    answer = in_two_pieces(house, key, lambda: house.run("set-policy", "mcp:desk:list_tickets", "disabled"))
    house.run("set-policy", "mcp:desk:list_tickets", "auto")
    assert b"Unknown tool" in answer


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\uDFFFb"', '{"\\udc00": 1}', "1e400", "-1e999"])
def test_what_is_no_text_or_number_is_refused_before_anything_runs(
    house: House, practice: str, key: str, text: str
) -> None:
    before = httpx2.get(f"{practice}/state", timeout=60, trust_env=False).json()["calls"]
    reply = posted(house, key, called("desk__search_tickets", f'{{"query": {text}}}'))
    assert reply.status_code == 400 and reply.json()["error"]["code"] == -32700
    assert httpx2.get(f"{practice}/state", timeout=60, trust_env=False).json()["calls"] == before


def test_whole_pairs_of_surrogates_are_text(house: House, key: str) -> None:
    reply = posted(house, key, called("desk__search_tickets", '{"query": "\\ud83d\\ude00 \\\\ud800"}'))
    assert "result" in reply.json()
    assert "😀" in json.dumps(house.listed("activity", "--limit", "1"), ensure_ascii=False)


def test_odd_values_where_another_kind_is_due_are_plain_refusals(house: House, key: str) -> None:
    wait = posted(
        house,
        key,
        called("gatehouse__await_approval", f'{{"approval_id": "x", "wait_seconds": 1{"0" * 400}}}'),
    )
    assert "no approval" in wait.json()["result"]["content"][0]["text"]
    assert posted(house, key, called("desk__list_tickets", "{}"), origin="http://[").status_code == 403
