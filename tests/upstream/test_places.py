"""Places: no more at once than there are, in the order of coming, and none is lost with whoever gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from webapp.upstream.places import Places


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


async def a_turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_no_more_at_once_than_there_are_and_in_the_order_of_coming() -> None:
    async def work() -> None:
        places, began = Places(2), list[int]()

        async def one(number: int) -> None:
            await places.take()
            began.append(number)

        waiting = [asyncio.create_task(one(number)) for number in range(4)]
        await a_turn()
        assert began == [0, 1] and not places.taken()
        places.give_back()
        await a_turn()
        assert began == [0, 1, 2]
        late = asyncio.create_task(one(4))
        places.give_back()
        await a_turn()
        assert began == [0, 1, 2, 3]
        places.give_back()
        await asyncio.gather(*waiting, late)
        assert not places.taken()
        places.give_back()
        assert places.taken()

    run(work())


def test_whoever_gives_up_takes_no_place_along() -> None:
    async def work() -> None:
        places = Places(1)
        await places.take()
        gives_up, stays = asyncio.create_task(places.take()), asyncio.create_task(places.take())
        await a_turn()
        gives_up.cancel()
        await a_turn()
        places.give_back()
        await stays
        too_late = asyncio.create_task(places.take())
        await a_turn()
        places.give_back()  # handed over, and cancelled before it could run
        too_late.cancel()
        await a_turn()
        assert too_late.cancelled() and places.taken()

    run(work())
