"""Hidden characters made visible: what a model reads and a person would not see."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import groupby
from typing import Any

# Joiners, fillers and selectors without a glyph of their own, in categories where others have one.
INVISIBLE_MARKS = {
    0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0,
    *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0),
}  # fmt: skip
# All that `str.isprintable` says no to, which can so be asked of a whole text at once.
HIDDEN_CATEGORIES = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}
WANTED = {"\n", "\t"}
_MARK = re.compile(f"[{''.join(map(chr, sorted(INVISIBLE_MARKS)))}]")


@lru_cache(4096)
def is_hidden(character: str) -> bool:
    """Control, format (zero-width, bidi, tag characters), selectors, private use, and odd spaces."""
    if character in WANTED or character == " ":
        return False
    return unicodedata.category(character) in HIDDEN_CATEGORIES or ord(character) in INVISIBLE_MARKS


def has_hidden(text: str) -> bool:
    plain = text.replace("\n", "").replace("\t", "")
    return not plain.isprintable() or _MARK.search(plain) is not None


def hidden_within(value: Any) -> bool:
    """Anywhere in a JSON value, in its keys too: a model reads the schema as well as the description."""
    if isinstance(value, str):
        return has_hidden(value)
    if isinstance(value, dict):
        return any(hidden_within(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(hidden_within, value))


def reveal(text: object) -> list[tuple[str, bool]]:
    """The text in pieces; True marks the name of a hidden character, e.g. ("⟨U+202E⟩", True), or of a run of it."""
    text = str(text)
    if not has_hidden(text):
        return [(text, False)]
    pieces: list[tuple[str, bool]] = []
    for hidden, stretch in groupby(text, is_hidden):
        if hidden:
            pieces += [(_named(code, len(list(run))), True) for code, run in groupby(stretch)]
        else:
            pieces.append(("".join(stretch), False))
    return pieces


def _named(character: str, times: int) -> str:
    return f"⟨U+{ord(character):04X}{f' × {times:,}' if times > 1 else ''}⟩"


def told(text: str) -> str:
    """As plain text, for places where nothing can be marked, such as a title or an option."""
    return "".join(piece for piece, _ in reveal(text))
