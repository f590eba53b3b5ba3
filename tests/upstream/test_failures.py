"""What an admin reads when a connection fails, and whether the request may have arrived."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import httpcore2
import httpx2
import pytest

from tests.upstream import certificates
from tests.upstream.loopback import Answer, raw, serving, shaking_hands, silence
from webapp.errors import BadReply, EgressDenied, Unreachable, UpstreamError
from webapp.upstream.egress import Allowance, Egress, explain


def guard(port: int, ca_file: str | None = None) -> Egress:
    allowance = Allowance("erp.lan", port, "127.0.0.1/32", cleartext=True)
    return Egress([allowance], resolver=lambda h, p: ["127.0.0.1"], ca_file=ca_file)


async def failure(url: str, egress: Egress, seconds: float = 60.0) -> UpstreamError:
    async with egress.http(total_seconds=seconds) as client:
        try:
            await client.get(url)
        except Exception as error:
            return explain(error, url)
    raise AssertionError(f"{url} answered")


def over(scheme: str, seconds: float = 60.0, ca_file: str | None = None, **server: Any) -> UpstreamError:
    async def go() -> UpstreamError:
        async with serving(**server) as running:
            url = f"{scheme}://erp.lan:{running.port}/mcp?key=hunter2"
            return await failure(url, guard(running.port, ca_file), seconds)

    return asyncio.run(go())


def unreachable(error: UpstreamError) -> Unreachable:
    assert isinstance(error, Unreachable), repr(error)
    assert "erp.lan" in str(error)
    assert error.why or error.next_step
    assert "hunter2" not in str(error) + error.why + error.next_step
    return error


# TLS


def certified(folder: Path, issued: certificates.Issued, *, trusted: bool = True) -> Unreachable:
    bundle = certificates.ca_file(folder) if trusted else None
    return unreachable(over("https", ca_file=bundle, tls=certificates.server_side(folder, issued)))


def test_a_self_signed_certificate(tmp_path: Path) -> None:
    error = certified(tmp_path, certificates.issue("erp.lan"))
    assert (error.kind, error.sent) == ("tls", False)
    assert "self-signed" in str(error)
    assert "CA_FILE" in error.next_step


def test_an_expired_certificate(tmp_path: Path) -> None:
    issued = certificates.issue("erp.lan", certificates.private_authority(), days=(-60, -1))
    error = certified(tmp_path, issued)
    assert (error.kind, error.sent) == ("tls", False)
    assert "has expired" in str(error)


def test_a_certificate_of_tomorrow(tmp_path: Path) -> None:
    issued = certificates.issue("erp.lan", certificates.private_authority(), days=(1, 9))
    assert "not valid yet" in str(certified(tmp_path, issued))


def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    issued = certificates.issue("crm.lan", certificates.private_authority())
    error = certified(tmp_path, issued)
    assert (error.kind, error.sent) == ("tls", False)
    assert "another host name" in str(error)


def test_a_certificate_of_an_unknown_authority(tmp_path: Path) -> None:
    issued = certificates.issue("erp.lan", certificates.private_authority())
    error = certified(tmp_path, issued, trusted=False)
    assert error.kind == "tls"
    assert "authority that this machine does not know" in str(error)


def test_a_plain_http_port_behind_https() -> None:
    plain = raw(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    error = unreachable(over("https", answer=plain, read_request=False))
    assert (error.kind, error.sent) == ("tls", False)
    assert "does not speak https on port" in str(error)
    assert "http://" in error.next_step


def test_a_server_that_hangs_up_during_the_handshake() -> None:
    error = unreachable(over("https", answer=raw(), read_request=False))
    assert (error.kind, error.sent) == ("tls", False)
    assert "before it was encrypted" in str(error)


def test_a_server_that_never_begins_the_handshake() -> None:
    error = unreachable(over("https", seconds=1, answer=silence, read_request=False))
    assert (error.kind, error.sent) == ("connect_timeout", False)
    assert "encrypted" in str(error)


def test_a_stalled_handshake_was_not_sent_even_when_connecting_may_take_all_the_time() -> None:
    async def go() -> UpstreamError:
        async with serving(silence, read_request=False) as server, guard(server.port).http() as client:
            url = f"https://erp.lan:{server.port}/"
            try:
                await client.get(url, timeout=httpx2.Timeout(1), extensions={"total_seconds": 1})
            except httpx2.HTTPError as error:
                return explain(error, url)
        raise AssertionError("answered")

    error = unreachable(asyncio.run(go()))
    assert (error.kind, error.sent) == ("connect_timeout", False)


def test_a_server_with_tls_older_than_ours(tmp_path: Path) -> None:
    context = certificates.server_side(tmp_path, certificates.issue("erp.lan"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with shaking_hands(context) as port:
        error = unreachable(asyncio.run(failure(f"https://erp.lan:{port}/", guard(port))))
    assert (error.kind, error.sent) == ("tls", False)
    assert "no kind of encryption that both accept" in str(error)


def test_a_server_that_wants_a_client_certificate(tmp_path: Path) -> None:
    issued = certificates.issue("erp.lan", certificates.private_authority())
    context = certificates.server_side(tmp_path, issued)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.ca_file(tmp_path))
    with shaking_hands(context) as port:
        trusting = guard(port, certificates.ca_file(tmp_path))
        error = unreachable(asyncio.run(failure(f"https://erp.lan:{port}/", trusting)))
    assert error.kind == "tls"
    assert "client certificate" in str(error)


# Sockets and HTTP


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_port_where_nothing_listens(scheme: str) -> None:
    port = closed_port()
    error = unreachable(asyncio.run(failure(f"{scheme}://erp.lan:{port}/", guard(port))))
    assert (error.kind, error.sent) == ("refused", False)
    assert f"port {port}" in str(error)


def test_a_port_where_nothing_listens_for_a_plain_connection() -> None:
    port = closed_port()
    with pytest.raises(Unreachable) as caught:
        asyncio.run(guard(port).open_connection("erp.lan", port))
    assert (caught.value.kind, caught.value.sent) == ("refused", False)


def test_a_handshake_that_never_ends_on_a_plain_connection() -> None:
    async def go() -> None:
        async with serving(silence, read_request=False) as server, asyncio.timeout(60):
            await guard(server.port).open_connection("erp.lan", server.port, ssl=True, timeout=0.1)

    with pytest.raises(Unreachable) as caught:
        asyncio.run(go())
    assert (caught.value.kind, caught.value.sent) == ("connect_timeout", False)


def test_a_bad_certificate_on_a_plain_connection(tmp_path: Path) -> None:
    async def go() -> None:
        async with serving(tls=certificates.server_side(tmp_path, certificates.issue("erp.lan"))) as server:
            await guard(server.port).open_connection("erp.lan", server.port, ssl=True)

    with pytest.raises(Unreachable) as caught:
        asyncio.run(go())
    assert caught.value.kind == "tls"
    assert "self-signed" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (raw(), "closed"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), "closed"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), "closed"),
        (raw(b"HTTP/1.1 200 OK\r\nCont"), "closed"),
        (silence, "read_timeout"),
    ],
    ids=["no answer", "half a body", "half a chunk", "half a head", "silence"],
)
def test_after_the_request_went_out_it_may_have_arrived(answer: Answer, kind: str) -> None:
    error = unreachable(over("http", seconds=1 if answer is silence else 60, answer=answer))
    assert (error.kind, error.sent) == (kind, True)


def test_a_connection_reset_after_the_request_may_have_arrived() -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    error = unreachable(over("http", answer=reset))
    assert (error.kind, error.sent) == ("closed", True)


@pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n"])
def test_a_port_that_speaks_something_else(noise: bytes) -> None:
    error = over("http", answer=raw(noise))
    assert isinstance(error, BadReply)
    assert error.kind == "not_mcp"
    assert str(error) == "What erp.lan answered is not HTTP."


def test_too_many_calls_at_once_never_left_this_machine() -> None:
    error = unreachable(explain(httpx2.PoolTimeout("full"), "https://erp.lan/mcp"))
    assert (error.kind, error.sent) == ("busy", False)


# Exceptions that reach `explain` from elsewhere


@pytest.mark.parametrize(
    ("error", "kind", "sent"),
    [
        (httpx2.ConnectTimeout(""), "connect_timeout", False),
        (httpcore2.ConnectTimeout(), "connect_timeout", False),
        (httpx2.ReadTimeout(""), "read_timeout", True),
        (httpx2.WriteTimeout(""), "read_timeout", True),
        (httpx2.ReadError(""), "closed", True),
        (httpx2.WriteError(""), "closed", True),
        (httpx2.RemoteProtocolError("Server disconnected without sending a response."), "closed", True),
        (TimeoutError(), "read_timeout", True),
        (ConnectionResetError(), "closed", True),
        (ConnectionRefusedError(), "refused", False),
        (OSError(113, "No route to host"), "refused", True),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "dns", False),
        (socket.gaierror(socket.EAI_AGAIN, "later"), "dns", False),
        (RuntimeError("something new"), "closed", True),
    ],
)
def test_each_kind_of_failure_has_its_word(error: Exception, kind: str, sent: bool) -> None:
    found = unreachable(explain(error, "https://erp.lan/mcp?key=hunter2"))
    assert (found.kind, found.sent) == (kind, sent)


def test_the_cause_counts_however_deep_it_lies() -> None:
    try:
        try:
            try:
                raise ConnectionRefusedError
            except OSError as error:
                raise ExceptionGroup("all attempts", [error]) from None
        except ExceptionGroup as error:
            raise httpcore2.ConnectError("failed") from error
    except httpcore2.ConnectError as error:
        assert unreachable(explain(error, "https://erp.lan/")).kind == "refused"


def test_our_own_refusals_come_back_as_they_are() -> None:
    denied = EgressDenied("no", kind="never")
    wrapped = httpx2.ConnectError("x")
    wrapped.__cause__ = denied
    assert explain(denied, "https://erp.lan/") is denied
    assert explain(wrapped, "https://erp.lan/") is denied


def test_an_unusable_address_is_a_matter_of_spelling() -> None:
    try:
        httpx2.URL("https://[::1/")
        httpx2.URL("https://1.2.3.999/")
    except httpx2.InvalidURL as error:
        found = explain(error, "https://1.2.3.999/")
    assert isinstance(found, EgressDenied) and found.kind == "url"
