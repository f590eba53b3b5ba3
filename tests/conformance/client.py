"""The client that the official suite tests: Gatehouse's own probe, sign-in, sync and calls, without its pages.

`python -m tests.conformance.client URL`, with the scenario's name and secrets in the environment. Where people would
sit, this program presses the buttons: it follows the sign-in page's redirect, and grants more access when asked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2

from config import Config
from webapp.errors import NeedsAuthorization, UpstreamError
from webapp.gateway.catalogue import load
from webapp.gateway.lines import Lines
from webapp.services import (
    accounts,
    checks,
    connections,
    grants,
    identity,
    integrations,
    registrations,
    sign_ins,
    sync,
)  # fmt: skip
from webapp.services.audit import COMMAND, Actor
from webapp.services.sign_ins import Route, Wish
from webapp.store.database import open_store, writing
from webapp.store.models import Grant, Integration, Session, Tool, User, database

SCENARIO = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
CONTEXT = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
HOME = "http://localhost:3000"
# Where the suite has our metadata document published.
DOCUMENT = "https://conformance-test.local/client-metadata.json"
NAME = "suite"
# The suite wants a client that gives up; a person would not be asked more often than this either.
MOST_SIGN_INS = 3


class Admin:
    """Somebody who signs in to servers and grants what is asked for."""

    def __init__(self) -> None:
        user = User.create(email="ann@example.com", password_hash="-", role="admin")
        accounts.start_session(user, "", "suite")
        self._actor = Actor("user", user.email, user.id, "admin")
        self._session = Session.get()
        self._sign_ins = 0

    def sign_in(self, server: Integration, wish: Wish = "keep") -> None:
        self._sign_ins += 1
        if self._sign_ins > MOST_SIGN_INS:
            sys.exit("the server is never satisfied")
        row = sign_ins.begin(server, self._actor, self._session, Route(HOME), wish=wish)
        with httpx2.Client(trust_env=False) as browser:
            reply = browser.get(sign_ins.jump(row), follow_redirects=False)
        answer = dict(parse_qsl(urlsplit(reply.headers["location"]).query, keep_blank_values=True))
        done = sign_ins.come_back(answer, self._session, self._actor)
        if done.ended != "done":
            sys.exit(f"not signed in: {done.problem}")


def add(url: str) -> Integration:
    """On this machine and without encryption, which an admin has to allow."""
    server = integrations.add_server(url, COMMAND, name=NAME)
    verdict = checks.run(server)
    while verdict.offer:  # the server's own place, then its sign-in service's
        server = integrations.allow_private(server, verdict.offer, COMMAND)
        verdict = checks.run(server)
    logging.info("found: %s", [finding.text for finding in verdict.findings])
    return integrations.find(NAME)


def connect(server: Integration, admin: Admin) -> None:
    """As the wizard would: with a sign-in where the server wants one."""
    verdict = checks.progress(server).verdict
    if CONTEXT.get("client_id"):
        issuer = verdict.oauth.get("issuer", "") if verdict else ""
        secret = CONTEXT.get("client_secret", "")
        registrations.enter(
            server, issuer, CONTEXT["client_id"], secret, identity.return_address(HOME), COMMAND
        )
    if verdict and verdict.sign_in in ("none", "oauth_late", "calls_only"):
        connections.save_headers(server, "none", [], COMMAND)
    else:
        admin.sign_in(server)
    fetch(server, admin)


def fetch(server: Integration, admin: Admin) -> None:
    while True:
        try:
            sync.sync(integrations.find(server.name), COMMAND)
            return
        except NeedsAuthorization as wall:
            admin.sign_in(server, wish_after(wall))


def wish_after(wall: NeedsAuthorization) -> Wish:
    return "more" if grants.demanded_scope(wall) is not None else "keep"


def call_all(server: Integration, admin: Admin) -> None:
    for tool in list(Tool.of(server)):
        while True:
            try:
                asyncio.run(call(tool))
                break
            except NeedsAuthorization as wall:
                scope = grants.demanded_scope(wall)
                with writing():
                    if scope is not None and Grant.of(server) and not grants.demand(server.id, scope):
                        sys.exit("the server refuses what it granted")
                admin.sign_in(server, wish_after(wall))
            except UpstreamError as error:
                logging.info("%s: %s", tool.name, error.what)
                break


async def call(tool: Tool) -> None:
    lines = Lines(max_result=2**20, call_seconds=20)
    known = load().by_name[tool.catalogue_name]
    try:
        logging.info("%s: %s", tool.name, await lines.call(known, arguments_for(tool.definition)))
    finally:
        await lines.close()


def arguments_for(definition: dict[str, Any]) -> dict[str, Any]:
    """Something of the right type for everything the tool asks for."""
    samples = {"string": "x", "number": 5, "integer": 5, "boolean": True, "array": [], "object": {}}
    schema = definition.get("inputSchema", {})
    return {name: samples.get(rule.get("type"), "x") for name, rule in schema.get("properties", {}).items()}


def main(url: str) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        open_store(Path(folder) / "data")
        identity.configure(Config(public_url=HOME))
        identity.document_address = lambda: DOCUMENT  # type: ignore[assignment]
        with database.connection_context():
            admin, server = Admin(), add(url)
            connect(server, admin)
            call_all(server, admin)


if __name__ == "__main__":
    main(sys.argv[-1])
