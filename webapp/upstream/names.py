"""From a name to its addresses: one look-up, in threads of its own, with a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

from webapp.errors import Unreachable
from webapp.upstream.addresses import Address, plain
from webapp.upstream.failures import name_not_found

Resolver = Callable[[str, int], list[str]]
_under_way: dict[tuple[Resolver, str, int], Future[list[str]]] = {}
_asking = threading.Lock()


def system_resolver(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def look_up(resolver: Resolver, host: str, port: int, timeout: float) -> list[Address]:
    """Every address once, in the resolver's order. Raises Unreachable with kind `dns`."""
    try:
        async with asyncio.timeout(timeout):
            answers = await _answers(resolver, host, port)
        addresses = [plain(answer) for answer in answers]
    except (OSError, ValueError) as error:
        raise name_not_found(host, error) from error
    if not addresses:
        raise Unreachable(f"The name {host} has no address.", kind="dns", next_step="Check the spelling.")
    return list(dict.fromkeys(addresses))


async def _answers(resolver: Resolver, host: str, port: int) -> list[str]:
    """Whoever asks for the same meanwhile shares the answer: a hundred calls to one name that hangs take one thread,
    and leave the others to other names."""
    loop = asyncio.get_running_loop()
    mine: asyncio.Future[list[str]] = loop.create_future()

    def tell(answer: Future[list[str]]) -> None:
        with contextlib.suppress(RuntimeError):  # this loop has ended, so nobody waits
            loop.call_soon_threadsafe(_pass_on, answer, mine)

    _asked(resolver, host, port).add_done_callback(tell)
    return await mine


def _pass_on(answer: Future[list[str]], mine: asyncio.Future[list[str]]) -> None:
    if mine.done():
        return
    if problem := answer.exception():
        mine.set_exception(problem)
    else:
        mine.set_result(answer.result())


def _asked(resolver: Resolver, host: str, port: int) -> Future[list[str]]:
    question = (resolver, host, port)
    with _asking:
        if (under_way := _under_way.get(question)) is not None:
            return under_way
        answer = _under_way[question] = _threads().submit(resolver, host, port)
    answer.add_done_callback(lambda _: _under_way.pop(question, None))
    return answer


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    # A name server that hangs must not hold up other work that waits for a thread.
    return ThreadPoolExecutor(max_workers=16, thread_name_prefix="look-up")
