"""Handing a mail to a mail server: through the guard, with TLS, and with failures in words that hold no secret."""

from __future__ import annotations

import asyncio
import io
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass, field
from email.message import EmailMessage

from webapp.errors import BadReply, NeedsAuthorization, Unreachable, UpstreamError
from webapp.upstream.egress import Egress, explain

SECONDS = 15.0
WHOLE_SECONDS = 60.0
MOST_BYTES = 256 * 1024  # of all its answers
PORTS = frozenset({25, 465, 587, 2525})


@dataclass(frozen=True)
class MailServer:
    """`security`: starttls, tls (from the first byte on) or none."""

    host: str
    port: int
    security: str
    user: str = ""
    password: str = field(default="", repr=False)


def send(egress: Egress, server: MailServer, message: EmailMessage) -> None:
    """Blocks until the server has taken the message. Raises UpstreamError; not for a thread with an event loop."""
    try:
        with _Session(egress, server) as session:
            session.prepare()
            session.send_message(message)
    except UpstreamError:
        raise
    except (smtplib.SMTPException, OSError) as error:
        raise _in_words(error, server) from error


class _Session(smtplib.SMTP):
    def __init__(self, egress: Egress, server: MailServer) -> None:
        super().__init__(timeout=SECONDS)
        self._egress, self._server = egress, server
        self._host = server.host  # the name that a certificate must carry
        self._until = time.monotonic() + WHOLE_SECONDS

    def prepare(self) -> None:
        self.connect(self._server.host, self._server.port)
        if self._server.security == "starttls":
            self.starttls(context=self._egress.tls)
        if self._server.user:
            self.login(self._server.user, self._server.password)

    def getreply(self) -> tuple[int, bytes]:
        """smtplib by itself reads on for as long as an answer has more lines, or a line more bytes."""
        if self.file is None:
            assert self.sock
            self.file = io.BufferedReader(_Answers(self.sock, self._until, self._server.host))
        return super().getreply()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """The one place where smtplib connects: to addresses that the guard has checked."""
        addresses = asyncio.run(self._egress.addresses(host, port))
        plain = _connected(addresses, port, timeout)
        if self._server.security != "tls":
            return plain
        return self._egress.tls.wrap_socket(plain, server_hostname=host)


class _Answers(io.RawIOBase):
    """What the server says, until a moment and up to a size."""

    def __init__(self, sock: socket.socket, until: float, host: str) -> None:
        self._sock, self._until, self._host, self._left = sock, until, host, MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        seconds = self._until - time.monotonic()
        if seconds <= 0 or self._left <= 0:
            raise BadReply(f"The mail server {self._host} came to no end with its answers.", kind="not_mail")
        self._sock.settimeout(SECONDS)
        count = self._sock.recv_into(buffer)
        self._left -= count
        return count


def _connected(addresses: list[str], port: int, timeout: float) -> socket.socket:
    for address in addresses[:-1]:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError:
            continue  # the last one's failure is the one that is told
    return socket.create_connection((addresses[-1], port), timeout)


def _in_words(error: Exception, server: MailServer) -> UpstreamError:
    """Only the numbers of what the server said: its words may quote what was sent."""
    place = f"The mail server {server.host}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return NeedsAuthorization(f"{place} refused the user name or the password.", http_status=401)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return BadReply(f"{place} does not offer what is asked of it, TLS or a sign-in.", kind="not_mail",
                        next_step="Choose another kind of connection or another port.")  # fmt: skip
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return BadReply(f"{place} takes no mail for these recipients.", kind="not_mail")
    if isinstance(error, smtplib.SMTPSenderRefused):
        return BadReply(f"{place} takes no mail from this sender.", kind="not_mail")
    if isinstance(error, smtplib.SMTPResponseException):
        return BadReply(f"{place} refused the mail (code {error.smtp_code}).", kind="not_mail")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return Unreachable(f"{place} closed the connection.", kind="closed")
    if isinstance(error, (ssl.SSLError, OSError)):
        return explain(error, f"smtp://{server.host}:{server.port}/")
    return BadReply(f"{place} gave an answer that can't be used.", kind="not_mail")
