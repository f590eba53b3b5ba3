"""Handing a mail to a mail server: through the guard, with TLS, and with failures in words that hold no secret."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage

from webapp.errors import BadReply, NeedsAuthorization, Unreachable, UpstreamError
from webapp.upstream.egress import Egress, explain

SECONDS = 15.0
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

    def prepare(self) -> None:
        self.connect(self._server.host, self._server.port)
        if self._server.security == "starttls":
            self.starttls(context=self._egress.tls)
        if self._server.user:
            self.login(self._server.user, self._server.password)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """The one place where smtplib connects: to addresses that the guard has checked."""
        addresses = asyncio.run(self._egress.addresses(host, port))
        plain = _connected(addresses, port, timeout)
        if self._server.security != "tls":
            return plain
        return self._egress.tls.wrap_socket(plain, server_hostname=host)


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
