"""A log of a million rows, and how long its pages take: `python -m tests.load.million [FOLDER]`.

The store is made there (once), with 60 days of calls, one in fifty a change, of 40 tools on 8 servers.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from config import ROOT
from tests.house import PASSWORD, token_in
from tests.routes.visitors import opened
from webapp.services import accounts, audit, tallying
from webapp.services.audit import COMMAND, Actor, Row
from webapp.store.database import open_store, writing
from webapp.store.fields import now
from webapp.store.models import Entry, database

FOLDER = ROOT / "out" / "million"
ROWS = 1_000_000
GROUP = 10_000
DAYS = 60
OUTCOMES = ["ok"] * 92 + ["tool_error"] * 3 + ["waiting", "denied", "refused", "failed", "cancelled"]


def fill(rows: int) -> None:
    """As upkeep would find it: nothing counted ahead."""
    chance, newest = random.Random(4), now()
    with database.connection_context():
        for start in range(0, rows, GROUP):
            with writing():
                audit.append(
                    _row(chance, newest - timedelta(days=DAYS) * (1 - number / rows), number)
                    for number in range(start, min(rows, start + GROUP))
                )
        accounts.create_user("ann@example.com", "Ann", PASSWORD, "admin", COMMAND)


def _row(chance: random.Random, at: Any, number: int) -> Row:
    if number % 50 == 0:
        return Row("change", Actor("user", f"user{number % 7}@example.com"), "policy.set", "server3",
                   "mcp:server3:tool5", details={"from": "approval", "to": "auto"}, at=at)  # fmt: skip
    server, outcome = min(7, int(chance.expovariate(0.6))), chance.choice(OUTCOMES)
    tool = f"mcp:server{server}:tool{chance.randrange(5)}"
    arguments = {
        "ticket_id": f"T-{number}",
        "note": "The printer on the third floor is out of paper again. " * 2,
    }
    return Row("call", Actor("agent", f"Agent {number % 5}", ip="192.0.2.7"), "call", f"server{server}", tool,
               policy="auto", outcome=outcome, duration_ms=chance.lognormvariate(4 + server / 4, 0.7),
               approval=f"apr_{number}" if outcome in ("waiting", "denied") else "",
               details={"arguments": arguments, "arguments_digest": "0" * 64}, at=at)  # fmt: skip


def stopwatch(work: Callable[[], Any], times: int = 7) -> tuple[float, float]:
    """Milliseconds: the first time, and the middle one of the others."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return took[0], sorted(took[1:])[len(took[1:]) // 2]


def questions() -> Iterator[tuple[str, str]]:
    day = (now() - timedelta(days=40)).date().isoformat()
    yield "newest", "/activity"
    yield "a page in the middle", f"/activity?before={Entry.select().count() // 2}"
    yield "changes", "/activity?kind=change"
    yield "a common tool", "/activity?tool=mcp:server0:tool1"
    yield "a tool that is not there", "/activity?tool=mcp:server0:none"
    yield "errors of one agent", "/activity?agent=Agent+3&outcome=error"
    yield "a rare server, denied", "/activity?integration=server7&outcome=denied"
    yield "one day 40 days ago", f"/activity?since={day}&until={day}"
    yield "that day, one person", f"/activity?since={day}&until={day}&user=user0@example.com"
    yield "until that day, refused", f"/activity?until={day}&outcome=refused"
    yield "one approval", "/activity?approval=apr_1"
    yield "a word that is common", "/activity?text=printer"
    yield "a word that is rare", "/activity?text=T-4711"
    yield "a word that is not there", "/activity?text=zebra"
    yield "home", "/"
    yield "agents", "/settings/agents"


def main(folder: Path) -> None:
    fresh = not folder.exists()
    open_store(folder)
    if fresh:
        fill(ROWS)
    app = opened(folder)
    with database.connection_context():
        began = time.perf_counter()
        while tallying.count_ahead():
            pass
        print(f"counting ahead what was left: {time.perf_counter() - began:.1f} s")
        print(f"{Entry.select().count():,} rows, {(folder / 'gatehouse.db').stat().st_size / 1e6:,.0f} MB")
        browser, _ = _signed_in(app)
        for name, path in questions():
            _measure(browser, name, path)
    _export(app)


def _measure(browser: FlaskClient, name: str, path: str) -> None:
    reply = browser.get(path)
    assert reply.status_code == 200, reply.text
    first, middle = stopwatch(lambda: browser.get(path))
    print(f"{name:28} {first:8.1f} ms first {middle:8.1f} ms then")


def _signed_in(app: Flask) -> tuple[FlaskClient, str]:
    browser = app.test_client()
    token = token_in(browser.get("/login").text)
    browser.post("/login", data={"email": "ann@example.com", "password": PASSWORD, "csrf_token": token})
    return browser, token_in(browser.get("/account").text)


def _export(app: Flask) -> None:
    """As the server streams it: piece by piece, nothing kept."""
    browser, token = _signed_in(app)
    began = time.perf_counter()
    form = {"csrf_token": token, "format": "csv"}
    reply = browser.post(
        "/activity/export", data=form, headers={"Origin": "http://localhost"}, buffered=False
    )
    size = sum(len(piece) for piece in reply.iter_encoded())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"export as CSV: {size / 1e6:,.0f} MB in {time.perf_counter() - began:.1f} s, process at most {peak:.0f} MB"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
