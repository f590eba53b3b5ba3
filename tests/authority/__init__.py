"""A sign-in service with an MCP server behind it, on loopback, honest or faulty as a test orders it.

with authority(iss="wrong", token="form") as service:
    service.mcp_url, service.issuer, service.allowance()
    service.faults.iss = "right"
    service.walk(authorization_url)  # → the callback
    service.asked("/token")[0].form, service.exchanges, service.secrets
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.authority.faults import Faults
from tests.authority.service import Seen, Service
from tests.house import Server, in_thread

__all__ = ["Faults", "Seen", "Service", "authority"]


@contextmanager
def authority(**faults: Any) -> Iterator[Service]:
    """Until the block ends, in a thread; any process of this machine can reach it."""
    service = Service(Faults(**faults))
    with socket.create_server(("127.0.0.1", 0)) as main, socket.create_server(("127.0.0.1", 0)) as decoy:
        service.open_at(main.getsockname()[1], decoy.getsockname()[1])
        config = uvicorn.Config(service, log_level="critical", timeout_graceful_shutdown=1)
        with in_thread(Server(config), main, decoy):
            yield service
