"""The database and its key: copies, moves, and a key that is changed or lost."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from webapp.cli.command import command, say, settings
from webapp.errors import InvalidInput
from webapp.services import backups, inventory, keys, lost_key, moving, relocation
from webapp.services.audit import COMMAND
from webapp.store.database import BACKUPS, KEY_FILE


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
