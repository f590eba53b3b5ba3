"""What a model reads and a person would not see is shown by its number."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.services.visible import has_hidden, is_hidden, reveal

HIDDEN = {
    "null": 0x00,
    "escape": 0x1B,
    "delete": 0x7F,
    "next line": 0x85,
    "no-break space": 0xA0,
    "soft hyphen": 0xAD,
    "grapheme joiner": 0x34F,
    "Arabic letter mark": 0x61C,
    "Hangul filler": 0x3164,
    "Mongolian selector": 0x180B,
    "Mongolian vowel separator": 0x180E,
    "em space": 0x2003,
    "zero-width space": 0x200B,
    "zero-width joiner": 0x200D,
    "right-to-left mark": 0x200F,
    "line separator": 0x2028,
    "right-to-left override": 0x202E,
    "word joiner": 0x2060,
    "right-to-left isolate": 0x2067,
    "Braille blank": 0x2800,
    "variation selector 16": 0xFE0F,
    "byte order mark": 0xFEFF,
    "private use": 0xE000,
    "tag A": 0xE0041,
    "cancel tag": 0xE007F,
    "variation selector 17": 0xE0100,
}


@pytest.mark.parametrize("code", HIDDEN.values(), ids=HIDDEN.keys())
def test_a_hidden_character_becomes_a_mark_with_its_number(code: int) -> None:
    assert reveal(f"a{chr(code)}b") == [("a", False), (f"⟨U+{code:04X}⟩", True), ("b", False)]
    assert has_hidden(f"a{chr(code)}b")


@pytest.mark.parametrize(
    "text", ["", "plain", "two\nlines\tand a tab", "Größe – 日本語", "🔥 naïve", "e\u0301"]
)
def test_what_can_be_seen_stays_one_piece(text: str) -> None:
    assert [piece for piece, mark in reveal(text) if mark] == []
    assert "".join(piece for piece, _ in reveal(text)) == text
    assert not has_hidden(text)


def test_a_text_and_its_characters_are_judged_alike() -> None:
    everything = map(chr, range(0x110000))
    assert [one for one in everything if is_hidden(one) != has_hidden(one)] == []


def spelt(mark: str) -> str:
    code, _, times = mark.strip("⟨⟩").removeprefix("U+").partition(" × ")
    return chr(int(code, 16)) * int(times.replace(",", "") or 1)


def test_a_run_is_one_mark() -> None:
    assert reveal("a" + "\u200b" * 4000 + "\u200c\u200bz") == [
        ("a", False),
        ("⟨U+200B × 4,000⟩", True),
        ("⟨U+200C⟩", True),
        ("⟨U+200B⟩", True),
        ("z", False),
    ]


def test_text_that_looks_like_a_mark_is_no_mark() -> None:
    assert reveal("⟨U+202E⟩") == [("⟨U+202E⟩", False)]


@given(st.text(st.characters(), max_size=60))
def test_nothing_is_lost_and_nothing_hidden_is_left(text: str) -> None:
    pieces = reveal(text)
    assert "".join(spelt(piece) if mark else piece for piece, mark in pieces) == text
    shown = "".join(piece for piece, mark in pieces if not mark)
    assert all(c in "\n\t " or unicodedata.category(c)[0] not in "CZ" for c in shown)
