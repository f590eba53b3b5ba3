"""How gunicorn serves the program; the Procfile and `make run` both point here."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import resource
import signal
import socket
import sys
from typing import Any

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from config import from_environment
from webapp import memory
from webapp.doorway import Doorway
from webapp.logs import JsonLines

MOST_FILES = 65536
LOG_FORMAT = os.environ.get("LOG_FORMAT", "plain")


def without_secrets(record: logging.LogRecord) -> bool:
    """What opens something belongs into no access log: the code and the state of a way back from a sign-in service or a
    provider, and the token of an invitation."""
    if isinstance(record.args, tuple):
        record.args = tuple(_short(one) if isinstance(one, str) else one for one in record.args)
    return True


def _short(path: str) -> str:
    if path.startswith("/invite/"):
        return "/invite/…"
    return path.partition("?")[0] if path.startswith(("/oauth/", "/login/")) else path


class GoodServer(Server):
    """Tells the program before it waits for its requests: some would go on for an hour."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.leaving()  # type: ignore[union-attr]
        await super().shutdown(sockets)


class Worker(UvicornWorker):  # type: ignore[misc]
    """Leaves when its master is gone; believes nobody's X-Forwarded-*, which FORWARDED_HOPS decides further in."""

    CONFIG_KWARGS: dict[str, Any] = {
        "loop": "uvloop",
        "http": Doorway,
        "proxy_headers": False,
        "server_header": False,
        "timeout_notify": 2,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        logging.getLogger("uvicorn.access").addFilter(without_secrets)
        self._holes = memory.Holes()

    async def _serve(self) -> None:
        """As UvicornWorker does, but for the class of the server."""
        self.config.app = self.wsgi
        server = GoodServer(config=self.config)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def callback_notify(self) -> None:
        """Asked every two seconds. A master killed outright leaves orphans that would hold the port for ever."""
        if os.getppid() != self.ppid:
            signal.raise_signal(signal.SIGTERM)
        await self._holes.close()
        await super().callback_notify()


class Log(Logger):  # type: ignore[misc]
    """gunicorn's own lines in the form of ours."""

    def _set_handler(self, log: Any, output: Any, fmt: logging.Formatter, stream: Any = None) -> None:
        super()._set_handler(log, output, JsonLines() if LOG_FORMAT == "json" else fmt, stream)


def on_starting(arbiter: Arbiter) -> None:
    """Loaded once, before there are workers: they share it, and a new one is there in no time. Garbage collection in a
    worker leaves it alone, which would make a copy of every page that it looks at."""
    try:
        from_environment()
    except ValueError as error:
        sys.exit(f"Gatehouse does not start: {error}.")
    memory.keep_little()
    _take_all_connections()
    importlib.import_module("webapp.asgi")
    importlib.import_module("webapp.routes").load()
    gc.collect()
    gc.freeze()


def _take_all_connections() -> None:
    """Each is a file to the system, whose usual limit of 1,024 is soon reached by whoever opens many."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, MOST_FILES) if most > 0 else MOST_FILES, most))


def post_worker_init(worker: Worker) -> None:
    """What was loaded to start with stays: looking through it for garbage again and again cost a tenth of each call."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
logger_class = "webapp.serving.Log"
worker_class = "webapp.serving.Worker"
# Agents keep their connections: the default of 2 seconds would drop them between two calls.
keepalive = 75
timeout = 60
graceful_timeout = 20
control_socket_disable = True  # nobody speaks to it, and it would be one more door
