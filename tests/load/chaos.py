"""A Gatehouse before three healthy servers and all the broken ones, and an agent that calls those."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx2

from config import Config
from tests.bench.measure import Run, load, program
from tests.house import House, last_message
from tests.load.faults import KINDS
from tests.serving import Gatehouse, gatehouse
from webapp import create_app
from webapp.services import integrations, patience
from webapp.services.agent_errors import ABOUT
from webapp.services.audit import COMMAND
from webapp.store.models import Integration, database

CALL_SECONDS = 2  # of those that would not answer in any time
TOOLS = ("get_thing", "create_thing")


@dataclass
class Scene:
    served: Gatehouse
    broken: str
    sound: str  # the address of the server whose tools those agents call
    agents: str  # the key of those that call healthy servers
    unlucky: str  # and of the one that calls the others
    commands: House  # runs commands in this process, which is quick
    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by <server>__<tool>

    def throw_the_switch(self) -> None:
        urlopen(f"{self.broken}/break").close()

    def healthy(self, seconds: float, rate: float = 0) -> Run:
        """32 agents. Raises AssertionError where one of their answers is not the right one."""
        options = {"tool": "ten__get_item_0", "key": self.agents, "rate": str(rate)}
        return load(
            f"{self.served.url}/mcp", agents=32, seconds=seconds, pids=self.served.workers(), **options
        )

    def past_it(self, seconds: float, rate: float = 0) -> Run:
        """The same calls straight to the healthy server: what the machine has left for all who don't use Gatehouse."""
        return load(self.sound, agents=32, seconds=seconds, tool="get_item_0", rate=str(rate))

    async def suffer(self, goes_on: Callable[[int], bool], pause: float = 0.0) -> None:
        """Reads and writes, side by side, on each broken server; `goes_on` is asked before each round. With a `pause`
        between two calls of one tool they don't all come at once, but one after the other, as from many agents."""
        limits, headers = httpx2.Limits(max_connections=500), {"authorization": f"Bearer {self.unlucky}"}
        headers["accept"] = "application/json, text/event-stream"
        async with httpx2.AsyncClient(headers=headers, timeout=120, trust_env=False, limits=limits) as http:
            names = [f"{server}__{tool}" for server in KINDS for tool in TOOLS]
            turns = (pause * number / len(names) for number in range(len(names)))
            await asyncio.gather(
                *(self._suffer(http, *one, goes_on, pause) for one in zip(names, turns, strict=True))
            )

    async def _suffer(
        self,
        http: httpx2.AsyncClient,
        name: str,
        its_turn: float,
        goes_on: Callable[[int], bool],
        pause: float,
    ) -> None:
        heard = self.answers.setdefault(name, [])
        await asyncio.sleep(its_turn)
        while goes_on(len(heard)):
            params = {"name": name, "arguments": {}, "_meta": {"progressToken": name}}
            message = {"jsonrpc": "2.0", "id": len(heard), "method": "tools/call", "params": params}
            heard.append(last_message(await http.post(f"{self.served.url}/mcp", json=message)))
            await asyncio.sleep(pause)


def kind_of(answer: dict[str, Any]) -> str:
    """What its `gatehouse/error` says; "ok" or "rpc" for what the server itself said."""
    said = answer.get("result") or answer["error"]
    about = (said.get("_meta") or {}).get(ABOUT) or (said.get("data") or {}).get(ABOUT)
    if about:
        assert about["retry"] in ("no", "later", "check_first", "wait")
        kind: str = about["kind"]
        return kind
    return "rpc" if "error" in answer else "tool error" if said.get("isError") else "ok"


@contextlib.contextmanager
def scene(folder: Path, **settings: Any) -> Iterator[Scene]:
    with program("tests.load.broken", folder) as (port, _), program("tests.bench.upstream") as (healthy, _):
        broken = f"http://127.0.0.1:{port}"
        with urlopen(f"{broken}/addresses") as reply:
            addresses = json.load(reply)
        addresses |= {
            "ten": f"http://127.0.0.1:{healthy}/t/10/mcp",
            "desk": f"http://127.0.0.1:{healthy}/v/10/mcp",
        }
        commands = furnish(folder, addresses)
        keys = [commands.agent(name) for name in ("agents", "unlucky")]
        with gatehouse(folder, CA_FILE=folder / "authority.pem", **settings) as served:
            try:
                yield Scene(served, broken, addresses["ten"], *keys, commands)
            finally:
                database.close()


def furnish(folder: Path, addresses: dict[str, str]) -> House:
    """Adds the servers while all are in order, in this process: a command each would take a minute."""
    data = folder / "data"
    app = create_app(Config(data=data, ca_file=str(folder / "authority.pem")))
    house = House("", data, {}, app)
    for name, address in addresses.items():
        house.run("add-server", address, "--name", name, "--allow-private")
    for name, kinds in KINDS.items():
        house.run("set-policy", f"mcp:{name}:create_thing", "auto")
        if "timeout" in kinds:
            house.do(lambda name=name: patience.change(integrations.find(name), str(CALL_SECONDS), COMMAND))  # type: ignore[misc]
    gone = Integration.update(url="https://gone.invalid/mcp").where(Integration.name == "name-gone")
    house.do(gone.execute)
    return house
