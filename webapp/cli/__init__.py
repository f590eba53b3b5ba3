"""The commands: what an admin does in the browser, from a shell. Exit 0, or one line of reason on stderr and exit 1."""

from __future__ import annotations

import sys

import click
from flask import Flask

from config import Config, from_environment
from webapp.cli import agents, calls, data, people, servers
from webapp.cli.command import refuse
from webapp.errors import Refused
from webapp.store.problems import explained

ROOMS = (people, servers, agents, calls, data)
COMMANDS = [one for room in ROOMS for one in vars(room).values() if isinstance(one, click.Command)]
MENDING = ("restore", "forget-secrets")


def init_app(app: Flask) -> None:
    for one in COMMANDS:
        app.cli.add_command(one)


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
        refuse(problem if isinstance(problem, Refused) else explained(problem))

    anything = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    return click.Command(name, callback=say, context_settings=anything)
