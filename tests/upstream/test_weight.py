"""How many values a text has: exactly, wherever a piece of it begins."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.upstream import weight
from webapp.upstream.weight import bearable

texts = st.text(alphabet='",[]{}\\:a\n', max_size=12)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=25,
)


def count(value: Any) -> int:
    """Of what is in it; something empty counts as one."""
    if not isinstance(value, (list, dict)):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return max(1, len(value)) + sum(map(count, inside))


@given(value=values, piece=st.integers(1, 40))
def test_it_is_exact_whatever_stands_in_its_strings(value: Any, piece: int) -> None:
    body, number = json.dumps(value).encode(), count(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight, "PIECE", piece)
        assert asyncio.run(bearable(body, number))
        assert not asyncio.run(bearable(body, number - 1))


def test_others_have_their_turn_meanwhile() -> None:
    async def go() -> int:
        turns, over = 0, False

        async def other() -> None:
            nonlocal turns
            while not over:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        assert await bearable(b'["' + b"," * 1_000_000 + b'"]')
        over = True
        await task
        return turns

    assert asyncio.run(go()) > 10
