"""Mail goes out through the guard, with TLS that is checked, and fails in words without a secret."""

from __future__ import annotations

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.mail_server import mail_server
from tests.upstream.certificates import ca_file, issue, private_authority, server_side
from webapp.errors import BadReply, EgressDenied, NeedsAuthorization, Unreachable, UpstreamError
from webapp.upstream import mail
from webapp.upstream.egress import Allowance, Egress
from webapp.upstream.mail import PORTS, MailServer, send

NAME = "mail.office.example"
PASSWORD = "hunter2-canary"


def message() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "gatehouse@example.com", "ann@example.com", "A notice"
    made.set_content("Hello.\n")
    return made


def guard(port: int, folder: Path | None = None, *, allowed: bool = True) -> Egress:
    allowances = [Allowance(NAME, port, "127.0.0.0/24")] if allowed else []
    return Egress(
        allowances,
        resolver=lambda host, port: ["127.0.0.1"],
        ports=PORTS,
        ca_file=ca_file(folder) if folder else None,
    )


@pytest.mark.parametrize("name", [NAME, "other.example"])
def test_starttls_is_checked_against_the_name(tmp_path: Path, name: str) -> None:
    tls = server_side(tmp_path, issue(name, private_authority()))
    with mail_server(tls, ("ann", PASSWORD)) as server:
        account = MailServer(NAME, server.port, "starttls", "ann", PASSWORD)
        if name == NAME:
            send(guard(server.port, tmp_path), account, message())
            assert server.messages[0]["Subject"] == "A notice"
        else:
            with pytest.raises(UpstreamError):
                send(guard(server.port, tmp_path), account, message())
            assert server.messages == []


def test_a_server_without_tls_is_refused_where_tls_is_wanted() -> None:
    with mail_server() as server, pytest.raises(BadReply, match="does not offer"):
        send(guard(server.port), MailServer(NAME, server.port, "starttls"), message())


def test_a_wrong_password_is_said_without_the_password(tmp_path: Path) -> None:
    tls = server_side(tmp_path, issue(NAME, private_authority()))
    with mail_server(tls, ("ann", "another")) as server:
        with pytest.raises(NeedsAuthorization) as refused:
            send(
                guard(server.port, tmp_path),
                MailServer(NAME, server.port, "starttls", "ann", PASSWORD),
                message(),
            )
        assert PASSWORD not in str(refused.value) and PASSWORD not in repr(
            MailServer(NAME, 25, "tls", "a", PASSWORD)
        )


def test_the_guard_decides_where_mail_may_go() -> None:
    with mail_server() as server:
        with pytest.raises(EgressDenied):
            send(guard(server.port, allowed=False), MailServer(NAME, server.port, "none"), message())
        with pytest.raises(EgressDenied):
            send(guard(server.port), MailServer("169.254.169.254", 25, "none"), message())
        assert server.connections == 0


def test_nobody_there_is_unreachable() -> None:
    with mail_server() as server:
        port = server.port
    with pytest.raises(Unreachable):
        send(guard(port), MailServer(NAME, port, "none"), message())


@pytest.mark.parametrize("bite", [b"2", b"220-more\r\n" * 1000])
def test_answers_without_an_end_are_not_waited_for(bite: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drips by its time, floods by its size."""
    monkeypatch.setattr(mail, "WHOLE_SECONDS", 1.0 if len(bite) == 1 else 3600.0)
    over = threading.Event()

    def talk() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            while not over.is_set():
                connection.sendall(bite)
                over.wait(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(2) as pool:
        pool.submit(talk)
        port = listener.getsockname()[1]
        sent = pool.submit(send, guard(port), MailServer(NAME, port, "none"), message())
        try:
            with pytest.raises(BadReply, match="came to no end"):
                sent.result(60)
        finally:
            over.set()


@pytest.mark.parametrize(
    ("verb", "words"), [("RCPT", "recipients"), ("MAIL", "sender"), ("DATA", "code 552")]
)
def test_a_refusal_is_told_by_its_number_alone(verb: str, words: str) -> None:
    with mail_server() as server:
        server.refuses[verb] = "552 canary in the answer"
        with pytest.raises(BadReply, match=words) as refused:
            send(guard(server.port), MailServer(NAME, server.port, "none"), message())
        assert "canary" not in str(refused.value)
