"""Text of somebody else, as HTML."""

from __future__ import annotations

import pytest

from tests.routes.visitors import text_of
from webapp.routes.texts import as_name, unbroken


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("mcp:desk:update_ticket", ["mcp:", "desk:", "update_", "ticket"]),
        ("desk__list", ["desk__", "list"]),
        ("tickets/list.all", ["tickets/", "list.", "all"]),
        ("_private_", ["_", "private_"]),
        ("updateTicket", ["updateTicket"]),
        ("", [""]),
    ],
)
def test_a_name_may_break_after_its_separators(name: str, pieces: list[str]) -> None:
    assert as_name(name).split("<wbr>") == pieces
    assert text_of(as_name(name)) == name


def test_names_are_escaped_and_their_hidden_characters_shown() -> None:
    assert as_name("a:<b>&_\u202e") == (
        'a:<wbr>&lt;b&gt;&amp;_<wbr><mark class="hidden-char">⟨U+202E⟩</mark>'
    )
    assert unbroken("<b> T-1\u200b") == (
        '&lt;b&gt; <span class="whole">T-1<mark class="hidden-char">⟨U+200B⟩</mark></span>'
    )


def test_words_with_a_hyphen_stay_whole() -> None:
    assert unbroken("update ticket T-1041") == 'update ticket <span class="whole">T-1041</span>'
