"""Accounts, from a shell."""

from __future__ import annotations

import sys

import click

from webapp.cli.command import command, say, settings
from webapp.errors import InvalidInput
from webapp.services import accounts, first_admin, second_step
from webapp.services.audit import COMMAND


@command("setup-code")
@click.option("--if-needed", is_flag=True, help="Say nothing where an account exists.")
def setup_code(if_needed: bool) -> None:
    """Print the address and the one-time code that makes the first admin."""
    code = first_admin.setup_code(settings().data)
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
