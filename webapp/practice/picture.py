"""A PNG without a drawing library: coloured bars with numbers on them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (32, 38, 46)
BARS: tuple[Colour, ...] = ((31, 95, 191), (194, 88, 18), (29, 122, 82), (138, 58, 160), (168, 38, 56))

# Each digit is five rows of three dots.
DIGITS = {
    "0": "###,#.#,#.#,#.#,###", "1": ".#.,##.,.#.,.#.,###", "2": "###,..#,###,#..,###",
    "3": "###,..#,###,..#,###", "4": "#.#,#.#,###,..#,..#", "5": "###,#..,###,..#,###",
    "6": "###,#..,###,#.#,###", "7": "###,..#,..#,.#.,.#.", "8": "###,#.#,###,#.#,###",
    "9": "###,#.#,###,..#,###",
}  # fmt: skip


class Canvas:
    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._rows = [bytearray(bytes(PAPER) * width) for _ in range(height)]

    def rectangle(self, x: int, y: int, width: int, height: int, colour: Colour) -> None:
        for row in self._rows[y : y + height]:
            row[3 * x : 3 * (x + width)] = bytes(colour) * width

    def number(self, value: int, x: int, y: int, dot: int = 4) -> None:
        for position, digit in enumerate(str(value)):
            for down, dots in enumerate(DIGITS[digit].split(",")):
                for right, mark in enumerate(dots):
                    if mark == "#":
                        self.rectangle(x + (4 * position + right) * dot, y + down * dot, dot, dot, INK)

    def png(self) -> bytes:
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        pixels = zlib.compress(b"".join(b"\0" + row for row in self._rows))
        return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bar_chart(values: Sequence[int]) -> bytes:
    canvas = Canvas(width=20 + 80 * len(values), height=260)
    tallest = max([*values, 1])
    for place, value in enumerate(values):
        height = 190 * value // tallest
        left = 20 + 80 * place
        canvas.rectangle(left, 240 - height, 60, height, BARS[place % len(BARS)])
        canvas.number(value, left + 22, 210 - height)
    canvas.rectangle(10, 240, canvas.width - 20, 2, INK)
    return canvas.png()
