"""What every command has: its refusals are one line on stderr and exit 1, and what it prints is safe to show."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import click
from flask import current_app
from flask.cli import with_appcontext
from peewee import DatabaseError

from config import Config
from webapp.errors import NotFound, Refused
from webapp.services.visible import has_hidden, told
from webapp.store.models import Integration
from webapp.store.problems import explained

as_json = click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command whose refusals are one line on stderr and exit 1."""

    def wrap(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except Refused as refusal:
                refuse(refusal)
            except (OSError, UnicodeDecodeError) as error:
                refuse(Refused(f"The file can't be used: {getattr(error, 'strerror', None) or error}."))
            except DatabaseError as error:
                problem = explained(error)
                problem.why = problem.why or f"{error}."
                refuse(problem)

        return click.command(name)(with_appcontext(run))

    return wrap


def refuse(refusal: Refused) -> NoReturn:
    words = (refusal.what, refusal.why, refusal.next_step)
    say(" ".join(" ".join(words).split()), err=True)
    sys.exit(1)


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


def integration(name: str) -> Integration:
    found: Integration | None = Integration.get_or_none(Integration.name == name)
    if found is None:
        raise NotFound(f"There is no integration called {name}.")
    return found
