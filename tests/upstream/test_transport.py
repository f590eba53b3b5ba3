"""How much an answer may be, how long it may take, and that the environment has no say."""

from __future__ import annotations

import asyncio
import gzip
import os
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.upstream import certificates
from tests.upstream.loopback import Answer, Loopback, endless, raw, reply, serving, silence
from webapp.errors import BadReply, EgressDenied, Unreachable
from webapp.upstream.egress import Allowance, Egress, explain

MIB = 1024 * 1024
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def guard(server: Loopback, **options: Any) -> Egress:
    allowance = Allowance("erp.lan", server.port, "127.0.0.1/32", cleartext=True)
    return Egress([allowance], resolver=lambda h, p: ["127.0.0.1"], **options)


def fetch(answer: Answer, extensions: dict[str, Any] | None = None, **limits: Any) -> httpx2.Response:
    async def go() -> httpx2.Response:
        async with serving(answer) as server, guard(server).http(**limits) as client:
            async with asyncio.timeout(60):
                return await client.get(f"http://erp.lan:{server.port}/", extensions=extensions)

    return asyncio.run(go())


def test_a_hundred_megabytes_are_cut_at_the_limit() -> None:
    piece = b"%x\r\n" % MIB + b"x" * MIB + b"\r\n"
    sent = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(CHUNKED)
        for _ in range(100):
            writer.write(piece)
            sent += 1
            await writer.drain()

    with pytest.raises(BadReply) as caught:
        fetch(answer, max_bytes=2 * MIB)
    assert caught.value.kind == "too_large"
    assert str(caught.value) == "The answer of erp.lan is larger than 2 MB."
    assert sent < 20


def test_an_announced_length_over_the_limit_is_not_even_read() -> None:
    with pytest.raises(BadReply) as caught:
        fetch(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"), max_bytes=10)
    assert caught.value.kind == "too_large"


def test_an_answer_of_exactly_the_limit_is_fine_and_one_request_may_ask_for_more() -> None:
    assert fetch(reply(b"x" * 100), max_bytes=100).content == b"x" * 100
    with pytest.raises(BadReply):
        fetch(reply(b"x" * 101), max_bytes=100)
    assert len(fetch(reply(b"x" * 101), {"max_bytes": 101}, max_bytes=100).content) == 101


def test_a_drip_of_bytes_can_not_put_the_deadline_off() -> None:
    started = time.monotonic()
    with pytest.raises(BadReply) as caught:
        fetch(endless(CHUNKED, b"1\r\nx\r\n", pause=0.02), total_seconds=1)
    assert caught.value.kind == "too_slow"
    assert "erp.lan" in str(caught.value) and "1 second" in str(caught.value)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "answer",
    [
        endless(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", pause=0.02),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", pause=0.02),
        silence,
    ],
    ids=["headers without end", "hints without end", "silence"],
)
def test_without_an_answer_the_deadline_says_so(answer: Answer) -> None:
    try:
        fetch(answer, total_seconds=1)
    except (Unreachable, httpx2.HTTPError) as caught:
        error = explain(caught, "http://erp.lan/")
    assert isinstance(error, Unreachable)
    assert (error.kind, error.sent) == ("read_timeout", True)


def test_one_request_may_take_longer_than_the_others() -> None:
    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        await reply(b"late")(writer)

    limits = {"total_seconds": 60.0, "timeout": httpx2.Timeout(60).as_dict()}
    assert fetch(slow, limits, total_seconds=0.1).content == b"late"


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "identity, gzip"])
def test_a_compressed_answer_is_refused_unread(coding: str) -> None:
    bomb = gzip.compress(b"0" * 5_000_000)
    with pytest.raises(BadReply) as caught:
        fetch(reply(bomb, "200 OK", f"Content-Encoding: {coding}"))
    assert caught.value.kind == "compressed"
    assert "erp.lan" in str(caught.value)


def test_we_ask_for_uncompressed_answers_whatever_the_caller_sets() -> None:
    async def go() -> list[str]:
        async with serving() as server, guard(server).http(headers={"Accept-Encoding": "gzip"}) as client:
            url = f"http://erp.lan:{server.port}/"
            await client.get(url)
            await client.get(url, headers={"Accept-Encoding": "br"})
            return server.heads

    for head in asyncio.run(go()):
        assert head.lower().count("accept-encoding:") == 1
        assert "accept-encoding: identity\r\n" in head.lower()


def test_refused_answers_give_their_connections_back() -> None:
    async def go() -> str:
        limits: dict[str, Any] = {"max_bytes": 10, "total_seconds": 60}
        async with serving(reply(b"x" * 50)) as server, guard(server).http(**limits) as client:
            url = f"http://erp.lan:{server.port}/"
            for _ in range(101):  # One more than the pool has connections.
                with pytest.raises(BadReply):
                    await client.get(url)
            return (await client.get(url, extensions={"max_bytes": 50})).text

    assert asyncio.run(go()) == "x" * 50


def test_connections_are_kept_for_the_next_request() -> None:
    async def go() -> tuple[int, int]:
        async with serving() as server, guard(server).http() as client:
            for _ in range(5):
                await client.post(f"http://erp.lan:{server.port}/mcp", content=b"")
            return server.connections, len(server.heads)

    assert asyncio.run(go()) == (1, 5)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        async with serving() as proxy, serving() as server:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            async with guard(server).http() as client:
                assert (await client.get(f"http://erp.lan:{server.port}/")).text == "ok"
                for url in ("http://169.254.169.254/", "https://169.254.169.254/"):
                    with pytest.raises(EgressDenied):
                        await client.get(url)
            assert proxy.connections == 0

    asyncio.run(go())


def test_credentials_of_the_environment_are_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine erp.lan login admin password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    async def go() -> list[str]:
        async with serving() as server, guard(server).http() as client:
            await client.get(f"http://erp.lan:{server.port}/")
            return server.heads

    assert "authorization" not in asyncio.run(go())[0].lower()


def test_authorities_of_the_environment_are_not_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from webapp.upstream import egress

    monkeypatch.setenv("SSL_CERT_FILE", certificates.ca_file(tmp_path))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    egress.tls_context.cache_clear()
    issued = certificates.issue("erp.lan", certificates.private_authority())

    async def go() -> None:
        async with serving(tls=certificates.server_side(tmp_path, issued)) as server:
            async with guard(server).http() as client:
                with pytest.raises(httpx2.ConnectError):
                    await client.get(f"https://erp.lan:{server.port}/")
            assert server.heads == []

    try:
        asyncio.run(go())
    finally:
        egress.tls_context.cache_clear()
    assert not os.path.exists(tmp_path / "keys.log")


def test_our_own_bundle_is_trusted_and_tls_keeps_the_host_name(tmp_path: Path) -> None:
    issued = certificates.issue("erp.lan", certificates.private_authority())

    async def go() -> tuple[str, list[str], bytes]:
        async with serving(tls=certificates.server_side(tmp_path, issued)) as server:
            egress = guard(server, ca_file=certificates.ca_file(tmp_path))
            async with egress.http() as client:
                text = (await client.get(f"https://erp.lan:{server.port}/")).text
            reader, writer = await egress.open_connection("erp.lan", server.port, ssl=True)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            line = await reader.readline()
            writer.close()
            return text, server.names, line

    assert asyncio.run(go()) == ("ok", ["erp.lan", "erp.lan"], b"HTTP/1.1 200 OK\r\n")
