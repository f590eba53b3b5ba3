"""check_website: what is told of an address, hop by hop, and where it does not go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.builtin.calling import Answer, ask, ask_alone, knowing
from tests.builtin.network.site import Pages, Site, site
from tests.upstream.certificates import ca_file, issue, private_authority, server_side
from webapp.builtin import Context

HARDENED = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=()",
}
SECRET_PAGE = b"what the page says stays there"
HOSTS = {"shop.example": "127.0.0.1", "cloud.example": "169.254.169.254", "office.example": "10.1.2.3"}


def visit(pages: Pages, path: str = "/", *, seconds: float = 10.0, **arguments: Any) -> tuple[Answer, Site]:
    async def go() -> tuple[Answer, Site]:
        async with site(pages, body=b"" if arguments.get("method") == "HEAD" else SECRET_PAGE) as server:
            context = Context(knowing(HOSTS, at={"shop.example": server.port}), seconds=seconds)
            url = f"http://shop.example:{server.port}{path}"
            return await ask("check_website", context, url=url, **arguments), server

    return asyncio.run(go())


def header(answer: Answer, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in answer.data["security_headers"] if row["header"] == name)
    return found


def test_status_time_and_headers_are_told_but_not_the_page() -> None:
    answer, server = visit({"/": (200, {"Server": "Shop/2", "Set-Cookie": "id=secret"})})
    assert answer.data["status"] == 200
    assert answer.data["headers"] == {"server": "Shop/2"}
    assert answer.data["milliseconds"] >= 0
    assert server.requests[0].method == "GET"
    assert SECRET_PAGE.decode() not in repr(answer)
    assert "id=secret" not in repr(answer)


def test_head_asks_for_the_headers_only() -> None:
    _, server = visit({"/": (200, {})}, method="HEAD")
    assert server.requests[0].method == "HEAD"


def test_a_failure_of_the_site_is_an_answer() -> None:
    answer, _ = visit({"/": (503, {})})
    assert not answer.is_error
    assert "503 (Service Unavailable)" in answer.text


def test_a_status_nobody_knows_is_an_answer() -> None:
    assert visit({"/": (599, {})})[0].data["meaning"] == "no known meaning"


def test_redirects_are_followed_one_by_one_and_told() -> None:
    pages = {
        "/": (301, {"Location": "/a"}),
        "/a": (302, {"Location": "http://shop.example:%PORT%/b#part"}),
        "/b": (200, {}),
    }
    answer, server = visit(pages)
    assert server.paths == ["/", "/a", "/b"]
    assert [hop["status"] for hop in answer.data["redirects"]] == [301, 302]
    assert answer.data["url"].endswith("/b")


def test_a_redirect_without_a_place_is_the_last_answer() -> None:
    assert visit({"/": (302, {})})[0].data["status"] == 302


def test_a_loop_of_redirects_ends() -> None:
    answer, server = visit({"/": (302, {"Location": "/"})})
    assert answer.is_error
    assert "more than 5 times" in answer.text
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "location",
    [
        "https://office.example/",
        "https://cloud.example/latest/meta-data/",
        "https://missing.example/",
        "http://10.1.2.3/",
        "https://[::1]/",
        "http://0x7f.1/",
        "http://shop.example:1/",
        "http://name:word@shop.example:%PORT%/",
        "file:///etc/passwd",
    ],
)
def test_a_redirect_out_of_bounds_is_not_followed_and_its_place_stays_untold(location: str) -> None:
    answer, server = visit({"/": (302, {"Location": location})})
    assert answer.is_error
    assert answer.text.endswith(
        "The last of them redirects on. That address is not checked: only https:// addresses on the public "
        "internet are."
    )
    assert "10.1.2.3" not in answer.text
    assert server.paths == ["/"]


def test_a_redirect_that_is_no_address_is_told() -> None:
    answer, _ = visit({"/": (302, {"Location": "https://[broken"})})
    assert answer.is_error
    assert "broken" not in answer.text


def test_cookies_and_names_of_the_caller_are_not_sent_along() -> None:
    _, server = visit({"/": (200, {})})
    assert not {"authorization", "cookie", "referer"} & set(server.requests[0].headers)


@pytest.mark.parametrize(
    "host", ["office.example", "cloud.example", "missing.example", "10.1.2.3", "nas.lan", "[::1]"]
)
def test_whatever_is_not_public_gets_the_same_sentence(host: str) -> None:
    answer = ask_alone("check_website", Context(knowing(HOSTS)), url=f"https://{host}/secret")
    assert answer.is_error
    assert answer.text == (
        f"“{host.strip('[]')}” can't be checked: there is no public server of that name, "
        "or it can't be looked up. Gatehouse looks at the public internet only."
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://shop.example/", "begin with https://"),
        ("ftp://shop.example/", "begin with https://"),
        ("https://shop.example:22/", ""),
        ("https://name:word@shop.example/", "not a plain host name"),
        ("https://2130706433/", "not a plain host name"),
        ("https://", ""),
        ("https://[", ""),
    ],
)
def test_addresses_out_of_bounds_are_refused_in_words(url: str, words: str) -> None:
    answer = ask_alone("check_website", Context(knowing({"shop.example": "8.8.8.8"})), url=url)
    assert answer.is_error
    assert words in answer.text
    assert "word@" not in answer.text


def test_silence_is_told_in_time() -> None:
    answer, _ = visit({"/": (0, {})}, seconds=0.3)
    assert answer.is_error
    assert "within 0.3 seconds" in answer.text or "in time" in answer.text


def test_nobody_there_is_told() -> None:
    answer = ask_alone(
        "check_website", Context(knowing(HOSTS, at={"shop.example": 1})), url="http://shop.example:1/"
    )
    assert answer.is_error
    assert "nothing listens on port 1" in answer.text


def test_security_headers_are_judged(tmp_path: Path) -> None:
    async def go(headers: dict[str, str]) -> Answer:
        tls = server_side(tmp_path, issue("shop.example", private_authority()))
        async with site({"/": (200, headers)}, tls=tls) as server:
            egress = knowing(HOSTS, at={"shop.example": server.port}, ca_file=ca_file(tmp_path))
            return await ask("check_website", Context(egress), url=f"shop.example:{server.port}")

    hardened = asyncio.run(go(HARDENED))
    assert all(row["ok"] for row in hardened.data["security_headers"])
    bare = asyncio.run(go({}))
    assert not any(row["ok"] for row in bare.data["security_headers"])
    assert "Strict-Transport-Security: missing" in bare.text
    weak = asyncio.run(go({"Strict-Transport-Security": "max-age=60", "X-Content-Type-Options": "sniff"}))
    assert "less than half a year" in header(weak, "Strict-Transport-Security")["explanation"]
    assert not header(weak, "X-Content-Type-Options")["ok"]


def test_an_untrusted_certificate_is_told(tmp_path: Path) -> None:
    async def go() -> Answer:
        async with site({"/": (200, {})}, tls=server_side(tmp_path, issue("shop.example"))) as server:
            egress = knowing(HOSTS, at={"shop.example": server.port})
            return await ask("check_website", Context(egress), url=f"https://shop.example:{server.port}/")

    answer = asyncio.run(go())
    assert answer.is_error
    assert "self-signed" in answer.text


def test_odd_characters_of_a_stranger_are_shown_as_escapes() -> None:
    answer, _ = visit({"/": (200, {"Server": "a\x85b\xadc"})})
    assert answer.data["headers"]["server"] == "a\\x85b\\xadc"
