"""How gunicorn serves the program; the Procfile and `make run` both point here."""

from __future__ import annotations

import os
from typing import Any

from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):  # type: ignore[misc]
    """Uvicorn would believe X-Forwarded-* of everybody on this machine; FORWARDED_HOPS decides that here."""

    CONFIG_KWARGS: dict[str, Any] = {
        "loop": "uvloop",
        "http": "httptools",
        "proxy_headers": False,
        "server_header": False,
    }


bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "webapp.serving.Worker"
# Agents keep their connections: the default of 2 seconds would drop them between two calls.
keepalive = 75
timeout = 60
graceful_timeout = 20
control_socket_disable = True  # nobody speaks to it, and it would be one more door
