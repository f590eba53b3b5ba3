"""One Gatehouse with the practice server behind it, for all tests of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from config import Config
from tests.house import PASSWORD, House, served
from webapp.asgi import program
from webapp.practice import create_app as practice_app


@pytest.fixture(scope="module")
def practice() -> Iterator[str]:
    with served(practice_app()) as url:
        yield url


@pytest.fixture(scope="module")
def house(practice: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Connected to the practice server's open door as `desk`; calls wait 0.8 seconds for their approval."""
    data: Path = tmp_path_factory.mktemp("gateway") / "data"
    made = program(Config(data=data, hold_seconds=0.8))
    with served(made) as url:
        house = House(url, data, {"GATEHOUSE_DATA": str(data)}, made.app)
        house.run("create-user", "ann@example.com", "--role", "admin", "--name", "Ann", stdin=PASSWORD + "\n")
        house.run("add-server", f"{practice}/open/mcp", "--name", "desk", "--allow-private")
        yield house


@pytest.fixture(scope="module")
def key(house: House) -> str:
    return house.agent("claude")


@pytest.fixture(autouse=True)
def clean_desk(practice: str) -> None:
    reply = httpx2.post(f"{practice}/reset", headers={"Origin": practice}, timeout=60, trust_env=False)
    assert reply.status_code == 303
