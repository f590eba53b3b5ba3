"""How agents of the handshake era hear that their list of tools changed: they come by with GET, and go at once.

Nothing is held open and nothing remembered. The id of the stream's last event is the edition of the list that the
agent knows of; it comes back with the next GET (SSE's Last-Event-ID), to whichever worker, after the time we name.
"""

from __future__ import annotations

import time

from webapp.upstream.strict import encoded

COME_BACK_SECONDS = 15
LIST_CHANGED = "notifications/tools/list_changed"
_CHANGED = encoded({"jsonrpc": "2.0", "method": LIST_CHANGED})


def stream(edition: str, last_event_id: str) -> bytes | None:
    """All the events there are for now; None for a program that does not wait as long as it is asked to."""
    known, _, told_at = last_event_id.partition(".")
    moment = int(time.time())
    if told_at.isdecimal() and 0 <= moment - int(told_at[:12]) < COME_BACK_SECONDS // 2:
        return None
    data = _CHANGED if known and known != edition else b""
    return b"retry: %d\nid: %b.%d\ndata: %b\n\n" % (
        COME_BACK_SECONDS * 1000, edition.encode(), moment, data,
    )  # fmt: skip
