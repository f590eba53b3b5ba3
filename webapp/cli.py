"""The commands: what an admin does in the browser, from a shell. Exit 0, or one line of reason on stderr and exit 1."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from peewee import DatabaseError

from config import Config, from_environment
from webapp.errors import InvalidInput, NotFound, Refused
from webapp.services import (
    accounts,
    agents,
    approvals,
    audit,
    backups,
    checks,
    connections,
    integrations,
    inventory,
    keys,
    lost_key,
    moving,
    pauses,
    policies,
    relocation,
    second_step,
    sync,
)
from webapp.services.audit import COMMAND
from webapp.services.standstill import EVERYTHING
from webapp.services.visible import has_hidden, told
from webapp.store.database import BACKUPS, KEY_FILE
from webapp.store.models import Approval, Entry, Integration, Intent, Tool
from webapp.store.problems import explained

as_json = click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")


def init_app(app: Flask) -> None:
    for command in COMMANDS:
        app.cli.add_command(command)


def configured() -> Config:
    """The settings, or one sentence about the wrong one and the end."""
    try:
        return from_environment()
    except ValueError as error:
        click.echo(f"{error}.", err=True)
        sys.exit(1)


def without_store(config: Config, problem: Exception) -> Flask:
    """For commands, where the database or the key can't be used: those that mend it are there all the same, the others
    say why they are not. Raises the problem where no command was asked for."""
    if click.get_current_context(silent=True) is None:
        raise problem
    app = Flask("webapp")
    app.extensions["gatehouse"] = config
    for one in COMMANDS:
        app.cli.add_command(one if one.name in MENDING else _closed(one.name or "", problem))
    return app


def _closed(name: str, problem: Exception) -> click.Command:
    def say() -> None:
        _refuse(problem if isinstance(problem, Refused) else explained(problem))

    anything = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    return click.Command(name, callback=say, context_settings=anything)


def _refuse(refusal: Refused) -> NoReturn:
    words = (refusal.what, refusal.why, refusal.next_step)
    say(" ".join(" ".join(words).split()), err=True)
    sys.exit(1)


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command whose refusals are one line on stderr and exit 1."""

    def wrap(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except Refused as refusal:
                _refuse(refusal)
            except (OSError, UnicodeDecodeError) as error:
                _refuse(Refused(f"The file can't be used: {getattr(error, 'strerror', None) or error}."))
            except DatabaseError as error:
                problem = explained(error)
                problem.why = problem.why or f"{error}."
                _refuse(problem)

        made = click.command(name)(with_appcontext(run))
        COMMANDS.append(made)
        return made

    return wrap


COMMANDS: list[click.Command] = []
MENDING = ("restore", "forget-secrets")


def settings() -> Config:
    config: Config = current_app.extensions["gatehouse"]
    return config


def show(rows: Iterable[dict[str, Any]], json_wanted: bool) -> None:
    rows = list(rows)
    if json_wanted:
        text = json.dumps(rows, ensure_ascii=False, indent=2, default=str)
        click.echo(json.dumps(rows, indent=2, default=str) if has_hidden(text) else text)
        return
    for row in rows:
        say("\t".join("" if value is None else cell(value) for value in row.values()))


def cell(value: object) -> str:
    """Whoever calls chooses names and reasons: none of them makes a row, or a column, of its own."""
    return str(value).replace("\n", "\\n").replace("\t", "\\t")


def say(text: str, *, err: bool = False) -> None:
    """Terminals obey what they are shown: words of agents and servers have their control characters named."""
    click.echo(told(text), err=err)


@command("setup-code")
@click.option("--if-needed", is_flag=True, help="Say nothing where an account exists.")
def setup_code(if_needed: bool) -> None:
    """Print the address and the one-time code that makes the first admin."""
    code = accounts.setup_code(settings().data)
    if code is None:
        if not if_needed:
            raise InvalidInput("There is an account already: sign in with it.")
        return
    say(f"Open {settings().address}/setup and enter this set-up code: {code}")


@command("create-user")
@click.argument("email")
@click.option("--role", type=click.Choice(["admin", "technician", "viewer"]), required=True)
@click.option("--name", default="")
def create_user(email: str, role: str, name: str) -> None:
    """Add a person; the password comes from standard input."""
    user = accounts.create_user(email, name, sys.stdin.readline().rstrip("\n"), role, COMMAND)
    say(f"{user.email} can sign in as {user.role}.")


@command("reset-second-step")
@click.argument("email")
def reset_second_step(email: str) -> None:
    """Take away the second step of somebody who lost their phone and their recovery codes."""
    user = accounts.find_user(email)
    second_step.reset(user, COMMAND)
    say(f"{user.email} can sign in with the password alone.")


@command("create-agent")
@click.argument("name")
@click.option("--only", multiple=True, help="Limit to this integration; may be repeated.")
def create_agent(name: str, only: tuple[str, ...]) -> None:
    """Add an agent and print its key, once."""
    _, key = agents.create(name, COMMAND, integrations=[integration(n) for n in only] or None)
    say(key)


@command("revoke-agent")
@click.argument("name")
def revoke_agent(name: str) -> None:
    """Take an agent's key away, at once."""
    agents.revoke(agents.by_name(name), COMMAND)
    say(f"{name} can no longer call tools.")


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


@command("approvals")
@as_json
def waiting(json_wanted: bool) -> None:
    """List the calls that wait for a person."""
    rows = (
        {"id": a.id, "agent": a.agent_name, "tool": a.catalogue_name, "asked_at": a.created_at,
         "expires_at": a.expires_at, "arguments": approvals.arguments_of(a), "reason": a.reason}
        for a in Approval.waiting()
    )  # fmt: skip
    show(rows, json_wanted)


@command("decide")
@click.argument("approval_id", metavar="ID")
@click.argument("decision", type=click.Choice(["approve", "deny"]))
@click.option("--note", default="", help="Reaches the agent.")
def decide(approval_id: str, decision: str, note: str) -> None:
    """Approve or deny a waiting call."""
    approval = approvals.decide(approval_id, decision, COMMAND, note)
    say(f"{approval.id}: {approval.state}")


@command("activity")
@click.option("--tool", default="", help="Only this catalogue name.")
@click.option("--limit", default=50, show_default=True)
@as_json
def activity(tool: str, limit: int, json_wanted: bool) -> None:
    """List calls and changes, newest first."""
    query = Entry.newest({"tool": tool} if tool else {}).limit(limit)
    rows = (
        {"id": e.id, "at": e.at, "kind": e.kind, "actor": e.actor, "action": e.action, "tool": e.tool,
         "outcome": e.outcome, "ip": e.ip, "duration_ms": e.duration_ms, "approval": e.approval,
         "details": json.loads(e.details)}
        for e in query
    )  # fmt: skip
    show(rows, json_wanted)


@command("intents")
@as_json
def on_its_way(json_wanted: bool) -> None:
    """List the writes that are on their way right now."""
    rows = (
        {"id": i.id, "since": i.created_at, "tool": i.entry["tool"], "worker": i.worker}
        for i in Intent.select().order_by(Intent.created_at)
    )
    show(rows, json_wanted)


@command("pause")
@click.argument("name", required=False)
@click.option("--agent", help="An agent instead of a server.")
@click.option("--all", "everything", is_flag=True, help="All calls of everybody.")
@click.option("--writes", is_flag=True, help="All writes of everybody.")
@click.option("--reason", required=True, help="Stands on Home and in the log.")
def pause(name: str | None, agent: str | None, everything: bool, writes: bool, reason: str) -> None:
    """Stop a server, an agent, all writes or all calls, from the next call on."""
    _one_of(name, agent, everything, writes)
    if everything or writes:
        made = pauses.stop("calls" if everything else "writes", COMMAND, reason)
        say(f"Stopped: {pauses.LEVELS[made.scope]}.")
    elif agent:
        pauses.pause_agent(agents.by_name(agent), COMMAND, reason)
        say(f"{agent} is paused.")
    else:
        pauses.pause_server(integration(name or ""), COMMAND, reason)
        say(f"{name} is paused.")


@command("resume")
@click.argument("name", required=False)
@click.option("--agent", help="An agent instead of a server.")
@click.option("--all", "everything", is_flag=True, help="What was stopped for everybody.")
def resume(name: str | None, agent: str | None, everything: bool) -> None:
    """Let a server, an agent or everything go on; what was paused by itself stays so."""
    _one_of(name, agent, everything)
    if everything:
        pauses.resume(EVERYTHING, COMMAND)
    elif agent:
        pauses.resume(pauses.key_of_agent(agents.by_name(agent)), COMMAND)
    else:
        pauses.resume(pauses.key_of_server(integration(name or "")), COMMAND)
    left = [one.key for one in pauses.standing()]
    say(f"Resumed. Still paused: {', '.join(left)}." if left else "Resumed. Nothing is paused.")


def _one_of(*given: object) -> None:
    if sum(bool(one) for one in given) != 1:
        raise InvalidInput("Name one thing: a server, --agent NAME, --all, or --writes to pause.")


@command("disconnect")
@click.argument("name")
def disconnect(name: str) -> None:
    """Remove a server with its tools, policies and secret."""
    integrations.disconnect(integration(name), name, COMMAND)
    say(f"{name} is gone, with its tools and policies.")


@command("verify-log")
def verify_log() -> None:
    """Walk the log's chain; name the first row that doesn't fit."""
    result = audit.verify()
    if not result.intact:
        raise Refused(
            f"The log does not fit from row {result.first_bad} on: it was changed outside Gatehouse."
        )
    gone = f" after {result.sealed} sealed and removed" if result.sealed else ""
    older = f", {result.unchecked} older ones of a key that was lost" if result.unchecked else ""
    say(f"The log is whole: {result.rows} rows{gone}{older}, head {result.head}")


@command("backup")
@click.argument("path", type=click.Path(path_type=Path))
def backup(path: Path) -> None:
    """Write a checked copy of the database; the key file is not in it."""
    if doubt := backups.backup(path, COMMAND):
        say(f"{doubt} Compare with an older backup.", err=True)
    say(f"Written to {path}. Keep the key file {settings().data / 'secret.key'} somewhere else.")


@command("restore")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
def restore(path: Path) -> None:
    """Put a backup in place of the database. Stop Gatehouse first."""
    backups.restore(path)
    say("Restored. The database that was there before stands beside it.")


@command("move-to")
@click.argument("url", envvar="MOVE_TO")
def move_to(url: str) -> None:
    """Copy everything to an empty PostgreSQL database and compare each row. Stop Gatehouse first.

    The address may come from the environment variable MOVE_TO instead, where its password is seen by nobody.
    """
    moved = relocation.move_to(url, settings().data, COMMAND)
    say(
        f"{moved.rows} rows of {moved.tables} tables are there and compare equal; the log's head is {moved.head}."
    )
    say(
        "Set DATABASE_URL to that address and start Gatehouse. The file that was used so far is left as it is."
    )


@command("export")
@click.argument("path", default="-", type=click.Path(path_type=Path, allow_dash=True))
def export_inventory(path: Path) -> None:
    """Write servers and policies as YAML, without secrets; to standard output by default."""
    text = inventory.write_down(COMMAND)
    if str(path) == "-":
        click.echo(text, nl=False)
    else:
        path.write_text(text)
        say(f"Written to {path}.", err=True)


@command("import")
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def import_inventory(path: Path, dry_run: bool) -> None:
    """Take servers and policies from a file of `export`. Says what agents may do more afterwards."""
    text = sys.stdin.read() if str(path) == "-" else path.read_text()
    found = inventory.read(text)
    plan = moving.draw(found) if dry_run else moving.move_in(found, COMMAND)
    for change in plan.others:
        say(change.what)
    for change in plan.inside:
        say(f"Into your own network: {change.what}")
    for change in plan.loosening:
        say(f"More permission: {change.what}")
    for change in plan.notes:
        say(f"Note: {change.what}")
    done = "would be made" if dry_run else "made"
    say(f"{plan.size} {'change' if plan.size == 1 else 'changes'} {done}.")


@command("rotate-key")
def rotate_key() -> None:
    """Seal every secret anew with a fresh key, while Gatehouse runs. Cut off, it is finished by running it again."""
    done = keys.rotate(settings().data, COMMAND)
    say(
        f"{done.sealed} secrets sealed with a new key, which running workers use already. Keep a new copy of the key "
        f"file {settings().data / 'secret.key'}; older backups open with the old one."
    )
    if done.lost:
        say(
            f"{done.lost} secrets could not be opened before either: sign in to those servers again.",
            err=True,
        )


@command("forget-secrets")
@click.option("--yes", is_flag=True, help="Yes, nobody has a copy of the key file.")
def forget_secrets(yes: bool) -> None:
    """Begin with a new key where the old one is lost: each server needs its sign-in again. Stop Gatehouse first."""
    if not yes:
        raise InvalidInput(
            "What was sealed with the lost key can't be opened by anybody: sign-ins, second steps, waiting calls.",
            next_step="If you have a copy of the key file, put it back instead. If nobody has, add --yes.",
        )
    config = settings()
    done = lost_key.forget(config.data, config.backup_dir or config.data / BACKUPS, COMMAND)
    say(
        f"A new key was made: keep a copy of {config.data / KEY_FILE} somewhere else. To sign in again: {done.servers} "
        f"servers. To set up again: {done.second_steps} second steps, {done.channels} channels of notices. Withdrawn: "
        f"{done.approvals} waiting calls. People, agents and their keys, policies and the log are as they were; a copy "
        "of the database from before is with the backups."
    )


def integration(name: str) -> Integration:
    found: Integration | None = Integration.get_or_none(Integration.name == name)
    if found is None:
        raise NotFound(f"There is no integration called {name}.")
    return found
