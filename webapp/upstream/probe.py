"""Looks at an address and says, sentence by sentence, what lives there and how to sign in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus

from webapp.errors import BadReply, EgressDenied, RpcError, Unreachable, UpstreamError
from webapp.upstream import handshake, moves, strangers
from webapp.upstream.approach import approach
from webapp.upstream.egress import Egress, private_offer
from webapp.upstream.envelope import HANDSHAKE, MODERN
from webapp.upstream.exchange import Exchange, Reply, result_of, shown_url
from webapp.upstream.findings import Finding, Report, Verdict, problem
from webapp.upstream.inside import GOODBYE_SECONDS, look_inside
from webapp.upstream.sign_in import walled
from webapp.upstream.visit import Known, Visit

__all__ = ["Finding", "Known", "Verdict", "probe"]

MAX_MOVES = 4

Question = Callable[[Exchange, float], Awaitable[Reply]]


async def probe(
    url: str,
    egress: Egress,
    *,
    headers: Mapping[str, str] | None = None,
    known: Known | None = None,
    report: Report = lambda finding: None,
    step_seconds: float = 5,
    total_seconds: float = 15,
) -> Verdict:
    """Never raises for anything the other side does. `headers` are credentials to try.

    It asks for the version and the tools, and calls a tool that can't exist: nothing changes on the server.
    """
    async with egress.http(total_seconds=step_seconds) as http:
        visit = Visit(url.strip(), egress, http, dict(headers or {}), step_seconds, report, known or Known())
        try:
            async with asyncio.timeout(total_seconds - min(2 * GOODBYE_SECONDS, total_seconds / 2)):
                verdict = await _look(visit)
        except TimeoutError:
            verdict = _out_of_time(visit, total_seconds)
    return replace(
        verdict,
        url=visit.url,
        findings=tuple(visit.findings),
        credentials=visit.credentials,
        demanded=visit.demanded,
    )


async def _look(visit: Visit) -> Verdict:
    try:
        await approach(visit)
        return await _ladder(visit)
    except moves.SentElsewhere:
        return visit.verdict("not_mcp")
    except EgressDenied as error:
        return _denied(visit, error)
    except Unreachable as error:
        visit.add(problem(error, seen=shown_url(visit.url), suggestion=visit.way_out))
        return visit.verdict("unreachable")
    except UpstreamError as error:
        visit.add(problem(error, seen=shown_url(visit.url)))
        slow = isinstance(error, BadReply) and error.kind == "too_slow"
        return visit.verdict("unreachable" if slow else "not_mcp")


async def _ladder(visit: Visit) -> Verdict:
    """First the question of the modern era, then the handshake, then the stream of the oldest servers."""
    reply = await _ask_modern(visit)
    if reply is not None:
        if (verdict := await walled(visit, reply)) is not None:
            return verdict
        if (session := handshake.modern_session(reply)) is not None:
            return await look_inside(visit, session)
        versions = handshake.supported_versions(reply)
        if versions and not set(versions) & set(HANDSHAKE):
            return strangers.strange_versions(visit, versions)
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            result_of(reply, visit.url)
    return await _with_handshake(visit)


async def _ask_modern(visit: Visit) -> Reply | None:
    """None where the server falls silent, as some old ones do at a method they don't know."""
    try:
        reply = await _ask(visit, handshake.ask_discover)
        if MODERN in handshake.supported_versions(reply):
            reply = await _ask(visit, handshake.ask_discover)
    except Unreachable as error:
        if error.kind != "read_timeout":
            raise
        return None
    return reply


async def _with_handshake(visit: Visit) -> Verdict:
    reply = await _ask(visit, handshake.ask_initialize)
    if (verdict := await walled(visit, reply)) is not None:
        return verdict
    if reply.message is None:
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            result_of(reply, visit.url)
        return await strangers.look_for_event_stream(visit, reply)
    try:
        session = await handshake.agree(visit.exchange(), reply, visit.seconds)
    except RpcError as error:
        return strangers.refused_to_begin(visit, error)
    return await look_inside(visit, session)


async def _ask(visit: Visit, question: Question) -> Reply:
    for _ in range(MAX_MOVES):
        reply = await question(visit.exchange(), visit.seconds)
        if not moves.is_move(reply):
            return reply
        await moves.follow(visit, reply)
    raise moves.in_a_circle()


def _denied(visit: Visit, error: EgressDenied) -> Verdict:
    offer = private_offer(error, cleartext=visit.url.lower().startswith("http://"))
    visit.add(problem(error, seen=error.address))
    return visit.verdict("private" if offer else "denied", offer=offer)


def _out_of_time(visit: Visit, total_seconds: float) -> Verdict:
    visit.say(
        "protocol",
        "problem",
        f"The check was stopped after {total_seconds:g} seconds.",
        why="The server answers too slowly.",
        next_step="Try again later.",
        seen=shown_url(visit.url),
    )
    return visit.reached or visit.verdict("unreachable")
