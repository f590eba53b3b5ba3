"""Servers that are in order until a switch is thrown; then each of them fails in a way of its own (tests/load/faults).

`python -m tests.load.broken FOLDER` prints a port. There, GET /addresses has the endpoint of each one's server, and
GET /break throws the switch. FOLDER gets the `authority.pem` that the one with https is to be trusted by.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from tests.load.faults import FAULTS, FINE, TOOLS
from tests.upstream import zoo
from tests.upstream.certificates import ca_file, issue, private_authority, server_side
from tests.upstream.zoo import Animal, Answer, Ask, Zoo


class Switch:
    def __init__(self) -> None:
        self.thrown = False

    def between(self, sound: Animal, broken: Animal, *, wholly: bool) -> Animal:
        async def animal(ask: Ask) -> Answer | None:
            hit = self.thrown and (wholly or (ask.body != b"" and ask.rpc == "tools/call"))
            return await (broken if hit else sound)(ask)

        return animal


def sound(number: int) -> Animal:
    """Both eras have their turn."""
    return (zoo.modern if number % 2 else zoo.legacy)(TOOLS, tools_call=_works)


async def _works(ask: Ask) -> Answer:
    return zoo.result(ask, FINE)


async def serve(folder: Path) -> None:
    authority, switch = ca_file(folder), Switch()
    assert authority
    tls = server_side(folder, issue("localhost", private_authority()))
    async with AsyncExitStack() as stack:
        town = await stack.enter_async_context(zoo.opened())
        safe = await stack.enter_async_context(zoo.opened(tls))
        leaving = Zoo(0, "http", {"/mcp": sound(0)})
        listener = await asyncio.start_server(leaving.serve, "127.0.0.1", 0)
        leaving.port = listener.sockets[0].getsockname()[1]
        safe.put(sound(0))

        async def throw(ask: Ask) -> Answer:
            switch.thrown = True
            listener.close()
            _expire(folder, tls)
            for past in leaving.asked + safe.asked:
                past.writer.transport.abort()
            return zoo.as_json({})

        addresses = {
            "refuses": f"http://127.0.0.1:{leaving.port}/mcp",
            "certificate-expires": f"https://localhost:{safe.port}/mcp",
            "name-gone": f"http://127.0.0.1:{town.port}/name-gone",
        }
        town.put(sound(0), "/name-gone")
        for number, (name, fault) in enumerate(FAULTS.items()):
            town.put(switch.between(sound(number), fault.animal, wholly=fault.wholly), f"/{name}")
            addresses[name] = f"http://127.0.0.1:{town.port}/{name}"
        town.publish("/addresses", addresses)
        town.put(throw, "/break")
        print(town.port, flush=True)
        await asyncio.Event().wait()


def _expire(folder: Path, tls: ssl.SSLContext) -> None:
    """For connections from now on."""
    server_side(folder, issue("localhost", private_authority(), days=(-30, -1)))
    tls.load_cert_chain(folder / "server.pem")


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
