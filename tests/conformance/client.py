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
    checks,
    connections,
    dialects,
    grants,
    identity,
    integrations,
    registrations,
    sessions,
    sign_ins,
    sync,
)  # fmt: skip
from webapp.services.audit import COMMAND, Actor
from webapp.services.egress import egress_for
from webapp.services.sign_ins import Route, Wish
from webapp.store.database import open_store, writing
from webapp.store.models import Grant, Integration, Session, Tool, User, database
from webapp.upstream.client import HANDSHAKE, Client
from webapp.upstream.egress import Allowance

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
        sessions.start(user, "", "suite")
        self._actor = Actor("user", user.email, user.id, "admin")
        self._session = Session.get()
        self._sign_ins = 0

    def sign_in(self, server: Integration, wish: Wish = "keep") -> None:
        self._sign_ins += 1
        if self._sign_ins > MOST_SIGN_INS:
            sys.exit("the server is never satisfied")
        row = sign_ins.begin(server, self._actor, self._session, Route(HOME), wish=wish)
        with httpx2.Client(timeout=60, trust_env=False) as browser:
            reply = browser.get(sign_ins.jump(row), follow_redirects=False)
        answer = dict(parse_qsl(urlsplit(reply.headers["location"]).query, keep_blank_values=True))
        done = sign_ins.come_back(answer, self._session, self._actor)
        if done.ended != "done":
            sys.exit(f"not signed in: {done.problem}")


def add(url: str) -> Integration:
    server = integrations.add_server(url, COMMAND, name=NAME)
    if SCENARIO.startswith("auth/"):
        return allow()
    # Without the check: it calls a tool that can't exist, and the suite takes the first call for the one it wants.
    place = urlsplit(url)
    exception = Allowance(place.hostname or "", place.port or 80, "127.0.0.0/8, ::1/128", cleartext=True)
    return integrations.allow_private(server, exception, COMMAND)


def allow() -> Integration:
    """Everything here is on this machine and without encryption: the server's place, its sign-in service's."""
    server = integrations.find(NAME)
    while True:
        verdict = checks.run(server)
        logging.info("found: %s", [finding.text for finding in verdict.findings])
        if not verdict.offer:
            return integrations.find(NAME)
        server = integrations.allow_private(server, verdict.offer, COMMAND)


def connect(server: Integration, admin: Admin) -> None:
    """As the wizard would: with a sign-in where the server wants one."""
    verdict = checks.progress(server).verdict
    if CONTEXT.get("client_id"):
        issuer = verdict.oauth["issuer"] if verdict else ""
        secret = CONTEXT.get("client_secret", "")
        registrations.enter(
            server, issuer, CONTEXT["client_id"], secret, identity.return_address(HOME), COMMAND
        )
    if verdict is None or verdict.sign_in in ("none", "oauth_late", "calls_only"):
        connections.save_headers(server, "none", [], COMMAND)
    else:
        if not verdict.oauth:  # nothing published: what an admin may try under Advanced
            dialects.change(server, COMMAND, old_endpoints=True)
        admin.sign_in(integrations.find(NAME))
    fetch(server, admin)


def fetch(server: Integration, admin: Admin) -> None:
    while True:
        try:
            sync.sync(integrations.find(server.name), COMMAND)
            return
        except NeedsAuthorization as wall:
            admin.sign_in(allow(), wish_after(wall))


def wish_after(wall: NeedsAuthorization) -> Wish:
    return "more" if grants.demanded_scope(wall) is not None else "keep"


def call_all(server: Integration, admin: Admin) -> None:
    for name, arguments in wanted(server):
        tool = Tool.get_or_none(Tool.integration == server, Tool.name == name)
        while tool is not None:
            try:
                asyncio.run(call(tool, arguments))
                break
            except NeedsAuthorization as wall:
                scope = grants.demanded_scope(wall)
                with writing():
                    if scope is not None and Grant.of(server) and not grants.demand(server.id, scope):
                        sys.exit("the server refuses what it granted")
                admin.sign_in(allow(), wish_after(wall))
            except UpstreamError as error:
                logging.info("%s: %s", name, error.what)
                break


def wanted(server: Integration) -> list[tuple[str, dict[str, Any]]]:
    """What the suite wants called, or each tool with something of the right type for all it asks for."""
    if calls := CONTEXT.get("toolCalls"):
        return [(call["name"], call["arguments"]) for call in calls]
    if SCENARIO == "json-schema-2020-12-preservation":
        kept = Tool.get(Tool.name == "json_schema_2020_12_tool").definition["inputSchema"]
        return [("json_schema_echo", {"schema": kept})]
    return [(tool.name, arguments_for(tool.definition)) for tool in Tool.of(server)]


def arguments_for(definition: dict[str, Any]) -> dict[str, Any]:
    samples = {"string": "x", "number": 5, "integer": 5, "boolean": True, "array": [], "object": {}}
    properties = definition.get("inputSchema", {}).get("properties", {})
    return {name: samples.get(rule.get("type"), "x") for name, rule in properties.items()}


async def call(tool: Tool, arguments: dict[str, Any]) -> None:
    """Through the gateway's own lines; rounds of questions as an agent that has answers goes through them."""
    lines = Lines(Config(call_seconds=20), lambda _: None, lambda *_: None)
    known = load().by_name[tool.catalogue_name]
    try:
        result = await lines.call(known, arguments, capabilities={"elicitation": {}})
        while result.get("resultType") == "input_required":
            result = await lines.call(
                known, arguments, capabilities={"elicitation": {}}, another_round=answered(result)
            )
        logging.info("%s: %s", tool.name, result)
    finally:
        await lines.close()


def answered(result: dict[str, Any]) -> dict[str, Any]:
    questions = result.get("inputRequests", {})
    answers = {name: accepted(question.get("params", {})) for name, question in questions.items()}
    state = result.get("requestState")
    return {"inputResponses": answers} | ({} if state is None else {"requestState": state})


def accepted(question: dict[str, Any]) -> dict[str, Any]:
    """An elicitation, accepted with the form's own defaults."""
    form = question.get("requestedSchema", {}).get("properties", {})
    samples = {"string": "x", "number": 5, "integer": 5, "boolean": True}
    content = {name: rule.get("default", samples.get(rule.get("type"))) for name, rule in form.items()}
    return {"action": "accept", "content": content}


async def answer_questions(url: str) -> None:
    """The old era: the server asks in the middle of a call, and the client answers by another request."""

    async def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        return accepted(params) if method == "elicitation/create" else None

    egress = egress_for(integrations.find(NAME))
    async with egress.http() as http:
        client = Client(url, http, version=HANDSHAKE[0], on_request=answer)
        await client.connect()
        listening = asyncio.create_task(client.listen())
        for tool in (await client.list_tools()).tools:
            logging.info("%s: %s", tool.name, await client.call_tool(tool.name, {}))
        listening.cancel()
        await client.aclose()


def main(url: str) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        open_store(Path(folder) / "data")
        identity.configure(Config(public_url=HOME))
        identity.document_address = lambda: DOCUMENT  # type: ignore[assignment]
        with database.connection_context():
            admin, server = Admin(), add(url)
            if SCENARIO.startswith("elicitation"):
                asyncio.run(answer_questions(url))
                return
            connect(server, admin)
            call_all(server, admin)


if __name__ == "__main__":
    main(sys.argv[-1])
