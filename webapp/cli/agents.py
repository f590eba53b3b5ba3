"""Agents, and what stands still."""

from __future__ import annotations

import click

from webapp.cli.command import command, integration, say
from webapp.errors import InvalidInput
from webapp.services import agents, pauses
from webapp.services.audit import COMMAND
from webapp.services.standstill import EVERYTHING


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
