"""What the process in front of the program adds, or must not add."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx2
import pytest

from tests.house import PASSWORD, House, token_in
from tests.serving import alive, gatehouse

FORWARDED = {"x-forwarded-for": "6.6.6.6, 9.9.9.9", "x-forwarded-proto": "https"}


@pytest.mark.parametrize(("hops", "seen"), [("0", "127.0.0.1"), ("1", "9.9.9.9"), ("2", "6.6.6.6")])
def test_forwarded_addresses_count_only_from_our_own_proxies(tmp_path: Path, hops: str, seen: str) -> None:
    with gatehouse(tmp_path, workers=1, FORWARDED_HOPS=hops) as running:
        house = running.house
        key = house.agent("behind a proxy")
        params = {"name": "network__calculate_subnet", "arguments": {"network": "10.0.0.0/24"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        reply = httpx2.post(
            f"{house.url}/mcp",
            json=message,
            headers=FORWARDED | {"authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )
        assert reply.status_code == 200 and "server" not in reply.headers
        page = httpx2.get(f"{house.url}/healthz", headers=FORWARDED, timeout=60, trust_env=False)
        assert ("strict-transport-security" in page.headers) == (hops != "0")
        assert ips(house) == {seen}


def test_workers_count_wrong_sign_ins_together(tmp_path: Path) -> None:
    with gatehouse(tmp_path, workers=2, LOGIN_TRIES=4) as running:
        house = running.house
        house.run("create-user", "ann@example.com", "--role", "admin", stdin=PASSWORD + "\n")
        codes = []
        for number in range(8):  # a connection each: they fall on both workers
            with httpx2.Client(
                base_url=house.url, headers={"Origin": house.url}, timeout=60, trust_env=False
            ) as http:
                token = token_in(http.get("/login").text)
                form = {"email": "ann@example.com", "password": f"wrong {number}", "csrf_token": token}
                codes.append(http.post("/login", data=form).status_code)
        assert codes == [401] * 4 + [429] * 4


def ips(house: House) -> set[str]:
    return {row["ip"] for row in house.listed("activity") if row["kind"] == "call"}


def test_workers_leave_when_their_master_was_killed(tmp_path: Path) -> None:
    with gatehouse(tmp_path) as running:
        workers = running.workers()
        assert len(workers) == 2
        running.kill("master")
        pause = threading.Event()
        for _ in range(800):
            if not any(alive(pid) for pid in workers):
                return
            pause.wait(0.05)
        raise AssertionError("orphans hold the port")
