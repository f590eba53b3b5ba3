"""The practice server, used as its users do: MCP clients at the doors, a browser's requests at the page."""

from __future__ import annotations

import asyncio
import base64
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.subscriptions import ToolsListChanged
from mcp_types import CallToolResult, ImageContent, TextContent, Tool

from webapp.practice import __main__ as command
from webapp.practice import create_app

ROOT = Path(__file__).parents[1]
TOKEN = "practice-token"
# Loading certificate authorities for each plain HTTP request would take longer than the tests.
WEB = httpx2.Client(timeout=60, verify=False)
Result = TypeVar("Result")


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    WEB.close()
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def practice(running: str) -> str:
    """The base address of a practice server that was just reset."""
    assert WEB.post(f"{running}/reset").status_code == 303
    return running


@asynccontextmanager
async def client_at(practice: str, door: str = "open", mode: str = "auto") -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"} if door == "bearer" else {}
    async with httpx2.AsyncClient(headers=headers, timeout=60, verify=False) as http:
        transport = streamable_http_client(f"{practice}/{door}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


def with_client(
    practice: str, do: Callable[[Client], Awaitable[Result]], door: str = "open", mode: str = "auto"
) -> Result:
    async def session() -> Result:
        async with client_at(practice, door, mode) as client:
            return await do(client)

    return asyncio.run(session())


def call(practice: str, tool: str, arguments: dict[str, Any], **where: str) -> CallToolResult:
    async def do(client: Client) -> CallToolResult:
        return await client.call_tool(tool, arguments)

    return with_client(practice, do, **where)


def tools(practice: str, **where: str) -> dict[str, Tool]:
    async def do(client: Client) -> list[Tool]:
        return (await client.list_tools()).tools

    return {tool.name: tool for tool in with_client(practice, do, **where)}


def state(practice: str) -> dict[str, Any]:
    body: dict[str, Any] = WEB.get(f"{practice}/state").json()
    return body


def ticket(practice: str, ticket_id: str) -> dict[str, Any] | None:
    return next((found for found in state(practice)["tickets"] if found["id"] == ticket_id), None)


def text(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def knock(url: str, **headers: str) -> httpx2.Response:
    accept = {"Accept": "application/json, text/event-stream"}
    return WEB.post(url, json=INITIALIZE, headers=accept | headers)


# The doors


@pytest.mark.parametrize("door", ["open", "bearer"])
@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
def test_both_doors_speak_both_protocol_eras(practice: str, door: str, mode: str, version: str) -> None:
    async def do(client: Client) -> tuple[str, CallToolResult]:
        return client.protocol_version, await client.call_tool("list_tickets", {"status": "open"})

    spoken, result = with_client(practice, do, door=door, mode=mode)
    assert spoken == version
    assert "T-1042" in text(result)
    assert state(practice)["recent"][0]["door"] == door


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        ("", "Bearer"),
        ("Bearer", 'Bearer error="invalid_token"'),
        ("Bearer wrong", 'Bearer error="invalid_token"'),
        (f"Bearer {TOKEN}x", 'Bearer error="invalid_token"'),
        (f"Basic {TOKEN}", 'Bearer error="invalid_token"'),
    ],
)
def test_the_bearer_door_wants_its_token(practice: str, authorization: str, challenge: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    reply = knock(f"{practice}/bearer/mcp", **headers)
    assert (reply.status_code, reply.headers["www-authenticate"]) == (401, challenge)


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/bearer/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/bearer/.well-known/oauth-protected-resource",
    ],
)
def test_there_is_no_oauth_to_discover(practice: str, path: str) -> None:
    assert WEB.get(practice + path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code in (401, 404)
    assert WEB.get(practice + path).status_code in (401, 404)


@pytest.mark.parametrize(
    "name", ["127.0.0.1:1", "localhost:65535", "LOCALHOST:8001", "[::1]:8001", "localhost"]
)
def test_loopback_names_with_any_port_reach_the_page(practice: str, name: str) -> None:
    assert WEB.get(practice, headers={"Host": name}).status_code == 200


@pytest.mark.parametrize("name", ["127.0.0.1:1", "localhost:65535"])
def test_loopback_names_with_any_port_reach_the_tools(practice: str, name: str) -> None:
    assert knock(f"{practice}/open/mcp", Host=name, Origin=f"http://{name}").status_code == 200


@pytest.mark.parametrize("path", ["/", "/state", "/open/mcp", "/bearer/mcp"])
@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example:80", "localhost@evil.example", ""])
def test_other_names_are_refused(practice: str, path: str, name: str) -> None:
    reply = WEB.get(practice + path, headers={"Host": name})
    assert reply.status_code in (400, 421)
    assert "T-1042" not in reply.text


def test_pages_of_other_sites_cannot_speak_to_the_tools(practice: str) -> None:
    assert knock(f"{practice}/open/mcp", Origin="http://evil.example").status_code == 403


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 200), ("192.0.2.7", 421), ("0.0.0.0", 421)])
def test_it_answers_on_loopback_addresses_only(address: str, status: int) -> None:
    async def ask() -> int:
        transport = httpx2.ASGITransport(app=create_app())
        async with httpx2.AsyncClient(transport=transport, base_url=f"http://{address}:8001") as http:
            return (await http.get("/state", headers={"Host": "localhost:8001"})).status_code

    assert asyncio.run(ask()) == status


# The tools


def test_reads_answer_from_the_desk(practice: str) -> None:
    assert "T-1044" in text(call(practice, "search_tickets", {"query": "wi-fi"}))
    assert "NL-FW-001" in text(call(practice, "list_devices", {"kind": "firewall"}))
    assert "T-1042" not in text(call(practice, "list_tickets", {"client": "Harbour Dental"}))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("get_ticket", {"ticket_id": "T-1041"}), ("get_device", {"device_id": "HD-LT-014"})],
)
def test_structured_content_keeps_its_schema(practice: str, tool: str, arguments: dict[str, Any]) -> None:
    schema = tools(practice)[tool].output_schema
    structured = call(practice, tool, arguments).structured_content
    assert schema is not None
    assert structured is not None and structured["client"] == "Harbour Dental"
    assert set(schema["required"]) <= structured.keys() <= set(schema["properties"])


def test_a_write_runs_once_and_is_counted(practice: str) -> None:
    arguments = {"client": "Kestrel Engineering", "summary": "Screen flickers", "description": "Since today."}
    before = {found["id"] for found in state(practice)["tickets"]}
    call(practice, "create_ticket", arguments)
    after = state(practice)
    [opened] = [found for found in after["tickets"] if found["id"] not in before]
    assert (opened["summary"], opened["status"], opened["priority"]) == ("Screen flickers", "open", "normal")
    assert after["calls"] == after["done"] == {"create_ticket": 1}
    assert [(seen["tool"], seen["outcome"]) for seen in after["recent"]] == [("create_ticket", "done")]


def test_tickets_can_be_updated_noted_and_deleted(practice: str) -> None:
    call(practice, "update_ticket", {"ticket_id": "T-1042", "status": "waiting", "assignee": "Tom Blake"})
    call(practice, "add_ticket_note", {"ticket_id": "T-1042", "text": "Called back.", "visibility": "client"})
    found = ticket(practice, "T-1042")
    assert found is not None
    assert (found["status"], found["assignee"], found["priority"]) == ("waiting", "Tom Blake", "urgent")
    assert [(note["text"], note["visibility"]) for note in found["notes"]] == [("Called back.", "client")]
    call(practice, "delete_ticket", {"ticket_id": "T-1042"})
    assert ticket(practice, "T-1042") is None


def test_a_device_restarts_now_or_tonight(practice: str) -> None:
    call(practice, "restart_device", {"device_id": "SA-AP-011", "when": "tonight"})
    call(practice, "restart_device", {"device_id": "HD-PR-002", "when": "now"})
    devices = {device["id"]: device for device in state(practice)["devices"]}
    assert (devices["SA-AP-011"]["restarts"], devices["SA-AP-011"]["online"]) == (0, False)
    assert devices["SA-AP-011"]["next_restart"]
    assert (devices["HD-PR-002"]["restarts"], devices["HD-PR-002"]["online"]) == (1, True)


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("print_invoice", {"client": "Harbour Dental", "month": "2026-11"}, "out of toner"),
        ("get_ticket", {"ticket_id": "T-9999"}, "no ticket T-9999"),
        ("restart_device", {"device_id": "XX-00", "when": "now"}, "no device XX-00"),
        ("restart_device", {"device_id": "NL-SV-001", "when": "later"}, "when"),
        ("delete_ticket", {}, "ticket_id"),
    ],
)
def test_failures_are_tool_errors(practice: str, tool: str, arguments: dict[str, Any], says: str) -> None:
    before = state(practice)
    result = call(practice, tool, arguments)
    after = state(practice)
    assert result.is_error and says in text(result)
    assert (after["calls"], after["done"], after["recent"][0]["outcome"]) == ({tool: 1}, {}, "failed")
    assert (after["tickets"], after["devices"]) == (before["tickets"], before["devices"])


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_slow_tool_reports_its_progress(practice: str, mode: str) -> None:
    steps: list[tuple[float, float | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total))

    async def do(client: Client) -> CallToolResult:
        arguments = {"device_id": "NL-SV-001", "seconds": 0}
        return await client.call_tool("run_diagnostics", arguments, progress_callback=note)

    assert '"event log": "ok"' in text(with_client(practice, do, mode=mode))
    assert steps == [(done, 5) for done in range(1, 6)]


@pytest.mark.parametrize("by", ["status", "priority"])
def test_the_chart_is_a_whole_picture(practice: str, by: str) -> None:
    image = call(practice, "ticket_chart", {"by": by}).content[1]
    assert isinstance(image, ImageContent) and image.mime_type == "image/png"
    chunks = png_chunks(base64.b64decode(image.data))
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 2)
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + 3 * width)


def png_chunks(png: bytes) -> dict[bytes, bytes]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + length
    return chunks


def test_definitions_are_fit_to_be_read(practice: str) -> None:
    offered = tools(practice)
    assert all(tool.title and len(tool.description or "") > 20 for tool in offered.values())
    assert offered["create_ticket"].input_schema["required"] == ["client", "summary", "description"]
    assert offered["restart_device"].input_schema["properties"]["when"]["enum"] == ["now", "tonight"]
    destructive = offered["delete_ticket"].annotations
    assert destructive is not None and destructive.destructive_hint
    assert offered["create_ticket"].annotations is None


# Change my tools


@pytest.mark.parametrize("door", ["open", "bearer"])
def test_changing_the_tools_and_changing_them_back(practice: str, door: str) -> None:
    original = tools(practice, door=door)
    WEB.post(f"{practice}/change")
    changed = tools(practice, door=door, mode="legacy")
    assert changed.keys() - original.keys() == {"email_invoice"}
    assert original.keys() - changed.keys() == {"print_invoice"}
    assert {name for name in original.keys() & changed.keys() if original[name] != changed[name]} == {
        "search_tickets"
    }
    assert original["search_tickets"].description != changed["search_tickets"].description
    assert "copy_to" in changed["search_tickets"].input_schema["properties"]
    assert state(practice)["tools"] == "changed"
    WEB.post(f"{practice}/change")
    assert tools(practice, door=door) == original
    assert list(tools(practice)) == list(original)


def test_the_changed_tools_do_what_they_now_say(practice: str) -> None:
    WEB.post(f"{practice}/change")
    assert "me@evil.example" in text(
        call(practice, "search_tickets", {"query": "vpn", "copy_to": "me@evil.example"})
    )
    invoice = {"client": "Harbour Dental", "month": "2026-11"}
    assert not call(practice, "email_invoice", invoice).is_error
    assert call(practice, "print_invoice", invoice).is_error


@pytest.mark.parametrize("button", ["change", "reset"])
def test_listening_clients_hear_of_a_change(practice: str, button: str) -> None:
    if button == "reset":
        WEB.post(f"{practice}/change")

    async def do(client: Client) -> object:
        async with (
            client.listen(tools_list_changed=True) as events,
            httpx2.AsyncClient(timeout=60, verify=False) as http,
        ):
            await http.post(f"{practice}/{button}")
            return await asyncio.wait_for(anext(aiter(events)), 60)

    assert isinstance(with_client(practice, do), ToolsListChanged)


def test_reset_brings_everything_back(practice: str) -> None:
    call(practice, "delete_ticket", {"ticket_id": "T-1041"})
    WEB.post(f"{practice}/change")
    WEB.post(f"{practice}/reset")
    now = state(practice)
    assert (now["tools"], now["calls"], now["recent"]) == ("original", {}, [])
    assert ticket(practice, "T-1041") is not None
    assert "print_invoice" in tools(practice)


# The page


def test_the_page_says_what_it_is_and_how_to_connect(practice: str) -> None:
    page = WEB.get(practice).text
    assert "Practice server: nothing here is real" in page
    assert f"{practice}/open/mcp" in page and f"{practice}/bearer/mcp" in page and TOKEN in page
    assert "Dispatch database slow every morning" in page
    assert "Change my tools" in page and "Reset" in page


def test_the_page_shows_calls_and_trusts_none_of_them(practice: str) -> None:
    call(practice, "search_tickets", {"query": "<script>alert(1)</script>"})
    page = WEB.get(practice).text
    assert "&lt;script&gt;alert(1)" in page and "<script" not in page


def test_every_answer_of_the_page_is_locked_down(practice: str) -> None:
    for path in ("/", "/state", "/page.css", "/icon.png"):
        reply = WEB.get(practice + path)
        policy = reply.headers["content-security-policy"]
        assert reply.status_code == 200 and policy.startswith("default-src 'none'") and "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
    page = WEB.get(practice).text
    assert " style=" not in page and "<style" not in page


@pytest.mark.parametrize("button", ["change", "reset"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_buttons_pressed_from_elsewhere_do_nothing(
    practice: str, button: str, headers: dict[str, str]
) -> None:
    WEB.post(f"{practice}/change")
    reply = WEB.post(f"{practice}/{button}", headers=headers)
    assert reply.status_code == 403 and "own page" in reply.text
    assert state(practice)["tools"] == "changed"


def test_buttons_pressed_on_the_page_lead_back_to_it(practice: str) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": practice}
    reply = WEB.post(f"{practice}/change", headers=headers)
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    assert state(practice)["tools"] == "changed"


@pytest.mark.parametrize("button", ["change", "reset"])
def test_a_link_presses_no_button(practice: str, button: str) -> None:
    assert WEB.get(f"{practice}/{button}").status_code == 405


# The command


def test_it_runs_as_a_command_on_loopback() -> None:
    arguments = [sys.executable, "-m", "webapp.practice"]
    with subprocess.Popen(
        arguments, env={"PRACTICE_PORT": "0"}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Practice server: http://127.0.0.1:")
            assert WEB.get(line.split()[-1] + "state").json()["tools"] == "original"
        finally:
            process.terminate()


def test_a_taken_port_is_said_in_one_line(practice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRACTICE_PORT", practice.rpartition(":")[2])
    with pytest.raises(SystemExit, match=r"^Port \d+ can't be used .* Set PRACTICE_PORT to a free one\.$"):
        command.main()


@pytest.mark.parametrize("port", ["http", "-1", "70000", ""])
def test_a_port_that_is_none_is_said_in_one_line(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRACTICE_PORT", port)
    with pytest.raises(SystemExit, match="must be a port number"):
        command.main()
