"""What a server says to somebody without a token: the challenge that begins a sign-in."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2

from webapp.errors import UpstreamError
from webapp.upstream import handshake
from webapp.upstream.client import Client
from webapp.upstream.exchange import Exchange, Reply
from webapp.upstream.inside import NO_SUCH_TOOL
from webapp.upstream.sign_in import is_wall


async def challenge_of(url: str, http: httpx2.AsyncClient, *, version: str = "", seconds: float = 5) -> str:
    """The `WWW-Authenticate` of the first refusal, from the greeting to a call of a tool that can't exist; empty
    where nothing is refused, or refused without one.

    Raises UpstreamError where there is no talking to the server at all.
    """
    exchange = Exchange(url, http, {})
    for greet in (handshake.ask_discover, handshake.ask_initialize):
        reply = await greet(exchange, seconds)
        if is_wall(reply):
            return reply.challenge
        if handshake.modern_session(reply) is not None:
            break
    return await _of_requests(Client(url, http, version=version or None, timeout=seconds))


async def _of_requests(client: Client) -> str:
    try:
        for method, params in (
            ("tools/list", {}),
            ("tools/call", {"name": NO_SUCH_TOOL, "arguments": {}}),
        ):
            reply = await _reply(client, method, params)
            if reply is not None and is_wall(reply):
                return reply.challenge
        return ""
    finally:
        await client.aclose(seconds=0.5)


async def _reply(client: Client, method: str, params: Mapping[str, object]) -> Reply | None:
    try:
        return await client.reply_to(method, params)
    except UpstreamError:  # an odd answer to a question is no refusal
        return None
