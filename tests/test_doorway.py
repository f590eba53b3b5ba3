"""What a stranger may take of a worker: not its memory, not its threads, not its connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from config import Config
from tests.house import PASSWORD, House, served
from webapp import doorway, forms
from webapp.asgi import PAGE_THREADS, program

HEAD = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\n"
FORM = HEAD + b"Content-Type: application/x-www-form-urlencoded\r\n"


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
    )
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server behind the doorway, which is in more of a hurry than usual."""
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        patch.setattr(doorway, "HEAD_SECONDS", 0.5)
        patch.setattr(doorway, "BODY_SECONDS", 0.7)
        config = uvicorn.Config(_echo, http=doorway.Doorway, lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data: Path = tmp_path_factory.mktemp("doorway") / "data"
    made = program(Config(data=data))
    with served(made) as url:
        house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
        house.run("create-user", "ann@example.com", "--role", "admin", "--name", "Ann", stdin=PASSWORD + "\n")
        yield house


def said(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that comes until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                wire.sendall(part)
                time.sleep(pause)
        heard = b""
        with contextlib.suppress(ConnectionError):
            while piece := wire.recv(65536):
                heard += piece
        return heard


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is hung up on for being slow: what ends, ends because it is too large."""
    monkeypatch.setattr(doorway, "HEAD_SECONDS", 100)
    monkeypatch.setattr(doorway, "BODY_SECONDS", 100)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("parts", [
    [HEAD, *[b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(2000)]],
    [HEAD + b"X: ", *[b"a" * 10_000] * 200],
    [b"GET /", *[b"a" * 10_000] * 200],
    [HEAD + b"X: " + b"a" * 80_000],
    [HEAD + b"X: " + b"a" * 80_000 + b"\r\n\r\n"],
])  # fmt: skip
def test_a_head_has_an_end(port: int, parts: list[bytes]) -> None:
    assert said(port, *parts)[:13] in (b"HTTP/1.1 431 ", b"")  # or hung up on in the middle of it


@pytest.mark.usefixtures("patient")
def test_trailers_and_the_sizes_of_chunks_have_an_end(port: int) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    assert b"200 OK" not in said(port, chunked + b"0\r\n", *[b"X: %s\r\n" % (b"a" * 10_000)] * 200)
    assert b"200 OK" not in said(port, chunked + b"1;", *[b"a" * 10_000] * 200)


@pytest.mark.parametrize("parts", [[], [HEAD], [b"\r\n"], [HEAD + b"Content-Length: 9\r\n\r\nabc"]])
def test_who_says_nothing_more_is_hung_up_on(port: int, parts: list[bytes]) -> None:
    assert said(port, *parts) == b""


def test_line_breaks_after_an_answer_keep_no_connection(port: int) -> None:
    whole = HEAD + b"Content-Length: 3\r\n\r\nabc"
    assert said(port, whole, b"\r\n", pause=0.2).endswith(b"\r\n\r\nabc")


def test_drops_are_no_stream(port: int) -> None:
    """All forty would be answered."""
    assert said(port, HEAD + b"Content-Length: 40\r\n\r\n", *[b"a"] * 40, pause=0.1) == b""


def test_what_is_whole_is_answered_however_long_that_takes(port: int) -> None:
    slow = b"POST /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
    assert said(port, slow).endswith(b"abc")


@pytest.mark.usefixtures("patient")
def test_many_small_chunks_are_a_body_like_any_other(port: int) -> None:
    chunks = b"".join(b"8\r\naaaaaaaa\r\n" for _ in range(50_000)) + b"0\r\n\r\n"
    small = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert said(port, small, chunks).endswith(b"a" * 400_000)


@pytest.mark.parametrize(
    "behind", [HEAD, HEAD + b"Content-Length: 9\r\n\r\nde"], ids=["half a head", "half a body"]
)
def test_what_comes_behind_it_does_not_cut_off_what_is_whole(port: int, behind: bytes) -> None:
    slow = b"POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
    assert said(port, slow + behind).endswith(b"\r\n\r\nabc")


def test_forms_that_never_come_hold_up_no_page(house: House) -> None:
    """One thread each would be the end of all pages, and with them of approvals."""
    address = ("127.0.0.1", int(house.url.rpartition(":")[2]))
    with contextlib.ExitStack() as stack:
        for _ in range(2 * PAGE_THREADS):
            wire = stack.enter_context(socket.create_connection(address, timeout=60))
            wire.sendall(FORM + b"Content-Length: 100\r\n\r\ncsrf_token=")
        assert answers_now(house)


def test_forms_that_are_too_much_together_are_turned_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "MOST_AT_ONCE", 1000)
    address = ("127.0.0.1", int(house.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=60) as wire:
        wire.sendall(FORM + b"Content-Length: 5000\r\n\r\n" + b"a" * 2000)
        assert wire.recv(100).startswith(b"HTTP/1.1 503 ")
    assert answers_now(house)


def test_a_form_without_end_is_gathered_to_the_largest_only(house: House) -> None:
    address = ("127.0.0.1", int(house.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=60) as wire:
        wire.sendall(FORM + b"Transfer-Encoding: chunked\r\n\r\n")
        wire.sendall(b"10000\r\n%b\r\n" % (b"a" * 65536) * 17)  # and no end
        assert wire.recv(100).startswith(b"HTTP/1.1 4")


def test_who_hangs_up_in_the_middle_of_a_form_has_sent_none() -> None:
    came = iter([{"type": "http.request", "body": b"a=1", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> forms.Message:
        return next(came)

    with pytest.raises(forms.Gone):
        asyncio.run(forms.Forms().gathered({"headers": [(b"content-length", b"9")]}, receive))


def answers_now(house: House) -> bool:
    with house.browser() as http:  # by forms
        return http.get("/approvals").status_code == 200
