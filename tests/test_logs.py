"""The server's log as an admin's tools read it: every line JSON, every line of a request with its id, no secret."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from config import ROOT
from tests import databases
from tests.canaries import leaks
from tests.house import PASSWORD, House, token_in
from tests.serving import Gatehouse, gatehouse

CANARIES = {
    name: f"canary-{name}-{'5d2f8' * 4}"
    for name in ("password", "key", "code", "state", "token", "form", "invite")
}
METRICS = "the-token-of-metrics"


def lines_of(running: Gatehouse) -> list[dict[str, Any]]:
    return [json.loads(line) for line in running.said().splitlines()]


def visits(running: Gatehouse) -> None:
    """All that goes wrong with secrets at hand."""
    house, url = running.house, running.url
    with httpx2.Client(base_url=url, headers={"Origin": url}, trust_env=False, timeout=60) as http:
        token = token_in(http.get("/login").text)
        form = {"email": "ann@example.com", "csrf_token": token}
        assert http.post("/login", data=form | {"password": CANARIES["password"]}).status_code == 401
        http.post("/login", data={"csrf_token": CANARIES["form"]})
        for way_back in ("/oauth/callback", "/login/oidc/callback"):
            http.get(f"{way_back}?code={CANARIES['code']}&state={CANARIES['state']}")
        http.get(f"/invite/{CANARIES['invite']}", follow_redirects=True)
        http.get("/metrics", headers={"Authorization": f"Bearer {CANARIES['token']}"})
        http.get("/metrics", headers={"Authorization": f"Bearer {METRICS}"})
        http.get("/", headers={"X-Request-Id": CANARIES["token"]})
    house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, CANARIES["key"])
    key = house.agent("claude")
    house.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, key)
    house.call(key, "gatehouse__none", {"password": CANARIES["form"]})
    CANARIES["agent"] = key


def broken(running: Gatehouse, house: House) -> httpx2.Response:
    """A page that fails inside."""
    with house.browser() as ann:
        db = databases.store.connect(running.data, "")
        with db.connection_context():
            db.execute_sql('ALTER TABLE "bulk_change" RENAME TO "gone"')
        db.let_go()
        return ann.get("/tools/bulk")


def test_every_line_is_json_and_says_nothing_secret(tmp_path: Path) -> None:
    settings = {"LOG_FORMAT": "json", "METRICS_TOKEN": METRICS, "GUNICORN_CMD_ARGS": "--access-logfile -"}
    with gatehouse(tmp_path, **settings) as running:
        house = running.house
        house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        visits(running)
        page = broken(running, house)
    assert page.status_code == 500
    shown = re.search(r"Quote this id when you ask for help: <code>([0-9a-f]{12})</code>", page.text)
    assert shown and page.headers["x-request-id"] == shown[1] and f"look for {shown[1]} in" in page.text
    lines = lines_of(running)
    (failed,) = [one for one in lines if one.get("request") == shown[1] and one["level"] == "error"]
    assert "bulk_change" in failed["exception"] and failed["at"].endswith("+00:00")
    asked = [line for line in lines if line["logger"] == "uvicorn.access"]
    assert len(asked) > 10 and all(re.fullmatch("[0-9a-f]{12}", line["request"]) for line in asked)
    assert len({line["request"] for line in asked}) == len(asked)
    assert leaks([*CANARIES.values(), METRICS], {"log": running.said().encode()}) == []


def test_plain_lines_have_the_id_too(tmp_path: Path) -> None:
    with gatehouse(tmp_path, workers=1) as running:
        running.house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        page = broken(running, running.house)
    number = page.headers["x-request-id"]
    assert re.search(rf"ERROR webapp\.routes \[{number}\]: request failed, shown as {number}", running.said())


FORGER = """
import logging
from webapp import logs
from webapp.errors import RpcError
logs.configure("plain")
evil = "boom\\n2026-11-28 10:00:00,000 INFO webapp: all is well\\x1b[2J\\x9b1m\\u202e"
logging.getLogger("webapp").warning("sync of %s: %s", "desk", RpcError({"code": 1, "message": evil}).what)
"""


def test_what_a_server_says_begins_no_line_and_commands_no_terminal() -> None:
    said = subprocess.run(
        [sys.executable, "-c", FORGER], cwd=ROOT, capture_output=True, check=True
    ).stderr.decode()
    assert said.count("\n") == 1 and said.endswith(r"all is well\x1b[2J\x9b1m\u202e" + "\n")


def test_every_answer_has_an_id_of_its_own_and_none_takes_the_askers(tmp_path: Path) -> None:
    asked = {"X-Request-Id": "mine"}
    with gatehouse(tmp_path, workers=1) as running:
        found = [
            httpx2.get(running.url + path, headers=asked, timeout=60, trust_env=False).headers.get_list("x-request-id")
            for path in ("/healthz", "/readyz", "/login", "/nothing", "/static/app.css", "/mcp", "/mcp/s/none")
        ]  # fmt: skip
    assert all(len(ids) == 1 and re.fullmatch("[0-9a-f]{12}", ids[0]) for ids in found)
    assert len({ids[0] for ids in found}) == len(found)


@pytest.mark.parametrize(("name", "value"), [("LOG_FORMAT", "xml"), ("METRICS_TOKEN", "short")])
def test_a_setting_that_can_not_be_is_refused(name: str, value: str) -> None:
    from config import from_environment

    with pytest.raises(ValueError, match=name):
        from_environment({name: value})


def test_a_token_in_a_file(tmp_path: Path) -> None:
    from config import from_environment

    (tmp_path / "token").write_text(METRICS + "\n")
    config = from_environment({"METRICS_TOKEN_FILE": str(tmp_path / "token")})
    assert config.metrics_token == METRICS and METRICS not in repr(config)
    with pytest.raises(ValueError, match="METRICS_TOKEN_FILE can't be read"):
        from_environment({"METRICS_TOKEN_FILE": str(tmp_path / "nothing")})
