"""What goes over the wire compressed, and what must not: answers that another site can make a browser ask for."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from config import Config
from tests import databases
from tests.house import served, token_in
from webapp.asgi import program
from webapp.services import sessions
from webapp.store.models import User, database

OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def http(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Signed in, at a name of the own network, as an admin."""
    data = tmp_path_factory.mktemp("compression") / "data"
    databases.copy(furnished, data)
    with served(program(Config(data=data))) as url:
        with database.connection_context():
            token = sessions.start(User.get(User.role == "admin"), "127.0.0.1", "a test")
        takes, cookies = {"Accept-Encoding": "gzip, br"}, {"sid": token}
        with httpx2.Client(
            base_url=url, headers=takes, cookies=cookies, timeout=60, trust_env=False
        ) as client:
            yield client


def raw(http: httpx2.Client, path: str, **headers: str) -> tuple[str, bytes]:
    """(content encoding, the bytes as they came)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with http.stream("GET", path, headers=named) as reply:
        assert reply.status_code == 200
        return reply.headers.get("content-encoding", ""), b"".join(reply.iter_raw())


def test_a_page_comes_compressed_and_is_the_same(http: httpx2.Client) -> None:
    encoding, packed = raw(http, "/tools", Sec_Fetch_Site="same-origin")
    _, plain = raw(http, "/tools", Sec_Fetch_Site="same-origin", Accept_Encoding="identity")
    assert encoding == "gzip" and len(packed) * 3 < len(plain)
    assert gzip.decompress(packed).startswith(b"<!doctype html>")
    assert len(gzip.decompress(packed)) == len(plain)
    assert "Accept-Encoding" in http.get("/tools", headers=OURS).headers["vary"]


@pytest.mark.parametrize(
    ("headers", "compressed"),
    [
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site", "Referer": "{here}/tools"}, False),
        ({"Referer": "{here}/tools"}, True),
        ({"Referer": "https://evil.test/{host}"}, False),
        ({"Referer": "http://[::1/"}, False),
        ({"Referer": ""}, False),
        ({}, False),
    ],
)
def test_who_asked_decides(http: httpx2.Client, headers: dict[str, str], compressed: bool) -> None:
    here = str(http.base_url).rstrip("/")
    named = {name: value.format(here=here, host=urlsplit(here).netloc) for name, value in headers.items()}
    assert raw(http, "/tools?q=ticket", **named)[0] == ("gzip" if compressed else "")


def test_a_backup_is_carried_away_as_it_is(http: httpx2.Client) -> None:
    """It comes in many small pieces, and compressing those would hold up the agents."""
    form = {"csrf_token": token_in(http.get("/settings/general", headers=OURS).text)}
    ours = OURS | {"Origin": str(http.base_url).rstrip("/")}
    http.post("/settings/general/backup", data=form, headers=ours)
    page = http.get("/settings/general", headers=OURS).text
    found = re.search(r'action="(/settings/general/backups/[^"]+)"', page)
    assert found
    reply = http.post(found[1], data=form, headers=ours)
    assert reply.content.startswith(b"SQLite format 3\0") and "content-encoding" not in reply.headers


@pytest.mark.parametrize("path", ["/static/app.css", "/static/app.js", "/static/icon.svg"])
def test_what_holds_no_secret_is_compressed_for_all(http: httpx2.Client, path: str) -> None:
    encoding, packed = raw(http, path, Sec_Fetch_Site="cross-site")
    assert encoding == "gzip"
    assert gzip.decompress(packed) == raw(http, path, Accept_Encoding="identity")[1]


def test_the_gateway_compresses_nothing(http: httpx2.Client) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    reply = http.post("/mcp", json=message, headers=OURS | {"Accept": "application/json, text/event-stream"})
    assert reply.status_code == 401 and "content-encoding" not in reply.headers


def test_an_export_is_streamed_compressed_and_whole(http: httpx2.Client) -> None:
    form = {"csrf_token": token_in(http.get("/activity", headers=OURS).text), "format": "csv"}
    headers = OURS | {"Origin": str(http.base_url).rstrip("/")}
    packed = http.post("/activity/export", data=form, headers=headers)
    plain = http.post("/activity/export", data=form, headers=headers | {"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["content-type"].startswith(
        "text/csv"
    )
    assert packed.text.splitlines()[:2] == plain.text.splitlines()[:2]


def test_a_head_and_a_not_modified_have_no_body(http: httpx2.Client) -> None:
    assert http.head("/tools", headers=OURS).content == b""
    tag = http.get("/static/app.css").headers["etag"]
    again = http.get("/static/app.css", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
