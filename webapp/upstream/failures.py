"""Connection failures in words: what an exception from below means, and what to do about it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import httpcore2
import httpx2

from webapp.errors import BadReply, EgressDenied, Unreachable, UpstreamError
from webapp.upstream.tls_failures import explain_tls

CHECK_SPELLING = "Check the spelling of the address."
TRY_LATER = "Check that the server is running, then try again."

# Raised before a byte of the request was written.
_BEFORE_SENDING = (
    httpcore2.ConnectError,
    httpcore2.ConnectTimeout,
    httpcore2.PoolTimeout,
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    socket.gaierror,
    ConnectionRefusedError,
)
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.EHOSTDOWN}


def explain(error: Exception, url: str) -> UpstreamError:
    """The refusal behind an exception of httpx2, httpcore2, ssl or a socket; our own come back as they are.

    `sent` is true wherever the request may have reached the other side.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, UpstreamError):
            return link
        if isinstance(link, (httpx2.InvalidURL, httpx2.UnsupportedProtocol)):
            return EgressDenied(
                f"This is not a usable address: {link}.",
                kind="url",
                next_step=CHECK_SPELLING,
            )
    host, port = _place(url)
    sent = not any(isinstance(link, _BEFORE_SENDING) for link in chain)
    return (
        explain_tls(chain, host, port, sent)
        or _socket(chain, host, port, sent)
        or _http(chain, host, port, sent)
    )


def cannot_connect(error: Exception, host: str, port: int) -> Unreachable:
    """The same for a plain connection that never came about."""
    chain = list(_chain(error))
    if found := explain_tls(chain, host, port, False) or _socket(chain, host, port, False):
        return found
    if any(isinstance(link, TimeoutError) for link in chain):
        return Unreachable(
            f"{host} did not pick up on port {port}.",
            kind="connect_timeout",
            why="The server is off, or a firewall drops the connection without a word.",
            next_step="Check that the server is on and that a firewall lets this machine through.",
        )
    return _closed(host, sent=False)


def name_not_found(host: str, error: Exception | None = None) -> Unreachable:
    if isinstance(error, TimeoutError) or getattr(error, "errno", None) == socket.EAI_AGAIN:
        return Unreachable(
            f"Nobody could say where {host} is: the name server did not answer.",
            kind="dns",
            why="The name server may be down, or this machine is offline.",
            next_step="Check the network of this machine, then try again.",
        )
    return Unreachable(
        f"There is no server called {host}.",
        kind="dns",
        why="The name may be mistyped, or be known only inside another network.",
        next_step=CHECK_SPELLING,
    )


def kept_and_closed(host: str) -> Unreachable:
    """Most likely it closed the connection before the request came; nobody can know."""
    return Unreachable(
        f"{host} closed a connection that was kept open between calls.",
        kind="kept",
        why="The server may have restarted, or it does not keep connections as it says.",
        next_step=TRY_LATER,
        sent=True,
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and everything it was made from, outermost first.

    Not `__context__`: what happened to be handled at the time may be an earlier request's failure.
    httpcore2's pool cuts `__cause__` off, but its exceptions carry the one they stand for as argument.
    """
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        if link.__cause__ is not None:
            waiting.append(link.__cause__)
        waiting.extend(made_from for made_from in link.args if isinstance(made_from, BaseException))
        if isinstance(link, BaseExceptionGroup):
            waiting.extend(link.exceptions)


def _place(url: str) -> tuple[str, int]:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return "The server", 0
    return parsed.host or "The server", parsed.port or (80 if parsed.scheme == "http" else 443)


def _socket(chain: list[BaseException], host: str, port: int, sent: bool) -> Unreachable | None:
    for link in chain:
        if isinstance(link, socket.gaierror):
            return name_not_found(host, link)
        if isinstance(link, ConnectionRefusedError):
            return Unreachable(
                f"{host} is there, but nothing listens on port {port}.",
                kind="refused",
                why="The server program is not running, or uses another port.",
                next_step=TRY_LATER,
            )
        if isinstance(link, OSError) and link.errno in _NO_ROUTE:
            return Unreachable(
                f"There is no way from this machine to {host}.",
                kind="refused",
                why="The network it is in can't be reached from here.",
                next_step="Check the network, the VPN and the firewall of this machine.",
                sent=sent,
            )
    return None


def _http(chain: list[BaseException], host: str, port: int, sent: bool) -> UpstreamError:
    for link in chain:
        if isinstance(link, (httpcore2.ConnectTimeout, httpx2.ConnectTimeout)):
            # The guard tells of sockets that never opened itself; what is left is a handshake that stalls.
            return Unreachable(
                f"{host} began no encrypted connection on port {port} in time.",
                kind="connect_timeout",
                why="The port may be for plain http, or the server is overloaded.",
                next_step="Check the port, and whether the address should begin with https://.",
            )
        if isinstance(link, (httpcore2.PoolTimeout, httpx2.PoolTimeout)):
            return Unreachable(
                f"Too many calls to {host} are under way.",
                kind="busy",
                why="Earlier calls have not been answered yet.",
                next_step="Wait a moment, then try again.",
            )
        if isinstance(link, (httpcore2.TimeoutException, httpx2.TimeoutException, TimeoutError)):
            return Unreachable(
                f"{host} did not answer in time.",
                kind="read_timeout",
                why="It may be busy, or stuck on this request.",
                next_step="Try again later.",
                sent=sent,
            )
        if isinstance(link, (httpcore2.RemoteProtocolError, httpx2.RemoteProtocolError)):
            return _protocol(str(link), host, sent)
        if isinstance(link, httpx2.DecodingError):
            return BadReply(f"The answer of {host} can't be decoded.", kind="compressed", next_step=TRY_LATER)
    return _closed(host, sent)


def _protocol(reason: str, host: str, sent: bool) -> UpstreamError:
    if "without sending" in reason or "peer closed" in reason or "incomplete" in reason:
        return _closed(host, sent)
    return BadReply(
        f"What {host} answered is not HTTP.",
        kind="not_mcp",
        why="Another program may be listening on this port, or the port is for https only.",
        next_step="Check the port, and whether the address should begin with https://.",
    )


def _closed(host: str, sent: bool) -> Unreachable:
    return Unreachable(
        f"{host} closed the connection.",
        kind="closed",
        why="The server may have restarted, or it refuses this kind of request.",
        next_step=TRY_LATER,
        sent=sent,
    )
