"""A process that asks for a fresh token: `python -m tests.load.asker DATA NAME SECONDS`, then a line on stdin for each
time.

Says the version it got, or the class of the refusal. It takes a holder of the lease for dead after these seconds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from webapp.errors import UpstreamError
from webapp.services import integrations, tokens
from webapp.store.database import open_store
from webapp.store.models import database


def main(data: str, name: str, lease_seconds: str) -> None:
    open_store(Path(data), os.environ.get("DATABASE_URL", ""))
    tokens.LEASE_SECONDS = float(lease_seconds)
    tokens.WAIT_SECONDS = 2 * tokens.LEASE_SECONDS + 60
    with database.connection_context():
        integration = integrations.find(name)
        print("ready", flush=True)
        for _ in sys.stdin:
            try:
                print(tokens.present(integration).version, flush=True)
            except UpstreamError as error:
                print(type(error).__name__, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
