"""From a name to its addresses: one look-up, in threads of its own, with a time limit."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from webapp.errors import Unreachable
from webapp.upstream.addresses import Address, plain
from webapp.upstream.failures import name_not_found

Resolver = Callable[[str, int], list[str]]


def system_resolver(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def look_up(resolver: Resolver, host: str, port: int, timeout: float) -> list[Address]:
    """Every address once, in the resolver's order. Raises Unreachable with kind `dns`."""
    try:
        async with asyncio.timeout(timeout):
            answers = await asyncio.get_running_loop().run_in_executor(_threads(), resolver, host, port)
        addresses = [plain(answer) for answer in answers]
    except (OSError, ValueError) as error:
        raise name_not_found(host, error) from error
    if not addresses:
        raise Unreachable(f"The name {host} has no address.", kind="dns", next_step="Check the spelling.")
    return list(dict.fromkeys(addresses))


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    # A name server that hangs must not hold up other work that waits for a thread.
    return ThreadPoolExecutor(max_workers=16, thread_name_prefix="look-up")
