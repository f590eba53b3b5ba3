"""What MCP wants around a message in each of its two eras: headers, and fields inside `params._meta`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.shared.inbound import NAME_BEARING_METHODS, encode_header_value, mcp_param_headers

MODERN = "2026-07-28"
COMPLETE, INPUT_REQUIRED = "complete", "input_required"  # what a result of 2026-07-28 is (`resultType`)
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
CLIENT_INFO = {"name": "gatehouse", "title": "Gatehouse", "version": "1.0"}
EVENT_STREAM = "text/event-stream"
BASE_HEADERS = {
    "content-type": "application/json",
    "accept": f"application/json, {EVENT_STREAM}",
    "user-agent": "Gatehouse/1.0",
}

_PROTOCOL = "io.modelcontextprotocol/"
_OURS_IN_META = frozenset(
    {
        f"{_PROTOCOL}protocolVersion",
        f"{_PROTOCOL}clientInfo",
        f"{_PROTOCOL}clientCapabilities",
        "progressToken",
    }
)
HeaderMap = Mapping[tuple[str, ...], str]


def request(
    number: int,
    method: str,
    params: Mapping[str, Any],
    *,
    version: str,
    session_id: str = "",
    capabilities: Mapping[str, Any] | None = None,
    wants_progress: bool = False,
    header_map: HeaderMap | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """One JSON-RPC request and its protocol headers. `version` is empty before a handshake."""
    own_meta: dict[str, Any] = {"progressToken": number} if wants_progress else {}
    headers = headers_for(version, session_id)
    if version == MODERN:
        own_meta |= _modern_meta(capabilities)
        headers |= _routing_headers(method, params, header_map)
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": number, "method": method}
    if whole := _with_meta(params, own_meta):
        body["params"] = whole
    return body, headers


def headers_for(version: str, session_id: str = "") -> dict[str, str]:
    headers = dict(BASE_HEADERS)
    if version:
        headers["mcp-protocol-version"] = version
    if session_id:
        headers["mcp-session-id"] = session_id
    return headers


def _modern_meta(capabilities: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        f"{_PROTOCOL}protocolVersion": MODERN,
        f"{_PROTOCOL}clientInfo": CLIENT_INFO,
        f"{_PROTOCOL}clientCapabilities": dict(capabilities or {}),
    }


def _routing_headers(method: str, params: Mapping[str, Any], header_map: HeaderMap | None) -> dict[str, str]:
    headers = {"mcp-method": method}
    name = params.get(NAME_BEARING_METHODS.get(method, ""))
    if isinstance(name, str):
        headers["mcp-name"] = encode_header_value(name)
    if header_map and method == "tools/call":
        headers |= mcp_param_headers(header_map, params.get("arguments") or {})
    return headers


def _with_meta(params: Mapping[str, Any], own_meta: Mapping[str, Any]) -> dict[str, Any]:
    whole = dict(params)
    given = whole.pop("_meta", None)
    kept = {key: value for key, value in given.items() if key not in _OURS_IN_META} if given else {}
    if meta := kept | dict(own_meta):
        whole["_meta"] = meta
    return whole
