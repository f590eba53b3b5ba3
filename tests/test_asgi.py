"""The program behind a real server: requests that no browser would send, and sizes that nobody needs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from config import Config
from tests import databases
from tests.house import served
from webapp.asgi import program
from webapp.services import sessions
from webapp.store.models import Entry, Session, User, database

HELD_BY_PROXY = "203.0.113.9"


@pytest.fixture(scope="module")
def url(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = tmp_path_factory.mktemp("asgi") / "data"
    databases.copy(furnished, data)
    with served(program(Config(data=data, forwarded_hops=1))) as url:
        yield url


@pytest.fixture(scope="module")
def cookie(url: str) -> str:
    with database.connection_context():
        token = sessions.start(User.get(User.role == "admin"), HELD_BY_PROXY, "a test")
    return f"sid={token}"


def answer(
    url: str, target: bytes, *headers: str | bytes, method: bytes = b"GET", body: bytes = b""
) -> bytes:
    """Everything the server says to this request line and these headers, byte for byte."""
    host, _, port = url.removeprefix("http://").partition(":")
    lines = [b"%s %s HTTP/1.1" % (method, target), f"Host: {host}:{port}", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    sent = b"\r\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    with socket.create_connection((host, int(port)), timeout=60) as line:
        line.sendall(sent + b"\r\n\r\n" + body)
        return b"".join(iter(lambda: line.recv(65536), b""))


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


TARGETS = [
    b"/?q=\xff", b"/?q=%ff", b"/?%ff=%fe", b"/\xff", b"/%ff", b"/%00", b"/\x00", "/ä?ö=ü".encode(), b"/%ed%a0%80",
    b"/tools?q=%00", b"/tools?q=%ff", b"/tools?page=%00", b"/tools?page=99999999999999999999", b"/tools/%00",
    b"/tools/mcp:%ff:%00", b"/activity?text=%00&since=%ff", b"/activity?before=-1", b"/activity/0",
    b"/activity/99999999999999999999999", b"/approvals/%00", b"/approvals/history?page=-1",
    b"/approvals/history?state=%00", b"/settings/integrations/%00", b"/settings/integrations/%ff/check",
    b"/settings/integrations/new?url=%00", b"/settings/agents/99999999999999999999999",
    b"/settings/people/99999999999999999999999", b"/settings/people/-1", b"/activity/" + b"9" * 5_000,
    b"/settings/people/9223372036854775808", b"/settings/people/9223372036854775807",
    b"/login?next=%00%0d%0aX:%20y",
    b"/static/%00", b"/static/../config.py", b"/static/%2e%2e/config.py", b"/static/%2e%2e%2fconfig.py",
    b"/static/app.css%00", b"/static/vendor", b"//evil.test/", b"/\\evil.test/", b"*", b"http://evil.test/",
    b"/;;?&&==", b"/mcp%ff", b"/" + b"a" * 10_000, b"/?q=" + b"a" * 10_000, b"/tools?q=" + b"%00" * 3_000,
    b"/tools/" + b"%F0%9F%98%80" * 800, b"/settings/integrations/" + b"a/" * 4_000, b"/" + b"a" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: repr(target[:50]))
def test_no_address_breaks_a_page(url: str, cookie: str, target: bytes) -> None:
    for headers in ([], [f"Cookie: {cookie}"], [f"Cookie: {cookie}", "HX-Request: true"]):
        reply = answer(url, target, *headers)
        assert status(reply) in (200, 204, 303, 308, 400, 404), reply[:300]
        assert b"evil.test" not in b"".join(
            line for line in reply.splitlines() if line.lower().startswith(b"location")
        )
        assert b"VERSION = " not in reply, "a file from outside static/"


@pytest.mark.parametrize(
    "header",
    [
        b"X-Odd: \xff\xfe", b"Cookie: sid=\xff", b"Cookie: form=\xff;;;=; sid", b"Cookie: form=eyJ4IjoxfQ.x.y",
        b"User-Agent: \xff" + b"x" * 5_000, b"Sec-Fetch-Site: \xff", b"HX-Request: \xff", b"HX-Current-URL: http://[",
        b"Referer: http://[", b"X-Forwarded-For: \xff,,,", b"X-Forwarded-For: ::1%25, not an address",
        b"X-Forwarded-Proto: javascript", b"Content-Type: multipart/form-data", b"Content-Length: 0",
        b"Accept-Language: \xff", b"If-None-Match: \xff", b"If-Modified-Since: \xff", b"Range: bytes=-1-",
    ],
)  # fmt: skip
def test_no_header_breaks_a_page(url: str, cookie: str, header: bytes) -> None:
    for target in (b"/login", b"/static/app.css"):
        assert status(answer(url, target, header)) in (200, 206, 416)
    assert status(answer(url, b"/tools", f"Cookie: {cookie}", header)) in (200, 303)
    assert status(answer(url, b"/login", header, method=b"POST", body=b"a=b")) in (400, 403)


@pytest.mark.parametrize("header", ["Host: evil.test", "Content-Length: -1", "Content-Length: 5\r\nContent-Length: 6",
                                    "Transfer-Encoding: chunked\r\nContent-Length: 5", "Odd : x"])  # fmt: skip
def test_what_proxies_may_read_otherwise_is_refused(url: str, header: str) -> None:
    assert status(answer(url, b"/login", header)) == 400


@pytest.mark.parametrize(("method", "expected"), [(b"HEAD", 200), (b"OPTIONS", 200), (b"TRACE", 405), (b"PUT", 405),
                                                  (b"DELETE", 405), (b"BREW", 400)])  # fmt: skip
def test_other_methods(url: str, method: bytes, expected: int) -> None:
    assert status(answer(url, b"/login", method=method)) == expected


@pytest.mark.parametrize(
    "body", [b"[" * 15_000, b"{", b"null", b"[]", b'{"csp-report": 1}', b"\xff", b'"' + b"x" * 900_000]
)
def test_no_report_breaks_the_place_for_reports(url: str, body: bytes) -> None:
    assert status(answer(url, b"/csp-report", method=b"POST", body=body)) == 204


@pytest.mark.parametrize(
    "name", ["X_Forwarded_For", "x_forwarded_for", "X-Forwarded_For"], ids=lambda name: str(name)
)
def test_only_the_proxys_own_header_says_where_a_call_came_from(url: str, cookie: str, name: str) -> None:
    """A proxy sets X-Forwarded-For, but may pass on other spellings that the visitor chose."""
    form = b"email=nobody%40example.com&password=x"
    page = httpx2.get(f"{url}/login", timeout=60, trust_env=False)
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    held = f"Cookie: form={page.cookies['form']}"
    kind = "Content-Type: application/x-www-form-urlencoded"
    reply = answer(url, b"/login", f"X-Forwarded-For: {HELD_BY_PROXY}", f"{name}: 198.51.100.66", held, kind,
                   method=b"POST", body=form + f"&csrf_token={token}".encode())  # fmt: skip
    assert status(reply) == 401
    with database.connection_context():
        last = Entry.select().where(Entry.action == "session.refused").order_by(Entry.id.desc()).first()
        assert last.ip == HELD_BY_PROXY


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 50_000_000])
def test_a_body_that_is_too_large_is_not_even_read(url: str, size: int) -> None:
    reply = answer(url, b"/login", f"Content-Length: {size}", method=b"POST")
    assert status(reply) == 413 and b"Request Entity Too Large" in reply


def test_sessions_of_pages_do_not_open_the_agents_door(url: str, cookie: str) -> None:
    reply = answer(url, b"/mcp", f"Cookie: {cookie}", method=b"POST", body=b"{}")
    assert status(reply) == 401
    with database.connection_context():
        assert Session.select().exists()
