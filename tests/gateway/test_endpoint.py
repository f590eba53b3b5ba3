"""The door itself: keys, hosts, origins, odd bodies. Refusals are as exact as answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.house import House, modern_meta
from tests.services.farm import Farm, farm, tool
from tests.upstream.zoo import legacy, modern

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
MODERN = modern_meta()


@pytest.mark.parametrize("authorization", [
    None, "", "Bearer", "Bearer garbage", "Bearer gh_12345678", "Basic Z2g6eA==", "bearer  {key}",
    "Bearer {key}x", "Bearer {short}", "{key}", "Token {key}", "Bearer {key} {key}", "Bearer ünï",
])  # fmt: skip
def test_anything_but_a_whole_key_is_401(house: House, key: str, authorization: str | None) -> None:
    headers: dict[str, Any] = {}
    if authorization is not None:
        headers["authorization"] = authorization.format(key=key, short=key[:-1]).encode("latin-1")
    for method in ("ping", "initialize", "tools/list", "tools/call"):
        reply = httpx2.post(
            f"{house.url}/mcp", json=PING | {"method": method}, headers=headers, timeout=60, trust_env=False
        )
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")


def test_a_browser_session_is_no_key(house: House) -> None:
    with house.browser() as http:
        assert http.get("/").status_code == 200
        assert http.post("/mcp", json=PING).status_code == 401


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "gatehouse@evil.test", "[::2]:8000"])
def test_a_foreign_host_is_refused(house: House, key: str, host: str) -> None:
    assert house.post(PING, key, host=host).status_code == 400


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "http://127.0.0.1:1"])
def test_a_foreign_origin_is_refused(house: House, key: str, origin: str) -> None:
    assert house.post(PING, key, origin=origin).status_code == 403


def test_our_own_origin_passes(house: House, key: str) -> None:
    assert house.post(PING, key, origin=house.url).json()["result"] == {}


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_only_post_is_served(house: House, key: str, method: str) -> None:
    reply = httpx2.request(
        method, f"{house.url}/mcp", headers={"authorization": f"Bearer {key}"}, timeout=60, trust_env=False
    )
    assert reply.status_code == 405 and reply.headers["allow"] == "POST"


@pytest.mark.parametrize(("body", "code"), [
    (b"", -32700), (b"{", -32700), (b"\xff\xfe", -32700), (b"[" * 100_000, -32700), (b'{"a": NaN}', -32700),
    (b"[]", -32600), (b'"x"', -32600), (b"{}", -32600), (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
    (b'{"jsonrpc":"2.0","id":1}', -32600), (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
    (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600), (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
    (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
])  # fmt: skip
def test_odd_bodies_get_a_json_rpc_error(house: House, key: str, body: bytes, code: int) -> None:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    reply = httpx2.post(f"{house.url}/mcp", content=body, headers=headers, timeout=60, trust_env=False)
    assert reply.status_code == 400 and reply.json()["error"]["code"] == code


def test_a_body_over_the_limit_is_413(house: House, key: str) -> None:
    reply = house.post(PING | {"params": {"x": "y" * 5_000_000}}, key)
    assert reply.status_code == 413


def test_notifications_are_taken_in_silence(house: House, key: str) -> None:
    reply = house.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, key)
    assert reply.status_code == 202 and reply.content == b""


def test_initialize_answers_the_version_asked_for_or_the_newest(house: House, key: str) -> None:
    def negotiated(version: str) -> str:
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        return str(house.post(message, key).json()["result"]["protocolVersion"])

    assert negotiated("2025-03-26") == "2025-03-26"
    assert negotiated("1999-01-01") == "2025-11-25"


def test_unknown_methods_are_named(house: House, key: str) -> None:
    assert house.post(PING | {"method": "resources/list"}, key).json()["error"]["code"] == -32601


def test_modern_headers_and_body_must_agree(house: House, key: str) -> None:
    message = PING | {"method": "tools/list", "params": {"_meta": MODERN}}
    good = {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/list"}
    assert house.post(message, key, **good).json()["result"]["cacheScope"] == "private"
    wrong = house.post(message, key, **good | {"mcp_method": "tools/call"})
    assert wrong.status_code == 400 and wrong.json()["error"]["code"] == -32020
    unknown = house.post(message, key, mcp_protocol_version="2031-01-01", mcp_method="tools/list")
    assert unknown.status_code == 400


@pytest.mark.parametrize("version", [None, "2025-11-25", "2025-03-26"])
def test_a_body_of_2026_07_28_under_headers_of_another_is_refused(
    house: House, key: str, version: str | None
) -> None:
    message = PING | {"method": "tools/list", "params": {"_meta": MODERN}}
    reply = house.post(message, key, **({"mcp_protocol_version": version} if version else {}))
    assert reply.status_code == 400 and reply.json()["error"]["code"] == -32020


def test_blanks_around_a_header_value_are_not_part_of_it(house: House, key: str) -> None:
    """RFC 9110 §5.5; our usual client would not send them."""
    headers = {"authorization": f" Bearer {key}\t", "mcp-protocol-version": " 2026-07-28 "}
    headers["mcp-method"] = "\ttools/list "
    connection = HTTPConnection(urlsplit(house.url).netloc)
    body = json.dumps(PING | {"method": "tools/list", "params": {"_meta": MODERN}})
    connection.request("POST", "/mcp", body, headers)
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("params", [
    {"name": 5}, {"name": None}, {}, {"name": "desk__list_tickets", "arguments": []}, {"name": "x" * 100_000},
    {"name": "desk__list_tickets", "arguments": "no"}, {"name": "<script>alert(1)</script>\r\n"},
])  # fmt: skip
def test_odd_calls_are_refused(house: House, key: str, params: dict[str, Any]) -> None:
    reply = house.post(PING | {"method": "tools/call", "params": params}, key)
    assert reply.json()["error"]["code"] == -32602 and len(reply.content) < 1000


def test_params_that_are_no_object_harm_nothing(house: House, key: str) -> None:
    assert house.post(PING | {"params": [1, 2]}, key).json()["result"] == {}


@pytest.fixture(scope="module")
def seen(house: House) -> Iterator[Farm]:
    """A server that remembers what it was asked, behind a token."""
    with farm() as servers:
        for era, animal in {"old": legacy, "new": modern}.items():
            servers.put(animal((tool("get_thing"),)), f"/{era}")
            url, name = servers.url(f"/{era}"), f"seen-{era}"
            house.run(
                "add-server", url, "--name", name, "--allow-private", "--bearer-stdin", stdin="our-token\n"
            )
        yield servers


@pytest.mark.parametrize("era", ["old", "new"])
@pytest.mark.parametrize(("token", "usable"), [
    (0, True), ("", True), ("t", True), (True, False), (1.5, False), ({}, False), (None, False),
])  # fmt: skip
def test_only_a_string_or_a_whole_number_is_a_progress_token(
    house: House, key: str, seen: Farm, era: str, token: Any, usable: bool
) -> None:
    params = {"name": f"seen-{era}__get_thing", "arguments": {}, "_meta": {"progressToken": token}}
    house.post(PING | {"method": "tools/call", "params": params}, key)
    assert ("progressToken" in seen.zoo.asked[-1].params.get("_meta", {})) is usable


# What the protocol wants, what HTTP wants, and the connection's own.
OURS = {
    "accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "host",
    "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id", "user-agent",
}  # fmt: skip
NOT_OURS = (
    "X-Upstream-Authorization", "Cookie", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "X-API-Key",
    "X-Authorization", "Proxy-Authorization", "Origin", "Referer", "X-Request-Id", "Traceparent", "Baggage", "Via",
    "Mcp-Session-Id", "Mcp-Param-Region", "X-Original-URL", "X-Http-Method-Override", "True-Client-IP", "Last-Event-ID",
)  # fmt: skip


@pytest.mark.parametrize("era", ["old", "new"])
def test_nothing_of_the_caller_goes_upstream(house: House, key: str, seen: Farm, era: str) -> None:
    """Twenty odd headers in, none of them out: the server sees only ours."""
    seen.zoo.asked.clear()
    params = {"name": f"seen-{era}__get_thing", "arguments": {}}
    headers = dict.fromkeys(NOT_OURS, "stolen") | {"Authorization": f"Bearer {key}", "Origin": house.url}
    message = PING | {"method": "tools/call", "params": params}
    reply = httpx2.post(f"{house.url}/mcp", json=message, headers=headers, timeout=60, trust_env=False)
    assert reply.status_code == 200
    assert {"tools/call"} <= {ask.rpc for ask in seen.zoo.asked}
    for ask in seen.zoo.asked:
        assert set(ask.headers) <= OURS and ask.headers["authorization"] == "Bearer our-token"
        assert "stolen" not in str(ask.headers) and key not in f"{ask.headers}{ask.body!r}"
