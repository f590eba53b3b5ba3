"""Redirects during a check: which are followed, and what is said about the others."""

from __future__ import annotations

from http import HTTPStatus

import httpx2

from webapp.errors import BadReply
from webapp.upstream.approach import approach
from webapp.upstream.discovery import origin_of
from webapp.upstream.exchange import Reply, shown_url
from webapp.upstream.visit import Visit

_KEEPS_METHOD = (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT)


class SentElsewhere(Exception):
    """A redirect we don't follow; what there is to say has been said."""


def is_move(reply: Reply) -> bool:
    return 300 <= reply.status < 400 and "location" in reply.headers


async def follow(visit: Visit, reply: Reply) -> None:
    """Inside the origin where the method is kept, and from http:// to https:// of the same host."""
    here = httpx2.URL(visit.url)
    there = _target(here, reply)
    visit.been_at.add(str(here))
    if str(there) in visit.been_at:
        raise in_a_circle()
    same_origin = origin_of(str(there)) == origin_of(str(here))
    encrypts = (here.scheme, there.scheme) == ("http", "https") and here.host == there.host
    if not encrypts and not (same_origin and reply.status in _KEEPS_METHOD):
        _say_elsewhere(visit, reply, there)
        raise SentElsewhere
    visit.url = str(there)
    text = f"The server has moved to {shown_url(visit.url)}; that address is kept."
    visit.say("protocol", "note", text, seen=reply.status_words)
    if encrypts:
        await approach(visit)


def in_a_circle() -> BadReply:
    return BadReply(
        "The server sends us round in a circle.",
        kind="redirect",
        why="It is set up wrongly, or wants cookies as a browser has.",
        next_step="Check the Server URL.",
    )


def _target(here: httpx2.URL, reply: Reply) -> httpx2.URL:
    try:
        return here.join(reply.headers["location"]).copy_with(fragment=None)
    except httpx2.InvalidURL as error:
        raise BadReply("The server sends us on to an address that is none.", kind="redirect") from error


def _say_elsewhere(visit: Visit, reply: Reply, there: httpx2.URL) -> None:
    visit.say(
        "protocol",
        "problem",
        f"The server sends us on to {shown_url(str(there))}, where Gatehouse does not go by itself.",
        why="It has moved, or this is a web page that wants people to sign in.",
        next_step="If you trust that address, try it.",
        seen=reply.status_words,
        suggestion=str(there) if there.scheme in ("http", "https") else "",
    )
