"""Hidden characters made visible: what a model reads and a person would not see."""

from __future__ import annotations

import unicodedata

# Joiners and selectors that steer how neighbours look, without a glyph of their own.
INVISIBLE_MARKS = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, 0x2800}
WANTED = {"\n", "\t"}


def is_hidden(character: str) -> bool:
    """Control, format (zero-width, bidi, tag characters), selectors, private use, and odd spaces."""
    if character in WANTED or character == " ":
        return False
    code = ord(character)
    category = unicodedata.category(character)
    return (
        category in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp", "Zs")
        or code in INVISIBLE_MARKS
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0100 <= code <= 0xE01EF
    )


def has_hidden(text: str) -> bool:
    return any(is_hidden(character) for character in text)


def reveal(text: object) -> list[tuple[str, bool]]:
    """The text in pieces; True marks the name of a hidden character, e.g. ("⟨U+202E⟩", True)."""
    pieces: list[tuple[str, bool]] = []
    plain: list[str] = []
    for character in str(text):
        if is_hidden(character):
            if plain:
                pieces.append(("".join(plain), False))
                plain = []
            pieces.append((f"⟨U+{ord(character):04X}⟩", True))
        else:
            plain.append(character)
    if plain:
        pieces.append(("".join(plain), False))
    return pieces
