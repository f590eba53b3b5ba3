"""How a conversation with a server begins: which era it speaks, which version, who it says it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp_types import (
    HEADER_MISMATCH,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    SERVER_INFO_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
)

from webapp.errors import BadReply, RpcError, UpstreamError
from webapp.upstream import envelope
from webapp.upstream.envelope import CLIENT_INFO, HANDSHAKE, MODERN
from webapp.upstream.exchange import Exchange, Reply, error_code, result_of

MAX_TEXT = 4000
_ERRORS_OF_THE_MODERN_ERA = (
    HEADER_MISMATCH,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    UNSUPPORTED_PROTOCOL_VERSION,
)


@dataclass(frozen=True)
class ServerInfo:
    version: str
    name: str = ""
    title: str = ""
    server_version: str = ""
    instructions: str = ""
    tells_changes: bool = False  # it declares that it says when its list of tools changes
    logs: bool = False  # it declares that it logs to its clients


@dataclass(frozen=True)
class Session:
    """What was agreed. `id` is empty in the modern era and where a server keeps no sessions."""

    info: ServerInfo
    id: str = ""

    @property
    def version(self) -> str:
        return self.info.version

    @property
    def modern(self) -> bool:
        return self.info.version == MODERN


async def negotiate(
    exchange: Exchange,
    seconds: float,
    expected: str | None = None,
    capabilities: Mapping[str, Any] | None = None,
) -> Session:
    """`expected` is the version found last time; a server known to want a handshake gets it at once.

    `capabilities` are ours, told once to a server of the old era.
    """
    if expected in HANDSHAKE:
        try:
            return await agree(exchange, await ask_initialize(exchange, seconds, capabilities), seconds)
        except (BadReply, RpcError):
            return await _from_the_top(exchange, seconds, capabilities)
    return await _from_the_top(exchange, seconds, capabilities)


async def _from_the_top(
    exchange: Exchange, seconds: float, capabilities: Mapping[str, Any] | None
) -> Session:
    modern = await discover(exchange, seconds)
    if isinstance(modern, Session):
        return modern
    try:
        return await agree(exchange, await ask_initialize(exchange, seconds, capabilities), seconds)
    except BadReply:
        # A server that knows only the new era says best itself why it would not talk.
        if error_code(modern) in _ERRORS_OF_THE_MODERN_ERA:
            result_of(modern, exchange.url)
        raise


async def discover(exchange: Exchange, seconds: float) -> Session | Reply:
    """The session where the server is modern; otherwise its reply, and `initialize` is the next thing to try.

    Raises NeedsAuthorization, RpcError where the server speaks only versions we don't, and network failures.
    """
    for again in (True, False):
        reply = await ask_discover(exchange, seconds)
        if reply.status in (401, 403):
            result_of(reply, exchange.url)
        if (session := modern_session(reply)) is not None:
            return session
        if not again or MODERN not in supported_versions(reply):
            break
    supported = supported_versions(reply)
    if supported and not set(supported) & {MODERN, *HANDSHAKE}:
        result_of(reply, exchange.url)
    return reply


async def ask_discover(exchange: Exchange, seconds: float) -> Reply:
    message, headers = envelope.request(0, "server/discover", {}, version=MODERN)
    return await exchange.ask(message, headers, seconds=seconds)


async def ask_initialize(
    exchange: Exchange, seconds: float, capabilities: Mapping[str, Any] | None = None
) -> Reply:
    params = {
        "protocolVersion": HANDSHAKE[0], "capabilities": dict(capabilities or {}), "clientInfo": CLIENT_INFO,
    }  # fmt: skip
    message, headers = envelope.request(0, "initialize", params, version="")
    return await exchange.ask(message, headers, seconds=seconds)


def modern_session(reply: Reply) -> Session | None:
    result = (reply.message or {}).get("result")
    if not isinstance(result, dict) or MODERN not in _strings(result.get("supportedVersions")):
        return None
    meta = result.get("_meta")
    who = meta.get(SERVER_INFO_META_KEY) if isinstance(meta, dict) else None
    return Session(_server_info(MODERN, who, result))


def supported_versions(reply: Reply) -> list[str]:
    """The versions named in an error -32022, else none."""
    error = (reply.message or {}).get("error")
    if not isinstance(error, dict) or error.get("code") != UNSUPPORTED_PROTOCOL_VERSION:
        return []
    data = error.get("data")
    return _strings(data.get("supported")) if isinstance(data, dict) else []


async def agree(exchange: Exchange, reply: Reply, seconds: float) -> Session:
    """The session after an answer to `initialize`, once the server has been told that we are ready."""
    result = result_of(reply, exchange.url)
    version = result.get("protocolVersion")
    if version not in HANDSHAKE:
        raise BadReply(
            f"The server speaks version {str(version)[:40]!r} of MCP, which Gatehouse does not know.",
            kind="not_mcp",
            next_step="Look for a newer Gatehouse, or ask whoever runs the server.",
        )
    session = Session(
        _server_info(version, result.get("serverInfo"), result), reply.headers.get("mcp-session-id", "")
    )
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    await exchange.tell(ready, envelope.headers_for(version, session.id), seconds=seconds)
    return session


async def end(exchange: Exchange, session: Session, seconds: float) -> None:
    """Best effort: the server forgets an idle session by itself."""
    if not session.id:
        return
    try:
        await exchange.end(envelope.headers_for(session.version, session.id), seconds=seconds)
    except UpstreamError:
        return


def _server_info(version: str, who: object, result: dict[str, Any]) -> ServerInfo:
    known = who if isinstance(who, dict) else {}
    return ServerInfo(
        version=version,
        name=_shown(known.get("name")),
        title=_shown(known.get("title")),
        server_version=_shown(known.get("version")),
        instructions=_text(result.get("instructions")),
        tells_changes=_tells_changes(result.get("capabilities")),
        logs=_logs(result.get("capabilities")),
    )


def _tells_changes(capabilities: object) -> bool:
    tools = capabilities.get("tools") if isinstance(capabilities, dict) else None
    return isinstance(tools, dict) and tools.get("listChanged") is True


def _logs(capabilities: object) -> bool:
    return isinstance(capabilities, dict) and isinstance(capabilities.get("logging"), dict)


def _shown(value: object) -> str:
    return "".join(char for char in _text(value)[:200] if char.isprintable())


def _text(value: object) -> str:
    return value[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
