"""Servers, their tools and policies."""

from __future__ import annotations

import sys

import click

from webapp.cli.command import as_json, cell, command, integration, say, settings, show
from webapp.errors import InvalidInput, NotFound, Refused
from webapp.services import checks, connections, integrations, policies, sync
from webapp.services.audit import COMMAND
from webapp.store.models import Integration, Tool


@command("add-server")
@click.argument("url")
@click.option("--name", help="Short name for addresses and tools; made from the host by default.")
@click.option("--bearer-stdin", is_flag=True, help="Read a bearer token from standard input.")
@click.option("--header", help="Name of a header whose value is read from standard input.")
@click.option("--allow-private", is_flag=True, help="Yes, this is a server in my own network.")
def add_server(
    url: str, name: str | None, bearer_stdin: bool, header: str | None, allow_private: bool
) -> None:
    """Connect an MCP server: check it, sign in, fetch its tools. Nothing is kept when that fails."""
    secret = sys.stdin.readline().strip() if bearer_stdin or header else ""
    draft = integrations.add_server(url, COMMAND, name=name)
    try:
        _connect(draft, header, secret, allow_private)
    except (Exception, KeyboardInterrupt):
        integrations.discard_draft(draft, COMMAND)
        raise
    count = Tool.of(draft).count()
    say(f"{draft.name} is connected, with {count} tools.")


def _connect(draft: Integration, header: str | None, secret: str, allow_private: bool) -> None:
    verdict = checks.run(draft)
    if verdict.offer and allow_private:
        integrations.allow_private(draft, verdict.offer, COMMAND)
        verdict = checks.run(integration(draft.name))
    if not (verdict.usable or secret):
        problem = next((f for f in reversed(verdict.findings) if f.state == "problem"), None)
        raise InvalidInput(
            problem.text if problem else "This server can't be used.",
            next_step="Add --allow-private if this is a server in your own network."
            if verdict.offer
            else (problem.next_step if problem else ""),
        )
    draft = integration(draft.name)
    if header:
        connections.save_headers(draft, "header", [(header, "{secret}", secret)], COMMAND)
    elif secret:
        connections.save_headers(draft, "bearer", [("Authorization", "Bearer {secret}", secret)], COMMAND)
    elif verdict.sign_in != "none":
        raise _sign_in_wanted(in_browser=bool(verdict.oauth))
    else:
        connections.save_headers(draft, "none", [], COMMAND)
    sync.sync(integration(draft.name), COMMAND)
    integrations.finish(integration(draft.name), COMMAND)


def _sign_in_wanted(*, in_browser: bool) -> InvalidInput:
    if not in_browser:
        return InvalidInput("This server wants a sign-in.", next_step="Pass a token with --bearer-stdin.")
    return InvalidInput(
        "This server wants a sign-in in the browser (OAuth).",
        next_step=f"Add it at {settings().address}/settings/integrations/new, or pass a token with --bearer-stdin.",
    )


@command("servers")
@as_json
def servers(json_wanted: bool) -> None:
    """List the integrations."""
    rows = (
        {"name": i.name, "kind": i.kind, "state": i.state, "tools": Tool.of(i).count(), "url": i.url,
         "synced_at": i.synced_at, "reason": i.state_reason}
        for i in Integration.listed()
    )  # fmt: skip
    show(rows, json_wanted)


@command("sync")
@click.argument("name", required=False)
def sync_now(name: str | None) -> None:
    """Fetch the tools of one server, or of all."""
    failed = False
    for one in [integration(name)] if name else Integration.listed().where(Integration.state != "draft"):
        try:
            result = sync.sync(one, COMMAND)
            say(f"{one.name}: {result}")
        except Refused as refusal:
            failed = True
            say(f"{one.name}: {cell(refusal.what)}", err=True)
    if failed:
        sys.exit(1)


@command("disconnect")
@click.argument("name")
def disconnect(name: str) -> None:
    """Remove a server with its tools, policies and secret."""
    integrations.disconnect(integration(name), name, COMMAND)
    say(f"{name} is gone, with its tools and policies.")


@command("tools")
@click.argument("name", required=False)
@as_json
def tools(name: str | None, json_wanted: bool) -> None:
    """List tools with their policies and why."""
    query = Tool.of(integration(name)) if name else Tool.select().order_by(Tool.catalogue_name)
    rows = (
        {"catalogue_name": t.catalogue_name, "policy": t.policy, "seed": t.seed_policy, "reason": t.seed_reason,
         "wire_name": t.wire_name}
        for t in query
    )  # fmt: skip
    show(rows, json_wanted)


@command("set-policy")
@click.argument("catalogue_name")
@click.argument("policy", type=click.Choice(["auto", "approval", "disabled"]))
def set_policy(catalogue_name: str, policy: str) -> None:
    """Set a tool's policy; it holds from the next call on."""
    tool = Tool.get_or_none(Tool.catalogue_name == catalogue_name)
    if tool is None:
        raise NotFound(f"There is no tool called {catalogue_name}.")
    policies.set_policy(tool, policy, COMMAND)
    say(f"{catalogue_name}: {policy}")
