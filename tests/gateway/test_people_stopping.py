"""Gatehouse stops while a tool runs that a person asked for: the person hears it, and the log says what is known."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from config import Config
from tests.house import House
from tests.services.farm import farm
from tests.upstream.zoo import Answer, Ask, error, legacy
from webapp.asgi import program
from webapp.errors import Refused
from webapp.services import desk, tools
from webapp.services.audit import Actor
from webapp.store.models import Entry, database

ANN = Actor("user", "ann@example.com", 1, "admin")


@pytest.mark.parametrize(("tool", "outcome"), [("get_thing", "cancelled"), ("create_thing", "unknown")])
def test_what_runs_when_gatehouse_stops_is_on_record(tmp_path: Path, tool: str, outcome: str) -> None:
    asked = threading.Event()

    async def never(ask: Ask) -> Answer | None:
        if ask.params["name"] != tool:  # the check knocks with a name that no tool has
            return error(ask, -32602, "Unknown tool")
        asked.set()
        await asyncio.sleep(60)
        return None

    async def journey() -> str:
        made = program(Config(data=tmp_path / "data"))
        await made.gateway.start()
        house = House("", tmp_path / "data", {}, made.app)
        await asyncio.to_thread(house.run, "add-server", servers.url(), "--name", "odd", "--allow-private")
        row = await asyncio.to_thread(house.do, lambda: tools.by_catalogue_name(f"mcp:odd:{tool}"))
        running = asyncio.create_task(
            asyncio.to_thread(
                house.do,
                lambda: desk.current().run(row, {}, ANN, purpose="try", confirmed=tool == "create_thing"),
            )
        )
        assert await asyncio.to_thread(asked.wait, 60)
        await made.gateway.stop()
        with pytest.raises(Refused, match="was stopped"):
            await running
        last = await asyncio.to_thread(house.do, lambda: Entry.select().order_by(Entry.id.desc()).first())
        return f"{last.actor} {last.tool} {last.outcome}"

    with farm() as servers:
        offered = (
            {"name": name, "inputSchema": {"type": "object"}} for name in ("get_thing", "create_thing")
        )
        servers.put(legacy(tuple(offered), tools_call=never))
        assert asyncio.run(journey()) == f"{ANN.name} mcp:odd:{tool} {outcome}"
    database.close()
