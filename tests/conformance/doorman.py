"""Shows an agent's key at the door for programs that can't: the official suite sends no Authorization header.

One connection carries one request. Everything else passes through byte for byte, so that what is judged is
Gatehouse and not this.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from io import BufferedIOBase
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit


class Doorman(ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, house: tuple[str, int], key: str) -> None:
        super().__init__(("127.0.0.1", 0), Guest)
        self.house = house
        self.own_headers = b"Connection: close\r\nAuthorization: Bearer %s\r\n" % key.encode()


class Guest(StreamRequestHandler):
    server: Doorman

    def handle(self) -> None:
        if head := self._head():
            with socket.create_connection(self.server.house) as house, house.makefile("rb") as answer:
                house.sendall(head)
                back = threading.Thread(target=carry, args=(answer, self.connection), daemon=True)
                back.start()
                carry(self.rfile, house)
                back.join()

    def _head(self) -> bytes:
        """The request line and headers, ours included; empty when nobody asks anything."""
        line = self.rfile.readline()
        if not line:
            return b""
        head = line + self.server.own_headers
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            if not line.lower().startswith(b"connection:"):
                head += line
        return head + b"\r\n"


def carry(source: BufferedIOBase, target: socket.socket) -> None:
    """Until either side ends or cuts the line; then the other one is told."""
    with contextlib.suppress(OSError):
        while chunk := source.read1():
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def doorman(url: str, key: str) -> Iterator[str]:
    """Yields an address that leads to `url` with the key shown."""
    house = urlsplit(url)
    assert house.hostname and house.port
    with Doorman((house.hostname, house.port), key) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
