"""How much there is in a JSON text, before anybody reads it.

Whoever reads a text does nothing else meanwhile, and a few megabytes can hold a million values, which take seconds,
where a picture of that size takes milliseconds. So values are counted first: in pieces, between which others have
their turn.
"""

from __future__ import annotations

import asyncio

# Of which reading takes a tenth of a second at worst. No model reads so many.
MOST_VALUES = 200_000
LIGHT = 64 * 1024  # bytes that can't hold too much, and need not be weighed
PIECE = 64 * 1024


async def bearable(text: bytes, most: int = MOST_VALUES) -> bool:
    """Whether it has no more values than that, keys aside. Says nothing about texts that aren't JSON."""
    # Most have few commas, wherever they stand; only of the others it must be known which are punctuation.
    return await _stays_under(most, text, _Loose()) or await _stays_under(most, text, _Exact())


async def _stays_under(most: int, text: bytes, scale: _Loose | _Exact) -> bool:
    for start in range(0, len(text), PIECE):
        scale.put(text, start, start + PIECE)
        if scale.values > most:
            return False
        await asyncio.sleep(0)
    return True


def _marks(text: bytes, start: int = 0, end: int | None = None) -> int:
    """Each value comes after one of these, but for the first of all."""
    return text.count(b",", start, end) + text.count(b"[", start, end) + text.count(b"{", start, end)


class _Loose:
    def __init__(self) -> None:
        self.values = 0

    def put(self, text: bytes, start: int, end: int) -> None:
        self.values += _marks(text, start, end)


class _Exact:
    """What stands between quotes may be full of commas and brackets, and is one value."""

    def __init__(self) -> None:
        self.values = 0
        self._quoted = False
        self._rest = b""

    def put(self, text: bytes, start: int, end: int) -> None:
        piece = self._rest + text[start:end]
        self._rest = b"\\" if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else b""  # escapes what comes next
        if self._rest:
            piece = piece[:-1]
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = piece.split(b'"')
        self.values += _marks(b"".join(parts[self._quoted :: 2]))
        self._quoted ^= len(parts) % 2 == 0
