"""A mail server for tests: takes mail on a free loopback port, with or without TLS, and can refuse."""

from __future__ import annotations

import base64
import contextlib
import email
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any


@dataclass
class MailServer:
    """`refuses`: SMTP verb → answer given instead of taking it. `login`: user and password, where it wants one."""

    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    refuses: dict[str, str] = field(default_factory=dict)
    messages: list[EmailMessage] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    port: int = 0


class Session(socketserver.StreamRequestHandler):
    house: MailServer

    def handle(self) -> None:
        self.house = self.server.house  # type: ignore[attr-defined]
        self.house.connections += 1
        self.secure = self.trusted = False
        self.say("220 here")
        with contextlib.suppress(OSError):
            while line := self.rfile.readline().decode().strip():
                verb = line.split(" ")[0].upper()
                if refusal := self.house.refuses.get(verb):
                    self.say(refusal)
                elif verb == "QUIT":
                    return self.say("221 bye")
                else:
                    getattr(self, f"do_{verb}", self.fine)(line)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.request.close()

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def fine(self, line: str) -> None:
        self.say("250 fine")

    def do_EHLO(self, line: str) -> None:
        offers = ["STARTTLS"] if self.house.tls and not self.secure else []
        offers += ["AUTH PLAIN"] if self.house.login else []
        lines = ["here", *offers]
        for number, text in enumerate(lines, start=1):
            self.say(f"250{' ' if number == len(lines) else '-'}{text}")

    def do_STARTTLS(self, line: str) -> None:
        assert self.house.tls
        self.say("220 go on")
        self.request = self.house.tls.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
        self.secure = True

    def do_AUTH(self, line: str) -> None:
        given = base64.b64decode(line.split(" ")[2]).decode().split("\0")[1:]
        self.trusted = tuple(given) == self.house.login
        self.say("235 welcome" if self.trusted else f"535 no, {given[1]} is wrong")

    def do_DATA(self, line: str) -> None:
        if self.house.login and not self.trusted:
            return self.say("530 sign in first")
        self.say("354 go on")
        lines: list[bytes] = []
        while (row := self.rfile.readline()) != b".\r\n":
            lines.append(row[1:] if row.startswith(b"..") else row)
        message: Any = email.message_from_bytes(b"".join(lines), policy=default)
        self.house.messages.append(message)
        self.house.came.set()
        self.say("250 taken")


@contextlib.contextmanager
def mail_server(
    tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None
) -> Iterator[MailServer]:
    house = MailServer(tls, login)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        server.daemon_threads = True
        server.house = house  # type: ignore[attr-defined]
        house.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield house
        finally:
            server.shutdown()
            thread.join()
